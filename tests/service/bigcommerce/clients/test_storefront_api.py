from typing import Any

import pytest
from pydantic import SecretStr

from service.bigcommerce import StoreApi
from service.bigcommerce.clients.storefront_api import Storefront
from service.bigcommerce.models import Values
from service.errors import CredentialsRefused, Refused, TryAgain
from tests.fakes.upstream import FakeUpstream

TOKEN = SecretStr("buyer-token")
AUTH = "POST /api/io/auth/customers/storefront"


@pytest.fixture
def storefront(api: StoreApi) -> Storefront:
    return api.storefront


@pytest.mark.parametrize("token", [["buyer-token"], "buyer-token"])
async def test_token_acts_as_the_customer(storefront: Storefront, upstream: FakeUpstream, token: Any) -> None:
    upstream.on(AUTH, {"code": 200, "data": {"token": token}})
    assert await storefront.storefront_token(321) == TOKEN
    assert upstream.bodies(AUTH) == [{"customerId": 321}]
    assert upstream.requests[0].headers["X-Auth-Token"] == "access-token"


@pytest.mark.parametrize("data", [{}, None, {"token": []}, {"token": [7]}, {"token": ["two words"]}])
async def test_answer_without_a_valid_token_is_transient(
    storefront: Storefront, upstream: FakeUpstream, data: Any
) -> None:
    upstream.on(AUTH, {"code": 200, "data": data})
    with pytest.raises(TryAgain):
        await storefront.storefront_token(321)


async def test_orders_are_listed_as_the_buyer(storefront: Storefront, upstream: FakeUpstream) -> None:
    listed = {"list": [{"orderId": 1}], "paginator": {"totalCount": 3, "offset": 1, "limit": 1}}
    upstream.on("GET /api/v2/orders", {"code": 200, "message": "SUCCESS", "data": listed})
    page = await storefront.orders(TOKEN, limit=1, offset=1)
    assert (page.items, page.total, page.next_offset) == ([{"orderId": 1}], 3, 2)
    assert upstream.requests[0].headers["Authorization"] == "Bearer buyer-token"


async def test_ordered_products_are_listed(storefront: Storefront, upstream: FakeUpstream) -> None:
    upstream.on("GET /api/v2/ordered-products", {"data": {"list": [{"productId": "1"}], "paginator": None}})
    page = await storefront.ordered_products(TOKEN)
    assert (page.items, page.next_offset) == ([{"productId": "1"}], None)


@pytest.mark.parametrize("data", ["x", [1], None, {"list": "x"}])
async def test_list_of_an_unexpected_shape_is_transient(
    storefront: Storefront, upstream: FakeUpstream, data: Any
) -> None:
    upstream.on("GET /api/v2/orders", {"data": data})
    with pytest.raises(TryAgain):
        await storefront.orders(TOKEN)


async def test_details_of_an_order_are_returned_unchanged(storefront: Storefront, upstream: FakeUpstream) -> None:
    upstream.on("GET /api/v2/orders/1/details", {"data": {"id": 1, "poNumber": "PO-1"}}, {"data": {}})
    assert await storefront.order_details(TOKEN, 1) == {"id": 1, "poNumber": "PO-1"}
    with pytest.raises(TryAgain):
        await storefront.order_details(TOKEN, 1)


async def test_products_and_images_of_orders_are_listed(storefront: Storefront, upstream: FakeUpstream) -> None:
    upstream.on("GET /api/v2/orders/1/products", {"data": [{"productId": "1"}]})
    upstream.on("GET /api/v2/orders/images", {"data": [{"orderId": "1", "imageUrl": "https://x.test/i"}]})
    assert await storefront.order_products(TOKEN, 1) == [{"productId": "1"}]
    assert await storefront.order_images(TOKEN, [1, 2]) == [{"orderId": "1", "imageUrl": "https://x.test/i"}]
    assert upstream.requests[-1].url.params.get_list("orderIds[]") == ["1", "2"]


@pytest.mark.parametrize(("data", "rows"), [([{"orderId": 1}], [{"orderId": 1}]), (None, [])])
async def test_order_is_created_as_the_storefront_does(
    storefront: Storefront, upstream: FakeUpstream, data: Any, rows: list[Any]
) -> None:
    upstream.on("POST /api/v2/orders", {"data": data})
    assert await storefront.create_order(TOKEN, 1, Values("PO-1", {})) == rows
    assert upstream.bodies("POST /api/v2/orders") == [{"orderId": 1, "isSaveOrderComment": "0", "poNumber": "PO-1"}]


async def test_refusal_has_the_storefronts_own_message(storefront: Storefront, upstream: FakeUpstream) -> None:
    upstream.on("POST /api/v2/orders", (400, {"code": 40013, "data": {}, "message": "No permission"}))
    with pytest.raises(Refused, match="No permission"):
        await storefront.create_order(TOKEN, 1, Values("PO-1", {}))


async def test_an_expired_buyers_token_is_refused_and_no_store_token_is_sent(
    storefront: Storefront, upstream: FakeUpstream
) -> None:
    upstream.on("GET /api/v2/orders/1/products", 401)
    with pytest.raises(CredentialsRefused):
        await storefront.order_products(TOKEN, 1)
    assert len(upstream.requests) == 1
