"""Loading the cart, the quote, the payments and the customer group: what each contains, and which calls it takes."""

from dataclasses import replace
from typing import Any

import pytest

from service.bigcommerce import StoreApi
from service.errors import CredentialsRefused, TryAgain, UpstreamError
from service.orders.document.cache import Cache
from service.orders.document.loading import Document, read_people
from service.orders.document.sources import read_sources
from service.rules import Needs
from tests.fakes.stacks.loader_stack import NOTHING, SINGLE, LoaderStack
from tests.fakes.upstream import FakeUpstream, store_api

CART, TRANSACTIONS, GROUP = "Get Cart Metafields", "Get Transactions", "Get a Customer Group"
QUOTES, QUOTE = "Get All Quotes", "Get Quote Details"
ALL = replace(NOTHING, cart=True, quote=True, transactions=True, record=True)
EMPTY: Document = {"cart": {}, "quote": {}, "transactions": [], "record": {}}


async def read(stack: LoaderStack, needs: Needs, **placed: Any) -> Document:
    """Place an order, and load it as a worker does."""
    (order_id,) = await stack.place(**placed)
    (document,) = await stack.read([order_id], needs)
    return document | await read_sources(api_of(stack), Cache(None, "sandbox"), document["order"], needs)


def api_of(stack: LoaderStack) -> StoreApi:
    return StoreApi(stack.transport, stack.account)


async def calls(stack: LoaderStack) -> dict[str, int]:
    counts = await stack.sandbox.calls()
    return {operation: sum(each.values()) for api in ("core", "b2b") for operation, each in counts[api].items()}


async def test_each_root_shows_what_belongs_to_the_order(stack: LoaderStack) -> None:
    await stack.place(cart_metafields={"checkout": {"po_number": "other"}}, quote={"referenceNumber": "other"})
    document = await read(
        stack,
        ALL,
        cart_metafields={"checkout": {"po_number": "A-26"}},
        quote={"referenceNumber": "PO-2026-31", "extraFields": {"Cost Center": "CC-5"}, "salesRepName": "Isaac"},
        transactions=[{"method": "offline", "offline": {"display_name": "Net 30"}}, {"method": "store_credit"}],
    )

    assert document["cart"] == {"metafields": {"checkout": {"po_number": "A-26"}}}
    assert document["quote"]["referenceNumber"] == "PO-2026-31"
    assert document["quote"]["extraFields"] == {"Cost Center": "CC-5"}
    assert document["quote"]["salesRepInfo"]["salesRepName"] == "Isaac"
    assert [each["method"] for each in document["transactions"]] == ["offline", "store_credit"]
    assert document["record"] == {}
    assert await calls(stack) == {SINGLE: 1, CART: 1, QUOTES: 1, QUOTE: 1, TRANSACTIONS: 1}


async def test_an_order_without_them_has_empty_roots(stack: LoaderStack) -> None:
    document = await read(stack, ALL, cart_metafields=None)

    assert {root: document[root] for root in EMPTY} == EMPTY
    assert await calls(stack) == {SINGLE: 1, CART: 1, QUOTES: 1, TRANSACTIONS: 1}


@pytest.mark.parametrize(
    ("needs", "expected"),
    [
        (NOTHING, {}),
        (replace(NOTHING, record=True), {}),
        (replace(NOTHING, cart=True), {CART: 1}),
        (replace(NOTHING, quote=True), {QUOTES: 1, QUOTE: 1}),
        (replace(NOTHING, transactions=True), {TRANSACTIONS: 1}),
    ],
)
async def test_only_named_roots_are_read(stack: LoaderStack, needs: Needs, expected: dict[str, int]) -> None:
    await read(stack, needs, quote={}, transactions=[{}], cart_metafields={"a": {"b": "c"}})
    assert await calls(stack) == {SINGLE: 1, **expected}


@pytest.mark.parametrize("cart_id", [None, "", 0])
async def test_an_order_without_a_cart_asks_for_none(stack: LoaderStack, cart_id: Any) -> None:
    assert (await read(stack, replace(NOTHING, cart=True), cart_id=cart_id))["cart"] == {}
    assert await calls(stack) == {SINGLE: 1}


