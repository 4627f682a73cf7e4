"""Odd answers while an order is looked at as its buyer: missing keys, wrong types, 401 midway, 429, no image."""

from datetime import date
from typing import Any

import httpx
import pytest
from arq import ArqRedis
from structlog.testing import capture_logs

from service.bigcommerce import QuotaWaitingApi
from service.bigcommerce.clients.storefront_models import BuyerOrder
from service.bigcommerce.models import Page
from service.orders.buyer_view.buyer_page import BuyerPage, Wanted, read_buyer_page
from service.orders.buyer_view.order_view import BuyerViews, OrderView
from service.orders.buyer_view.shown import Absent, NotShown
from tests.fakes.upstream import FakeUpstream, account, transport_to
from tests.service.orders.buyer_view.conftest import STORE

AUTH = "POST /api/io/auth/customers/storefront"
PRODUCTS, DETAILS = "GET /api/v2/orders/1/products", "GET /api/v2/orders/1/details"
IMAGES = "GET /api/v2/orders/images"
RECORD, ORDERED = "GET /api/v3/io/orders/1", "GET /api/v3/io/orders/1/products"
USER = {"id": 9, "companyId": 5, "customerId": 101}
OK = {"data": [{"productId": "7", "quantity": 1, "variantId": 70}]}
DENIED = (401, {"code": 401, "message": "Unauthorized", "data": {"errMsg": "Signature has expired."}})


def token(text: str) -> dict[str, Any]:
    return {"code": 200, "data": {"token": [text]}}


def order_of(customer_id: int = 101) -> dict[str, Any]:
    created = "Wed, 10 Jan 2018 21:05:30 +0000"
    return {"id": 1, "customer_id": customer_id, "status_id": 11, "date_created": created, "channel_id": 1}


@pytest.fixture
def scripted(upstream: FakeUpstream) -> FakeUpstream:
    """An order that everything is well with; tests replace an answer."""
    upstream.on("GET /v2/orders/1", order_of())
    upstream.on("GET /api/v3/io/users/customer/101", {"code": 200, "data": USER})
    upstream.on("GET /api/v3/io/orders/extra-fields", {"code": 200, "data": [{"fieldName": "Source"}]})
    upstream.on(RECORD, {"code": 200, "data": {"bcOrderId": 1, "poNumber": "A-1", "extraFields": []}})
    upstream.on(ORDERED, {"code": 200, "data": [{"productId": 7, "productName": "Carton", "variantSku": "C"}]})
    upstream.on(AUTH, token("buyer-token"))
    upstream.on(DETAILS, {"code": 200, "data": {"id": 1, "poNumber": "A-1", "extraFields": []}})
    upstream.on(PRODUCTS, OK)
    upstream.on(IMAGES, {"code": 200, "data": [{"orderId": 1, "imageUrl": "https://x.test/a.jpg"}]})
    upstream.on("GET /v3/catalog/products/7/images", {"data": []})
    return upstream


async def view(upstream: FakeUpstream, redis: ArqRedis, told: list[str] | None = None) -> OrderView:
    async with transport_to(upstream) as transport:
        api = QuotaWaitingApi(transport, account("access-token"))
        api.on_wait = lambda operation, _: (told if told is not None else []).append(operation)
        found = await BuyerViews(api, redis, STORE).order(1)
    assert isinstance(found, OrderView)
    return found


@pytest.mark.parametrize(
    ("details", "differences", "not_compared"),
    [
        ({"id": 1, "poNumber": "A-1", "extraFields": []}, 0, 0),
        ({"id": 1, "extraFields": []}, 0, 1),
        ({"id": 1, "poNumber": {"x": 1}, "extraFields": 7}, 0, 2),
        ({"id": 1, "poNumber": None, "extraFields": None}, 1, 0),
        ({"id": 2, "poNumber": "B", "extraFields": []}, 0, 1),
        ("nonsense", 0, 1),
    ],
)
async def test_details_with_missing_keys_and_wrong_types_prove_nothing(
    scripted: FakeUpstream, redis: ArqRedis, details: Any, differences: int, not_compared: int
) -> None:
    scripted.on(DETAILS, {"code": 200, "data": details})
    compared = (await view(scripted, redis)).comparison
    assert (len(compared.differences), len(compared.not_compared)) == (differences, not_compared)


async def test_products_come_from_the_details_where_the_list_is_not_shown(
    scripted: FakeUpstream, redis: ArqRedis
) -> None:
    scripted.on(PRODUCTS, {"data": [{"quantity": 2}]})
    scripted.on(DETAILS, {"data": {"id": 1, "poNumber": "A-1", "products": [{"product_id": 7, "quantity": 3}]}})
    found = (await view(scripted, redis)).products
    assert isinstance(found, tuple)
    assert [(each.product.product_id, each.product.quantity) for each in found] == [(7, 3)]


