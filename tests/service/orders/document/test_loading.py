"""Loading the order document from a sandbox: what each root contains, and which calls it takes."""

from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import pytest
from arq import ArqRedis
from pydantic import SecretStr

from service.bigcommerce import Account, StoreApi, Transport
from service.errors import NotFound, TryAgain
from service.orders.document.cache import Cache
from service.orders.document.loading import Document, NoCompanyUser, read_order, read_people
from service.rules import Needs
from tests.fakes.sandbox import RunningSandbox, StillClock, called_sandbox
from tests.fakes.stacks.loader_stack import NOTHING
from tests.fakes.upstream import FakeUpstream, store_api

EVERYTHING = Needs(
    consignments=True,
    metafields=True,
    customer=True,
    customer_attributes=True,
    customer_form_fields=True,
    user=True,
    company=True,
)
ADA, ZOE = 101, 199


class Reader:
    def __init__(self, sandbox: RunningSandbox, transport: Transport, redis: ArqRedis) -> None:
        self.sandbox = sandbox
        self._transport = transport
        self._redis = redis

    async def read(self, needs: Needs, customer_id: int = ADA, **fields: Any) -> tuple[Document, int]:
        """Place an order and load its document; also how many calls it took."""
        placed = await self.sandbox.place_order(customer_id=customer_id, **fields)
        account = Account("sandbox", (SecretStr("sandbox-access-token"),))
        api = StoreApi(self._transport, account)
        document = await read_order(api, placed["id"], needs)
        document |= await read_people(api, Cache(self._redis, "sandbox"), customer_id, needs)
        return document, api.calls


@pytest.fixture(params=[True, False], ids=["attribute names and ids", "attribute ids only"])
async def reader(request: pytest.FixtureRequest, redis: ArqRedis) -> AsyncIterator[Reader]:
    async with (
        called_sandbox(StillClock(), customer_attribute_names=request.param) as sandbox,
        sandbox.api._transport as http,
    ):
        yield Reader(sandbox, Transport(http, core_url=sandbox.url, b2b_url=sandbox.url), redis)


async def test_every_root_is_in_the_document(reader: Reader) -> None:
    document, _ = await reader.read(
        EVERYTHING, metafields={"checkout": {"po_number": "A-1"}}, products=({"sku": "SKU-1"}, {"sku": "SKU-2"})
    )

    assert document["order"]["customer_id"] == ADA
    assert [product["sku"] for product in document["products"]] == ["SKU-1", "SKU-2"]
    assert document["shipping_addresses"][0]["city"]
    assert document["metafields"] == {"checkout": {"po_number": "A-1"}}
    assert document["customer"]["attributes"] == {"Cost Center": "CC-110"}
    assert document["customer"]["form_fields"] == {"Department": "Purchasing"}
    assert document["user"]["extraFields"] == {"Employee No": "E-101"}
    assert document["company"]["extraFields"] == {"ERP Account": "ERP-10001"}


async def test_only_the_order_is_read_when_no_other_root_is_needed(reader: Reader) -> None:
    document, calls = await reader.read(NOTHING, metafields={"checkout": {"po_number": "A-1"}})

    assert calls == 1
    assert document["metafields"] == document["customer"] == document["user"] == document["company"] == {}


async def test_people_are_read_once_for_many_orders(reader: Reader) -> None:
    await reader.read(EVERYTHING)
    _, calls = await reader.read(EVERYTHING)

    assert calls == 2  # the order and its metafields


async def test_a_customer_without_a_company_raises_no_company_user(reader: Reader) -> None:
    with pytest.raises(NoCompanyUser):
        await reader.read(EVERYTHING, ZOE)


# ── people, from a scripted BigCommerce ─────────────────────────────────────────────────────────────────────────

USER, COMPANY = "GET /api/v3/io/users/customer/7", "GET /api/v3/io/companies/12"
MISSING = (404, {"code": 404, "data": {"errMsg": "Not found"}, "meta": {}})
WITH_COMPANY = replace(NOTHING, company=True)


async def people(redis: ArqRedis, upstream: FakeUpstream) -> Document:
    async with store_api(upstream) as api:
        return await read_people(api, Cache(redis, "abc123"), 7, WITH_COMPANY)


@pytest.mark.parametrize("company_id", [12, "12", 12.0])
async def test_a_company_id_may_be_a_number_or_text(redis: ArqRedis, company_id: Any) -> None:
    upstream = FakeUpstream()
    upstream.on(USER, {"code": 200, "data": {"id": "1", "companyId": company_id}})
    upstream.on(COMPANY, {"code": 200, "data": {"extraFields": [{"fieldName": "ERP", "fieldValue": "E1"}]}})

    assert (await people(redis, upstream))["company"]["extraFields"] == {"ERP": "E1"}


async def test_a_user_without_a_company_has_an_empty_one(redis: ArqRedis) -> None:
    upstream = FakeUpstream()
    upstream.on(USER, {"code": 200, "data": {"id": 1, "companyId": 0}})

    assert (await people(redis, upstream))["company"] == {}


@pytest.mark.parametrize("company_id", [None, "", "none", True])
async def test_a_user_whose_company_cannot_be_read_is_tried_again(redis: ArqRedis, company_id: Any) -> None:
    upstream = FakeUpstream()
    upstream.on(USER, {"code": 200, "data": {"id": 1, "companyId": company_id}})
    with pytest.raises(TryAgain):
        await people(redis, upstream)


async def test_only_a_404_of_the_user_raises_no_company_user(redis: ArqRedis) -> None:
    upstream = FakeUpstream()
    upstream.on(USER, MISSING)
    with pytest.raises(NoCompanyUser):
        await people(redis, upstream)

    upstream.on(USER, {"code": 200, "data": {"id": 1, "companyId": 12}})
    upstream.on(COMPANY, MISSING)
    with pytest.raises(NotFound):
        await people(redis, upstream)
