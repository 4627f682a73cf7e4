"""Loading documents for people to look at: gaps instead of errors, and how few calls it takes."""

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
from tests.fakes.stacks.loader_stack import (
    BAD_REQUEST,
    LIST,
    LIST_METAFIELDS,
    METAFIELDS,
    NOTHING,
    SINGLE,
    SINGLE_METAFIELDS,
    LoaderStack,
    po_numbers,
)

USER, COMPANY = "Get User Details by BigCommerce Customer ID", "Get Company Details"
PEOPLE = replace(NOTHING, customer=True, user=True, company=True)
DAY = 86_400


def api_of(stack: LoaderStack) -> StoreApi:
    return StoreApi(stack.transport, stack.account)


async def newest(stack: LoaderStack, needs: Needs = NOTHING, count: int = 250) -> list[LoadedOrder]:
    return await load_newest(api_of(stack), Cache(None, "sandbox"), count, needs, lambda *_: None)


async def one(stack: LoaderStack, needs: Needs, **placed: Any) -> LoadedOrder:
    order_id = (await stack.sandbox.place_order(**placed))["id"]
    return await load_order(api_of(stack), Cache(None, "sandbox"), order_id, needs)


async def b2b_calls(stack: LoaderStack) -> dict[str, int]:
    calls = (await stack.sandbox.calls())["b2b"]
    return {operation: sum(counts.values()) for operation, counts in calls.items()}


async def place_with_metafields(stack: LoaderStack, *ages: float) -> list[int]:
    return [
        order_id
        for age in ages
        for order_id in await stack.place(age=age, metafields={"checkout": {"po_number": f"{age:.0f}"}})
    ]


def replace_answer(stack: LoaderStack, path: str, answer: httpx.Response) -> None:
    stack.recorder.replaced[path] = answer


# ── load_newest ─────────────────────────────────────────────────────────────────────────────────────────────────


async def test_the_newest_orders_come_first_up_to_the_count(stack: LoaderStack) -> None:
    ids = await stack.place(5)
    assert [loaded.order_id for loaded in await newest(stack, count=3)] == ids[:1:-1]
    assert await stack.calls() == {LIST: 1}


async def test_progress_is_reported_to_the_end(stack: LoaderStack) -> None:
    await stack.place(3)
    progress: list[tuple[int, int]] = []
    await load_newest(api_of(stack), Cache(None, "sandbox"), 9, NOTHING, lambda *done: progress.append(done))
    assert progress == [(0, 3), (1, 3), (2, 3), (3, 3)]


async def test_metafields_of_orders_far_apart_come_from_one_list(stack: LoaderStack) -> None:
    await place_with_metafields(stack, 3 * DAY, DAY, 0)
    await stack.place(age=2 * DAY)
    found = await newest(stack, METAFIELDS)
    assert po_numbers([loaded.document for loaded in found]) == [None, "0", "86400", "259200"]
    assert await stack.calls() == {LIST: 1, LIST_METAFIELDS: 1}


async def test_the_list_starts_early_enough_for_any_time_zone(stack: LoaderStack) -> None:
    await place_with_metafields(stack, DAY, 0)
    await newest(stack, replace(METAFIELDS, metafield_namespaces=frozenset({"checkout"})))
    (asked,) = stack.recorder.lists("/v3/orders/metafields")
    since = datetime.fromisoformat(asked["date_created:min"])
    far_west = timezone(timedelta(hours=-12))
    assert since.replace(tzinfo=far_west).timestamp() < stack.clock.now - DAY
    assert asked["namespace:in"] == "checkout"


async def test_metafields_of_orders_close_together_are_read_order_by_order(stack: LoaderStack) -> None:
    await place_with_metafields(stack, 10, 0)
    assert po_numbers([loaded.document for loaded in await newest(stack, METAFIELDS)]) == ["0", "10"]
    assert await stack.calls() == {LIST: 1, SINGLE_METAFIELDS: 2}


@pytest.mark.parametrize(
    "answer",
    [BAD_REQUEST, httpx.Response(503, json={}), httpx.Response(200, json={"data": [], "meta": {}})],
    ids=["refused", "broken", "empty"],
)
async def test_a_list_that_does_not_work_only_costs_calls(stack: LoaderStack, answer: httpx.Response) -> None:
    await place_with_metafields(stack, DAY, 0)
    replace_answer(stack, "/v3/orders/metafields", answer)
    assert po_numbers([loaded.document for loaded in await newest(stack, METAFIELDS)]) == ["0", "86400"]
    assert (await stack.calls())[SINGLE_METAFIELDS] == 2


async def test_people_of_many_orders_are_read_once(stack: LoaderStack) -> None:
    for customer_id in (101, 102, 101, 199, 0, 101, 199):
        await stack.sandbox.place_order(customer_id=customer_id)
    await newest(stack, replace(PEOPLE, customer=False))
    asked = await b2b_calls(stack)
    # A missing user is not cached yet when another order needs it at the same moment.
    assert (asked[COMPANY], asked[USER]) in [(1, 3), (1, 4)]


async def test_refused_credentials_end_the_loading(stack: LoaderStack) -> None:
    await stack.sandbox.put_store(missing_scopes=["customers"])
    await stack.place(20)
    with pytest.raises(CredentialsRefused, match="Get All Customers: 403"):
        await newest(stack, PEOPLE)
    assert (await stack.calls())["Get All Customers"] <= 8


async def test_a_transient_error_is_a_gap_of_its_order(stack: LoaderStack) -> None:
    (order,) = await stack.place()
    replace_answer(stack, f"/v3/orders/{order}/metafields", httpx.Response(503, json={}))
    await stack.place()
    good, bad = await newest(stack, METAFIELDS)
    assert good.trouble is None
    assert isinstance(bad.trouble, TryAgain)
    assert bad.document["metafields"] == {}