async def test_a_product_without_image_says_so(scripted: FakeUpstream, redis: ArqRedis) -> None:
    scripted.on(IMAGES, {"code": 200, "data": []})
    found = (await view(scripted, redis)).products
    assert isinstance(found, tuple)
    assert [each.thumbnail for each in found] == [Absent("The product has no image.")]


async def test_images_that_could_not_be_read_are_not_none(scripted: FakeUpstream, redis: ArqRedis) -> None:
    scripted.on(IMAGES, 503)
    found = (await view(scripted, redis)).products
    assert isinstance(found, tuple)
    assert [type(each.thumbnail) for each in found] == [NotShown]


async def test_a_storefront_over_its_quota_is_waited_for_and_told(scripted: FakeUpstream, redis: ArqRedis) -> None:
    over = httpx.Response(429, json={}, headers={"X-Request-Window-Resets-After": "0.01 s"})
    scripted.on(DETAILS, over, {"code": 200, "data": {"id": 1, "poNumber": "A-1"}})
    told: list[str] = []
    assert isinstance((await view(scripted, redis, told)).seen, BuyerOrder)
    assert told == ["Get Order Details"]


async def test_a_storefront_over_its_quota_for_long_is_not_shown(scripted: FakeUpstream, redis: ArqRedis) -> None:
    scripted.on(DETAILS, httpx.Response(429, json={}, headers={"X-Request-Window-Resets-After": "55 s"}))
    seen = (await view(scripted, redis)).seen
    assert isinstance(seen, NotShown)
    assert seen.reason.endswith("Try again in 55 s.")


async def test_a_token_that_expires_between_two_calls_is_fetched_anew(scripted: FakeUpstream, redis: ArqRedis) -> None:
    scripted.on(AUTH, token("one"), token("two"))
    scripted.on(PRODUCTS, lambda request: DENIED if request.headers["Authorization"] == "Bearer one" else OK)
    found = await view(scripted, redis)
    assert isinstance(found.products, tuple)
    assert isinstance(found.seen, BuyerOrder)
    assert scripted.asked.count(AUTH) == 2


async def test_whoever_looks_is_recorded_before_the_first_call_as_the_buyer(
    scripted: FakeUpstream, redis: ArqRedis
) -> None:
    async def fail(customer_id: int) -> None:
        looked.append((customer_id, AUTH in scripted.asked))
        raise ConnectionError("the record of who did what is away")

    looked: list[tuple[int, bool]] = []
    async with transport_to(scripted) as transport:
        api = QuotaWaitingApi(transport, account("access-token"))
        with pytest.raises(ConnectionError):
            await BuyerViews(api, redis, STORE, fail).order(1)
    assert looked == [(101, False)]
    assert AUTH not in scripted.asked


async def test_no_token_stands_in_a_log_line(
    scripted: FakeUpstream, redis: ArqRedis, capsys: pytest.CaptureFixture[str]
) -> None:
    echoed = {"code": 401, "message": "Bad token buyer-token of ada@example.com", "data": {}}
    scripted.on(PRODUCTS, (401, echoed))
    with capture_logs() as lines:
        found = await view(scripted, redis)
    assert isinstance(found.products, NotShown)
    said = f"{lines}{capsys.readouterr()}{found}"
    assert "Get Order Products" in said
    assert "buyer-token" not in said
    assert "ada@example.com" not in said


async def test_a_page_of_orders_is_held_against_three_pages_of_the_companys_records_at_most(
    scripted: FakeUpstream, redis: ArqRedis
) -> None:
    listed = [{"orderId": 1, "createdAt": "1743105969", "poNumber": "A-1", "extraFields": []}]
    scripted.on("GET /api/v2/orders", {"data": {"list": listed, "paginator": {"totalCount": 1}}})
    scripted.on("GET /api/v2/ordered-products", {"data": {"list": [], "paginator": {"totalCount": 0}}})
    record = {"bcOrderId": 2, "poNumber": "B", "extraFields": []}
    pagination = {"totalCount": 1000, "limit": 200, "offset": 0}
    scripted.on("GET /api/v3/io/orders", {"code": 200, "data": [record] * 200, "meta": {"pagination": pagination}})
    async with transport_to(scripted) as transport:
        views = BuyerViews(QuotaWaitingApi(transport, account("access-token")), redis, STORE)
        page = await read_buyer_page(views, 101, Wanted(date(2025, 1, 1)))

    assert isinstance(page, BuyerPage)
    assert isinstance(page.orders, Page)
    (order,) = page.orders.items
    assert order.comparison.differences == ()
    assert order.comparison.not_compared == (
        "The record is unknown, so nothing was compared: The list of records does not show it.",
    )
    asked = [request.url.params for request in scripted.requests if request.url.path == "/api/v3/io/orders"]
    assert [params["offset"] for params in asked] == ["0", "200", "400"]
    assert {params["companyId"] for params in asked} == {"5"}
    assert int(asked[0]["minCreated"]) < 1_743_105_969 < int(asked[0]["maxCreated"])
