from datetime import date
from typing import Any

import pytest
from pydantic import SecretStr

from service.bigcommerce import StoreApi
from service.bigcommerce.clients.storefront_api import Storefront
from service.bigcommerce.models import Values
from service.errors import AlreadyExists, CredentialsRefused, NotFound, Refused, TryAgain, Unsure
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


@pytest.mark.parametrize(("channel", "sent"), [(1, {}), (7, {"channelId": 7})])
async def test_only_a_channel_other_than_the_default_is_named(
    storefront: Storefront, upstream: FakeUpstream, channel: int, sent: dict[str, int]
) -> None:
    upstream.on(AUTH, {"code": 200, "data": {"token": ["buyer-token"]}})
    await storefront.storefront_token(321, channel)
    assert upstream.bodies(AUTH) == [{"customerId": 321, **sent}]


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


async def test_paginator_beside_the_data_is_read_too(storefront: Storefront, upstream: FakeUpstream) -> None:
    body = {"data": {"list": [{"orderId": 1}]}, "paginator": {"totalCount": 3, "offset": 0, "limit": 1}}
    upstream.on("GET /api/v2/orders", body)
    page = await storefront.orders(TOKEN, limit=1)
    assert (page.total, page.next_offset) == (3, 1)


async def test_lists_begin_on_the_day_that_is_asked_for(storefront: Storefront, upstream: FakeUpstream) -> None:
    empty = {"data": {"list": [], "paginator": {"totalCount": 0}}}
    upstream.on("GET /api/v2/orders", empty)
    upstream.on("GET /api/v2/ordered-products", empty)
    await storefront.orders(TOKEN, since=date(2026, 1, 31), whole_company=True)
    await storefront.ordered_products(TOKEN, since=date(2026, 1, 31))
    asked = [dict(request.url.params) for request in upstream.requests]
    assert asked == [
        {"beginDateAt": "01/31/2026", "isShowMy": "1", "limit": "50", "offset": "0"},
        {"beginDateAt": "01/31/2026", "limit": "50", "offset": "0"},
    ]


@pytest.mark.parametrize(
    "data",
    ["x", [1], None, {"list": "x"}, {"list": [{"poNumber": "A"}]}, {"list": [], "paginator": {"totalCount": 2}}],
)
async def test_list_of_an_unexpected_shape_is_transient(
    storefront: Storefront, upstream: FakeUpstream, data: Any
) -> None:
    upstream.on("GET /api/v2/orders", {"data": data})
    with pytest.raises(TryAgain):
        await storefront.orders(TOKEN)


async def test_details_of_an_order_are_returned_unchanged(storefront: Storefront, upstream: FakeUpstream) -> None:
    upstream.on("GET /api/v2/orders/1/details", {"data": {"id": 1, "poNumber": "PO-1"}})
    assert await storefront.order_details(TOKEN, 1) == {"id": 1, "poNumber": "PO-1"}


@pytest.mark.parametrize("data", [{}, [], None, {"id": 2, "poNumber": "B"}, {"poNumber": "A"}])
async def test_details_that_are_not_of_the_order_are_transient(
    storefront: Storefront, upstream: FakeUpstream, data: Any
) -> None:
    upstream.on("GET /api/v2/orders/1/details", {"data": data})
    with pytest.raises(TryAgain):
        await storefront.order_details(TOKEN, 1)


async def test_an_order_that_the_buyer_does_not_see_is_not_found(
    storefront: Storefront, upstream: FakeUpstream
) -> None:
    refused = {"code": 404, "message": "Not Found Error", "data": {"errMsg": "Order Does not Exist"}}
    upstream.on("GET /api/v2/orders/1/details", (404, refused))
    with pytest.raises(NotFound, match="Order Does not Exist"):
        await storefront.order_details(TOKEN, 1)


async def test_rows_without_their_ids_are_transient(storefront: Storefront, upstream: FakeUpstream) -> None:
    upstream.on("GET /api/v2/orders/1/products", {"data": [{"quantity": 2}]})
    upstream.on("GET /api/v2/orders/images", {"data": [{"imageUrl": "https://x.test/i"}]})
    with pytest.raises(TryAgain):
        await storefront.order_products(TOKEN, 1)
    with pytest.raises(TryAgain):
        await storefront.order_images(TOKEN, [1])


async def test_products_and_images_of_orders_are_listed(storefront: Storefront, upstream: FakeUpstream) -> None:
    upstream.on("GET /api/v2/orders/1/products", {"data": [{"productId": "1"}]})
    upstream.on("GET /api/v2/orders/images", {"data": [{"orderId": "1", "imageUrl": "https://x.test/i"}]})
    assert await storefront.order_products(TOKEN, 1) == [{"productId": "1"}]
    assert await storefront.order_images(TOKEN, [1, 2]) == [{"orderId": "1", "imageUrl": "https://x.test/i"}]
    assert upstream.requests[-1].url.params.get_list("orderIds[]") == ["1", "2"]


@pytest.mark.parametrize("data", [[{"orderId": 1}], {"orderId": "1"}, [{}], {}, None])
@pytest.mark.parametrize(("keep_comment", "sent"), [(True, "0"), (False, "1")])
async def test_order_is_created_as_the_storefront_does(
    storefront: Storefront, upstream: FakeUpstream, data: Any, sent: str, *, keep_comment: bool
) -> None:
    upstream.on("POST /api/v2/orders", {"data": data})
    await storefront.create_order(TOKEN, 1, Values("PO-1", {}), keep_comment=keep_comment)
    assert upstream.bodies("POST /api/v2/orders") == [{"orderId": 1, "isSaveOrderComment": sent, "poNumber": "PO-1"}]


@pytest.mark.parametrize("data", [[{"orderId": 2}], {"errMsg": "The upstream is busy."}, {"list": []}])
async def test_a_create_whose_answer_is_about_something_else_is_unsure(
    storefront: Storefront, upstream: FakeUpstream, data: Any
) -> None:
    upstream.on("POST /api/v2/orders", {"code": 200, "data": data})
    with pytest.raises(Unsure):
        await storefront.create_order(TOKEN, 1, Values("PO-1", {}), keep_comment=False)


async def test_a_record_that_exists_is_told_from_other_refusals(storefront: Storefront, upstream: FakeUpstream) -> None:
    upstream.on("POST /api/v2/orders", (400, {"code": 40013, "data": {}, "message": "The order already exists."}))
    with pytest.raises(AlreadyExists):
        await storefront.create_order(TOKEN, 1, Values("PO-1", {}), keep_comment=False)


async def test_refusal_has_the_storefronts_own_message(storefront: Storefront, upstream: FakeUpstream) -> None:
    upstream.on("POST /api/v2/orders", (400, {"code": 40013, "data": {}, "message": "No permission"}))
    with pytest.raises(Refused, match="No permission"):
        await storefront.create_order(TOKEN, 1, Values("PO-1", {}), keep_comment=False)


async def test_an_expired_buyers_token_is_refused_and_no_store_token_is_sent(
    storefront: Storefront, upstream: FakeUpstream
) -> None:
    upstream.on("GET /api/v2/orders/1/products", 401)
    with pytest.raises(CredentialsRefused):
        await storefront.order_products(TOKEN, 1)
    assert len(upstream.requests) == 1