# ── load_order ──────────────────────────────────────────────────────────────────────────────────────────────────


async def test_only_what_is_needed_is_read(stack: LoaderStack) -> None:
    loaded = await one(stack, NOTHING, customer_id=101)
    assert loaded.document.keys() == {
        *("order", "products", "shipping_addresses", "metafields", "customer", "user", "company"),
        *("cart", "quote", "record", "transactions"),
    }
    assert (loaded.gaps, loaded.trouble) == ({}, None)
    assert await stack.calls() == {SINGLE: 1}
    assert await b2b_calls(stack) == {}


async def test_everything_needed_is_loaded(stack: LoaderStack) -> None:
    loaded = await one(stack, PEOPLE, customer_id=101)
    assert loaded.gaps == {}
    assert loaded.document["customer"]["id"] == 101
    assert loaded.document["user"]["companyId"] == 5001
    assert loaded.document["company"]["extraFields"] == {"ERP Account": "ERP-10001"}
    assert await b2b_calls(stack) == {USER: 1, COMPANY: 1}


@pytest.mark.parametrize(("customer_id", "empty"), [(0, {"customer", "user", "company"}), (199, {"user", "company"})])
async def test_missing_people_are_gaps_but_no_error(stack: LoaderStack, customer_id: int, empty: set[str]) -> None:
    loaded = await one(stack, PEOPLE, customer_id=customer_id)
    assert loaded.gaps.keys() == empty
    assert {type(error) for error in loaded.gaps.values()} == {NoCompanyUser}
    assert loaded.trouble is None
    assert all(loaded.document[part] == {} for part in empty)
    assert (loaded.document["customer"] != {}) is ("customer" not in empty)


@pytest.mark.parametrize(("scope", "empty"), [("customers", {"customer"}), ("b2b_read", {"user", "company"})])
async def test_refused_credentials_for_a_part_of_one_order_are_a_gap(
    stack: LoaderStack, scope: str, empty: set[str]
) -> None:
    people: dict[str, Any] = {
        "customers": [{"id": 101}],
        "companies": [{"id": 5001, "name": "A"}],
        "users": [{"customer_id": 101, "company_id": 5001}],
    }
    await stack.sandbox.put_store(missing_scopes=[scope], **people)
    loaded = await one(stack, PEOPLE, customer_id=101)
    assert loaded.gaps.keys() == empty
    assert isinstance(loaded.trouble, CredentialsRefused)
    assert {part for part in ("customer", "user", "company") if loaded.document[part] == {}} == empty


SOURCES = replace(NOTHING, cart=True, quote=True, record=True, transactions=True)


async def test_sources_are_loaded_with_the_record(stack: LoaderStack) -> None:
    loaded = await one(
        stack,
        SOURCES,
        customer_id=101,
        record_after=0,
        buyer_po="B-1",
        buyer_extra_fields={"Cost Center": "CC-9"},
        cart_metafields={"checkout": {"po_number": "A-26"}},
        quote={"referenceNumber": "Q-1"},
        transactions=[{}],
    )
    assert loaded.gaps == {}
    assert loaded.document["cart"]["metafields"] == {"checkout": {"po_number": "A-26"}}
    assert loaded.document["quote"]["referenceNumber"] == "Q-1"
    assert len(loaded.document["transactions"]) == 1
    record = loaded.document["record"]
    assert (record["poNumber"], record["extraFields"]) == ("B-1", {"Cost Center": "CC-9"})


async def test_missing_sources_are_empty_and_no_gaps(stack: LoaderStack) -> None:
    loaded = await one(stack, SOURCES, customer_id=101, cart_metafields=None)
    assert (loaded.gaps, loaded.trouble) == ({}, None)
    found = {root: loaded.document[root] for root in ("cart", "quote", "record", "transactions")}
    assert found == {"cart": {}, "quote": {}, "record": {}, "transactions": []}


@pytest.mark.parametrize(
    ("scope", "empty"),
    [("carts", {"cart"}), ("transactions", {"transactions"}), ("b2b_read", {"quote", "record"})],
)
async def test_a_source_that_cannot_be_read_is_a_gap_of_its_own(
    stack: LoaderStack, scope: str, empty: set[str]
) -> None:
    await stack.sandbox.put_store(missing_scopes=[scope])
    loaded = await one(stack, SOURCES, quote={}, transactions=[{}], cart_metafields={"a": {"b": "c"}})
    assert loaded.gaps.keys() == empty
    assert isinstance(loaded.trouble, CredentialsRefused)
    filled = {root for root in ("cart", "quote", "transactions") if loaded.document[root]}
    assert filled == {"cart", "quote", "transactions"} - empty


async def test_quotes_of_the_newest_orders_come_from_one_list(stack: LoaderStack) -> None:
    await stack.place(5, quote={"referenceNumber": "Q-1"}, age=60)
    loaded = await newest(stack, replace(NOTHING, quote=True))
    assert [each.document["quote"]["referenceNumber"] for each in loaded] == ["Q-1"] * 5
    assert await b2b_calls(stack) == {"Get All Quotes": 1, "Get Quote Details": 5}


async def test_a_missing_order_is_an_error(stack: LoaderStack) -> None:
    with pytest.raises(NotFound, match="Get an Order: 404"):
        await load_order(api_of(stack), Cache(None, "sandbox"), 999, METAFIELDS)
    assert await stack.calls() == {SINGLE: 1}


def test_an_order_without_a_readable_date_has_no_time() -> None:
    loaded = LoadedOrder(1, {"order": {"date_created": "soon"}}, {"metafields": EnrichError("x")})
    assert (loaded.created_at, loaded.customer_id) == (None, 0)
