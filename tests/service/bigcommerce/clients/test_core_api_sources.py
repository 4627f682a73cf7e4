"""The core API's carts, payments and customer groups: which answers are complete, and which are not answers."""

from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from service.bigcommerce import StoreApi
from service.bigcommerce.clients.core_api import Core
from service.errors import NotFound, TryAgain
from tests.fakes.upstream import FakeUpstream


@pytest.fixture
def core(api: StoreApi) -> Core:
    return api.core


def metafield(number: int) -> dict[str, Any]:
    return {"namespace": "checkout", "key": f"key {number}", "value": "x"}


CART = "095a15a6-8a27-4c20-b357-36b82e9d5929"
CART_METAFIELDS = f"GET /v3/carts/{CART}/metafields"
TRANSACTIONS, GROUP = "GET /v3/orders/7/transactions", "GET /v2/customer_groups/3"
NOT_FROM_THE_API = (404, {"message": "no Route matched with those values"})


async def test_cart_metafields_are_read_to_the_last_page(core: Core, upstream: FakeUpstream) -> None:
    pages = [{"data": [metafield(page)], "meta": {"pagination": {"total_pages": 2}}} for page in (1, 2)]
    upstream.on(CART_METAFIELDS, *pages)
    assert await core.cart_metafields(CART) == [metafield(1), metafield(2)]


@pytest.mark.parametrize("resource_id", [CART, None])
async def test_cart_metafields_may_name_their_cart(core: Core, upstream: FakeUpstream, resource_id: Any) -> None:
    row = {**metafield(1), "resource_id": resource_id}
    upstream.on(CART_METAFIELDS, {"data": [row]})
    assert await core.cart_metafields(CART) == [row]


async def test_no_content_is_no_answer_about_a_cart(core: Core, upstream: FakeUpstream) -> None:
    upstream.on(CART_METAFIELDS, 204)
    with pytest.raises(TryAgain):
        await core.cart_metafields(CART)


async def test_cart_id_is_quoted(core: Core, upstream: FakeUpstream) -> None:
    upstream.on("GET /v3/carts/..%2F7%3Fa/metafields", {"data": []})
    assert await core.cart_metafields("../7?a") == []


@pytest.mark.parametrize(
    "answer",
    [
        {"data": [{"namespace": "a", "key": "b"}]},
        {"data": [{**metafield(1), "resource_id": "another-cart"}]},
        {"data": [], "meta": {"pagination": {"total_pages": 2}}},
        {"data": {"a": 1}},
        {"meta": {}},
        [],
    ],
)
async def test_incomplete_cart_metafields_are_transient(core: Core, upstream: FakeUpstream, answer: Any) -> None:
    upstream.on(CART_METAFIELDS, (200, answer))
    with pytest.raises(TryAgain):
        await core.cart_metafields(CART)


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (204, []),
        ({"data": [], "meta": {}}, []),
        (
            {"data": [{"id": 1, "order_id": "7", "method": "offline"}]},
            [{"id": 1, "order_id": "7", "method": "offline"}],
        ),
    ],
)
async def test_transactions_are_a_list(core: Core, upstream: FakeUpstream, answer: Any, expected: Any) -> None:
    upstream.on(TRANSACTIONS, answer)
    assert await core.transactions(7) == expected


@pytest.mark.parametrize("row", [{"id": 1}, {"id": 1, "order_id": "8"}, {"order_id": 7}, {}])
async def test_incomplete_transactions_are_transient(core: Core, upstream: FakeUpstream, row: Any) -> None:
    upstream.on(TRANSACTIONS, {"data": [row]})
    with pytest.raises(TryAgain):
        await core.transactions(7)


@pytest.mark.parametrize("answer", [{"id": 3, "name": "Wholesale"}, [{"id": "3", "name": "Wholesale"}]])
async def test_customer_group_is_an_object(core: Core, upstream: FakeUpstream, answer: Any) -> None:
    upstream.on(GROUP, (200, answer))
    assert (await core.customer_group(3))["name"] == "Wholesale"


@pytest.mark.parametrize("answer", [{"id": 4, "name": "x"}, {"id": 3}, {"id": 3, "name": None}, {}, [], None, "text"])
async def test_incomplete_customer_group_is_transient(core: Core, upstream: FakeUpstream, answer: Any) -> None:
    upstream.on(GROUP, (200, answer))
    with pytest.raises(TryAgain):
        await core.customer_group(3)


@pytest.mark.parametrize(
    ("route", "read", "missing"),
    [
        (CART_METAFIELDS, lambda core: core.cart_metafields(CART), (404, {"status": 404, "title": "Not found"})),
        (TRANSACTIONS, lambda core: core.transactions(7), (404, {"status": 404, "title": "Not found"})),
        (GROUP, lambda core: core.customer_group(3), (404, [{"status": 404, "message": "Not found"}])),
    ],
)
async def test_only_the_apis_own_404_means_that_something_is_missing(
    core: Core, upstream: FakeUpstream, route: str, read: Callable[[Core], Awaitable[Any]], missing: Any
) -> None:
    upstream.on(route, missing)
    with pytest.raises(NotFound):
        await read(core)
    upstream.on(route, NOT_FROM_THE_API)
    with pytest.raises(TryAgain):
        await read(core)