async def test_orders_of_a_batch_read_their_own_sources(stack: LoaderStack) -> None:
    ids = [
        order_id
        for number in range(12)
        for order_id in await stack.place(
            cart_metafields={"checkout": {"po_number": f"A-{number}"}}, quote={"referenceNumber": f"Q-{number}"}
        )
    ]
    stack.clock.tick(2)
    documents = await stack.read(ids, ALL)
    cache = Cache(None, "sandbox")
    sources = [await read_sources(api_of(stack), cache, document["order"], ALL) for document in documents]

    assert [each["cart"]["metafields"]["checkout"]["po_number"] for each in sources] == [f"A-{n}" for n in range(12)]
    assert [each["quote"]["referenceNumber"] for each in sources] == [f"Q-{n}" for n in range(12)]
    counts = await calls(stack)
    assert counts["Get All Orders"] >= 1
    assert (counts[CART], counts[QUOTES], counts[QUOTE]) == (12, 1, 12)


# ── scripted answers ────────────────────────────────────────────────────────────────────────────────────────────

ORDER = {"id": 7, "cart_id": "c-1", "channel_id": 1, "date_created": "Sat, 10 Jan 2026 21:05:30 +0000"}
NEEDS = {
    "GET /v3/carts/c-1/metafields": replace(NOTHING, cart=True),
    "GET /v3/orders/7/transactions": replace(NOTHING, transactions=True),
    "GET /api/v3/io/rfq": replace(NOTHING, quote=True),
}


async def scripted(upstream: FakeUpstream, needs: Needs) -> Document:
    async with store_api(upstream) as api:
        return await read_sources(api, Cache(None, "abc123"), ORDER, needs)


@pytest.mark.parametrize("route", ["GET /v3/carts/c-1/metafields", "GET /v3/orders/7/transactions"])
@pytest.mark.parametrize("answer", [(404, {"status": 404, "title": "Not found"}), {"data": []}])
async def test_a_missing_source_is_empty(route: str, answer: Any) -> None:
    upstream = FakeUpstream()
    upstream.on(route, answer)
    assert await scripted(upstream, NEEDS[route]) == EMPTY | (
        {"cart": {"metafields": {}}} if answer == {"data": []} and "carts" in route else {}
    )


@pytest.mark.parametrize("route", NEEDS)
@pytest.mark.parametrize(
    ("answer", "error"),
    [
        ((404, {"message": "no Route matched"}), TryAgain),
        ((200, {"data": [{"nonsense": 1}]}), TryAgain),
        ((200, []), TryAgain),
        (503, TryAgain),
        ((403, {"title": "You don't have a required scope"}), CredentialsRefused),
    ],
)
async def test_an_answer_that_shows_nothing_is_an_error(route: str, answer: Any, error: type[UpstreamError]) -> None:
    upstream = FakeUpstream()
    upstream.on(route, answer)
    with pytest.raises(error):
        await scripted(upstream, NEEDS[route])


# ── the customer group ──────────────────────────────────────────────────────────────────────────────────────────

WITH_GROUP = replace(NOTHING, customer=True, customer_group=True)


async def group(stack: LoaderStack, cache: Cache, customer_id: int = 101) -> Any:
    return (await read_people(api_of(stack), cache, customer_id, WITH_GROUP))["customer"]["group"]


async def test_the_group_of_the_customer_is_read_once(stack: LoaderStack) -> None:
    people = [{"id": 101, "customer_group_id": 3}, {"id": 102, "customer_group_id": 3}, {"id": 103}]
    await stack.sandbox.put_store(customers=people, customer_groups=[{"id": 3, "name": "Wholesale"}])
    cache = Cache(None, "sandbox")

    assert [(await group(stack, cache, customer_id)).get("name") for customer_id in (101, 102, 101, 103)] == [
        *("Wholesale", "Wholesale", "Wholesale", None)
    ]
    assert await calls(stack) == {"Get All Customers": 3, GROUP: 1}


async def test_a_deleted_group_is_empty(stack: LoaderStack) -> None:
    await stack.sandbox.put_store(customers=[{"id": 101, "customer_group_id": 3}])
    assert await group(stack, Cache(None, "sandbox")) == {}


async def test_the_group_is_read_only_when_it_is_named(stack: LoaderStack) -> None:
    people = [{"id": 101, "customer_group_id": 3}]
    await stack.sandbox.put_store(customers=people, customer_groups=[{"id": 3, "name": "Wholesale"}])
    needs = replace(NOTHING, customer=True)
    customer = (await read_people(api_of(stack), Cache(None, "sandbox"), 101, needs))["customer"]

    assert (customer["customer_group_id"], customer["group"]) == (3, {})
    assert await calls(stack) == {"Get All Customers": 1}
