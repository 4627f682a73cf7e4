"""Finding an order's quote in the list: how far the list is read, who shares it, and when it is read again."""

import asyncio
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import format_datetime
from typing import Any

import httpx
import pytest

from service.bigcommerce import StoreApi, Transport
from service.errors import TryAgain
from service.orders.document.cache import Cache
from service.orders.document.loading import Document
from service.orders.document.quote_search import MAX_PAGES, read_quote
from tests.fakes.sandbox import StillClock
from tests.fakes.upstream import FakeUpstream, account, store_api

LIST = "GET /api/v3/io/rfq"
HOUR = 3600
PER_PAGE = 3
"""Of the scripted list: fewer rows than are asked for, so that the total decides."""


@dataclass(slots=True)
class Store:
    """A store's quotes: ``(order id, seconds since the last update)``, newest first."""

    clock: StillClock
    quotes: list[tuple[int | None, float]] = field(default_factory=list)
    channels: list[str | None] = field(default_factory=list)
    upstream: FakeUpstream = field(default_factory=FakeUpstream)

    def answer(self, request: httpx.Request) -> Any:
        offset = int(request.url.params["offset"])
        self.channels.append(request.url.params.get("channelIds[]"))
        rows = [
            {
                "quoteId": number,
                "bcOrderId": str(order_id) if order_id else None,
                "updatedAt": int(self.clock.now - age),
                "createdAt": 1_744_061_400,
                "referenceNumber": f"Q-{order_id}",
                "extraFields": [{"fieldName": "from", "fieldValue": "list"}],
            }
            for number, (order_id, age) in enumerate(self.quotes, start=1)
        ]
        pagination = {"totalCount": len(rows)}
        return {"code": 200, "data": {"list": rows[offset : offset + PER_PAGE], "pagination": pagination}}

    def order(self, order_id: int, age: float = 3.0, **fields: Any) -> Document:
        created = format_datetime(datetime.fromtimestamp(int(self.clock.now - age), UTC))
        return {"id": order_id, "date_created": created, "channel_id": 1, **fields}

    @property
    def lists(self) -> int:
        return self.upstream.asked.count(LIST)


@pytest.fixture
def store() -> Store:
    store = Store(StillClock())
    store.upstream.on(LIST, store.answer)
    for number in range(1, 1000):
        missing = (404, {"code": 404, "data": {"errMsg": "Quote does not exist."}, "meta": {}})
        store.upstream.on(f"GET /api/v3/io/rfq/{number}", missing)
    return store


async def found(store: Store, *orders: Document, cache: Cache | None = None) -> list[str | None]:
    """The reference numbers of the orders' quotes. Get Quote Details finds none, so they are those of the list."""
    cache = cache or Cache(None, "abc123", clock=store.clock)
    async with store_api(store.upstream, clock=store.clock) as api:
        return [(await read_quote(api, cache, order)).get("referenceNumber") for order in orders]


async def test_the_list_answers_when_the_quote_itself_cannot_be_read(store: Store) -> None:
    store.quotes = [(8, 1), (7, 2)]
    async with store_api(store.upstream, clock=store.clock) as api:
        quote = await read_quote(api, Cache(None, "abc123"), store.order(7))
    assert quote["extraFields"] == {"from": "list"}
    assert store.upstream.asked == [LIST, "GET /api/v3/io/rfq/2"]


async def test_a_new_order_needs_one_page(store: Store) -> None:
    store.quotes = [(None, 1), (7, 2), *[(None, HOUR)] * 20]
    assert await found(store, store.order(7), store.order(8)) == ["Q-7", None]
    assert store.lists == 1


async def test_a_backdated_order_is_looked_for_among_the_newest_quotes_and_not_in_an_old_list(store: Store) -> None:
    years = 7 * 365 * 24 * HOUR
    cache = Cache(None, "abc123", clock=store.clock)
    store.quotes = [(8, 1), *[(None, HOUR)] * 20]
    await found(store, store.order(8), cache=cache)
    store.clock.tick(2.0)
    store.quotes = [(7, 0), *store.quotes]
    async with store_api(store.upstream, clock=store.clock) as api:
        quote = await read_quote(api, cache, store.order(7, years), made_at=store.clock.now)
    assert quote["referenceNumber"] == "Q-7"
    assert store.lists == 2


async def test_an_older_order_is_looked_for_as_far_back_as_its_creation(store: Store) -> None:
    store.quotes = [*[(None, 60)] * 7, (7, 5 * HOUR), *[(None, 9 * HOUR)] * 20]
    assert await found(store, store.order(7, 6 * HOUR)) == ["Q-7"]
    assert store.lists == 3  # the third page ends before the order


