"""Documents for somebody who looks: what is read for them, and how little it takes."""

from dataclasses import replace
from datetime import datetime, timedelta, timezone
from typing import Any

import httpx
import pytest

from service.bigcommerce import StoreApi
from service.errors import CredentialsRefused, EnrichError, NotFound, TryAgain
from service.orders.document.cache import Cache
from service.orders.document.loading import NoCompanyUser
from service.orders.document.partial_loader import LoadedOrder, load_newest, load_order
from service.rules import Needs
from tests.fakes.loader_stack import (
    BAD_REQUEST,
    LIST,
    LIST_METAFIELDS,
    METAFIELDS,
    NOTHING,
    SINGLE,
    SINGLE_METAFIELDS,
    House,
    po_numbers,
)

USER, COMPANY = "Get User Details by BigCommerce Customer ID", "Get Company Details"
PEOPLE = replace(NOTHING, customer=True, user=True, company=True)
DAY = 86_400


def api_of(house: House) -> StoreApi:
    return StoreApi(house.transport, house.account)


async def newest(house: House, needs: Needs = NOTHING, count: int = 250) -> list[LoadedOrder]:
    return await load_newest(api_of(house), Cache(None, "sandbox"), count, needs, lambda *_: None)


async def one(house: House, needs: Needs, **placed: Any) -> LoadedOrder:
    order_id = (await house.sandbox.place_order(**placed))["id"]
    return await load_order(api_of(house), Cache(None, "sandbox"), order_id, needs)


async def b2b_calls(house: House) -> dict[str, int]:
    told = (await house.sandbox.calls())["b2b"]
    return {operation: sum(counts.values()) for operation, counts in told.items()}


async def place_with_metafields(house: House, *ages: float) -> list[int]:
    return [
        order_id
        for age in ages
        for order_id in await house.place(age=age, metafields={"checkout": {"po_number": f"{age:.0f}"}})
    ]


def replace_answer(house: House, path: str, answer: httpx.Response) -> None:
    house.wire.replaced[path] = answer


# ── the newest ──────────────────────────────────────────────────────────────────────────────────────────────────


async def test_the_newest_come_first_and_no_more_than_asked_for(house: House) -> None:
    ids = await house.place(5)
    assert [gathered.order_id for gathered in await newest(house, count=3)] == ids[:1:-1]
    assert await house.calls() == {LIST: 1}


async def test_progress_is_told_up_to_the_end(house: House) -> None:
    await house.place(3)
    told: list[tuple[int, int]] = []
    await load_newest(api_of(house), Cache(None, "sandbox"), 9, NOTHING, lambda *done: told.append(done))
    assert told == [(0, 3), (1, 3), (2, 3), (3, 3)]


async def test_metafields_of_orders_that_lie_apart_come_from_one_list(house: House) -> None:
    await place_with_metafields(house, 3 * DAY, DAY, 0)
    await house.place(age=2 * DAY)
    found = await newest(house, METAFIELDS)
    assert po_numbers([gathered.document for gathered in found]) == [None, "0", "86400", "259200"]
    assert await house.calls() == {LIST: 1, LIST_METAFIELDS: 1}


async def test_the_list_reaches_back_far_enough_whatever_time_zone_it_is_read_in(house: House) -> None:
    await place_with_metafields(house, DAY, 0)
    await newest(house, replace(METAFIELDS, metafield_namespaces=frozenset({"checkout"})))
    (asked,) = house.wire.lists("/v3/orders/metafields")
    since = datetime.fromisoformat(asked["date_created:min"])
    far_west = timezone(timedelta(hours=-12))
    assert since.replace(tzinfo=far_west).timestamp() < house.clock.now - DAY
    assert asked["namespace:in"] == "checkout"


async def test_metafields_of_orders_close_together_are_read_one_by_one(house: House) -> None:
    await place_with_metafields(house, 10, 0)
    assert po_numbers([gathered.document for gathered in await newest(house, METAFIELDS)]) == ["0", "10"]
    assert await house.calls() == {LIST: 1, SINGLE_METAFIELDS: 2}


@pytest.mark.parametrize(
    "answer",
    [BAD_REQUEST, httpx.Response(503, json={}), httpx.Response(200, json={"data": [], "meta": {}})],
    ids=["refused", "broken", "empty"],
)
async def test_a_list_that_does_not_work_costs_calls_only(house: House, answer: httpx.Response) -> None:
    await place_with_metafields(house, DAY, 0)
    replace_answer(house, "/v3/orders/metafields", answer)
    assert po_numbers([gathered.document for gathered in await newest(house, METAFIELDS)]) == ["0", "86400"]
    assert (await house.calls())[SINGLE_METAFIELDS] == 2


async def test_people_of_many_orders_are_asked_for_once(house: House) -> None:
    for customer_id in (101, 102, 101, 199, 0, 101, 199):
        await house.sandbox.place_order(customer_id=customer_id)
    await newest(house, replace(PEOPLE, customer=False))
    asked = await b2b_calls(house)
    # What is not there is not kept while others ask for it at the same moment.
    assert (asked[COMPANY], asked[USER]) in [(1, 3), (1, 4)]


async def test_what_the_token_may_not_do_ends_it(house: House) -> None:
    await house.sandbox.put_store(missing_scopes=["customers"])
    await house.place(20)
    with pytest.raises(CredentialsRefused, match="Get All Customers: 403"):
        await newest(house, PEOPLE)
    assert (await house.calls())["Get All Customers"] <= 8


async def test_what_cannot_be_read_for_now_is_a_gap_of_its_order(house: House) -> None:
    (order,) = await house.place()
    replace_answer(house, f"/v3/orders/{order}/metafields", httpx.Response(503, json={}))
    await house.place()
    good, bad = await newest(house, METAFIELDS)
    assert good.trouble is None
    assert isinstance(bad.trouble, TryAgain)
    assert bad.document["metafields"] == {}


# ── one ─────────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_only_what_is_needed_is_read(house: House) -> None:
    gathered = await one(house, NOTHING, customer_id=101)
    assert gathered.document.keys() == {
        *("order", "products", "shipping_addresses", "metafields", "customer", "user", "company")
    }
    assert (gathered.gaps, gathered.trouble) == ({}, None)
    assert await house.calls() == {SINGLE: 1}
    assert await b2b_calls(house) == {}


async def test_all_that_is_needed_is_there(house: House) -> None:
    gathered = await one(house, PEOPLE, customer_id=101)
    assert gathered.gaps == {}
    assert gathered.document["customer"]["id"] == 101
    assert gathered.document["user"]["companyId"] == 5001
    assert gathered.document["company"]["extraFields"] == {"ERP Account": "ERP-10001"}
    assert await b2b_calls(house) == {USER: 1, COMPANY: 1}


@pytest.mark.parametrize(("customer_id", "empty"), [(0, {"customer", "user", "company"}), (199, {"user", "company"})])
async def test_people_who_are_not_there_are_gaps_and_no_trouble(
    house: House, customer_id: int, empty: set[str]
) -> None:
    gathered = await one(house, PEOPLE, customer_id=customer_id)
    assert gathered.gaps.keys() == empty
    assert {type(error) for error in gathered.gaps.values()} == {NoCompanyUser}
    assert gathered.trouble is None
    assert all(gathered.document[part] == {} for part in empty)
    assert (gathered.document["customer"] != {}) is ("customer" not in empty)


@pytest.mark.parametrize(("scope", "empty"), [("customers", {"customer"}), ("b2b_read", {"user", "company"})])
async def test_what_the_token_may_not_read_of_one_order_is_a_gap(house: House, scope: str, empty: set[str]) -> None:
    people: dict[str, Any] = {
        "customers": [{"id": 101}],
        "companies": [{"id": 5001, "name": "A"}],
        "users": [{"customer_id": 101, "company_id": 5001}],
    }
    await house.sandbox.put_store(missing_scopes=[scope], **people)
    gathered = await one(house, PEOPLE, customer_id=101)
    assert gathered.gaps.keys() == empty
    assert isinstance(gathered.trouble, CredentialsRefused)
    assert {part for part in ("customer", "user", "company") if gathered.document[part] == {}} == empty


async def test_an_order_that_is_not_there_is_an_error(house: House) -> None:
    with pytest.raises(NotFound, match="Get an Order: 404"):
        await load_order(api_of(house), Cache(None, "sandbox"), 999, METAFIELDS)
    assert await house.calls() == {SINGLE: 1}


def test_an_order_without_a_date_has_no_time() -> None:
    gathered = LoadedOrder(1, {"order": {"date_created": "soon"}}, {"metafields": EnrichError("x")})
    assert (gathered.created_at, gathered.customer_id) == (None, 0)