async def test_a_list_without_times_is_read_to_its_end(store: Store) -> None:
    rows = [{"quoteId": number, "bcOrderId": None} for number in (1, 2, 3)]
    last = [{"quoteId": 9, "bcOrderId": 7, "referenceNumber": "Q-7"}]
    answers = [{"code": 200, "data": {"list": page, "pagination": {"totalCount": 7}}} for page in (rows, rows, last)]
    store.upstream.on(LIST, *answers)
    assert await found(store, store.order(7)) == ["Q-7"]
    assert store.lists == 3


async def test_a_list_that_does_not_end_is_transient(store: Store) -> None:
    store.quotes = [(None, 1)] * (PER_PAGE * (MAX_PAGES + 1))
    with pytest.raises(TryAgain, match="Get All Quotes: 200: the list does not end after 50 pages"):
        await found(store, store.order(7, HOUR))


async def test_orders_that_are_older_than_the_list_share_it(store: Store) -> None:
    store.quotes = [(9, 1), (8, 2), (7, 3)]
    cache = Cache(None, "abc123", clock=store.clock)
    assert await found(store, store.order(7), store.order(8), store.order(9), cache=cache) == ["Q-7", "Q-8", "Q-9"]
    assert store.lists == 1


async def test_an_order_that_is_newer_than_the_list_reads_it_again(store: Store) -> None:
    cache = Cache(None, "abc123", clock=store.clock)
    store.quotes = [(7, 3)]
    assert await found(store, store.order(7), cache=cache) == ["Q-7"]
    store.clock.tick(5)
    store.quotes.insert(0, (8, 2))
    assert await found(store, store.order(8), store.order(7, 8), cache=cache) == ["Q-8", "Q-7"]
    assert store.lists == 2


async def test_an_order_of_this_very_second_asks_once(store: Store) -> None:
    assert await found(store, store.order(7, 0)) == [None]
    assert store.lists == 1


async def test_orders_of_a_burst_share_two_lists(store: Store) -> None:
    """Those that came while the first list was being read cannot rely on it, but on the second one."""
    orders = [store.order(number, 0) for number in range(1, 30)]
    store.quotes = [(number, 0) for number in range(1, 30)]
    release = asyncio.Event()

    async def slow_list(request: httpx.Request) -> httpx.Response:
        if request.url.path.endswith("/rfq") and store.lists == 0:
            await release.wait()
        store.clock.tick(0.01)
        return store.upstream.handle(request)

    async with httpx.MockTransport(slow_list) as http:
        transport = Transport(http, core_url="https://core.test", b2b_url="https://b2b.test", clock=store.clock)
        api, cache = StoreApi(transport, account("access-token")), Cache(None, "abc123", clock=store.clock)
        first = asyncio.create_task(read_quote(api, cache, orders[0]))
        await asyncio.sleep(0)
        store.clock.tick(0.1)
        rest = [asyncio.create_task(read_quote(api, cache, order)) for order in orders[1:]]
        await asyncio.sleep(0)
        release.set()
        quotes = await asyncio.gather(first, *rest)

    assert [quote["referenceNumber"] for quote in quotes] == [f"Q-{number}" for number in range(1, 30)]
    pages = -(-29 // PER_PAGE)
    assert store.lists == 2 * pages


async def test_old_orders_do_not_replace_the_list_of_new_ones(store: Store) -> None:
    store.quotes = [(9, 1), *[(None, 2 * HOUR)] * 5, (7, 5 * HOUR), (None, 9 * HOUR)]
    cache = Cache(None, "abc123", clock=store.clock)
    old, younger, new = store.order(7, 6 * HOUR), store.order(6, 3 * HOUR), store.order(9)
    assert await found(store, old, new, younger, new, cache=cache) == ["Q-7", "Q-9", None, "Q-9"]
    assert store.lists == 3 + 1


async def test_each_channel_has_its_list(store: Store) -> None:
    await found(store, store.order(7), store.order(8, channel_id=12), store.order(9, channel_id=None))
    assert store.channels == ["1", "12", None]


async def test_an_old_list_is_read_again(store: Store) -> None:
    cache = Cache(None, "abc123", clock=store.clock)
    order = store.order(7)
    await found(store, order, cache=cache)
    store.clock.tick(601)
    await found(store, order, cache=cache)
    assert store.lists == 2


async def test_calls_are_counted_for_the_order(store: Store) -> None:
    store.quotes = [(7, 1)]
    async with store_api(store.upstream, clock=store.clock) as api:
        assert isinstance(api, StoreApi)
        await read_quote(api, Cache(None, "abc123"), store.order(7))
        assert api.calls == 2
