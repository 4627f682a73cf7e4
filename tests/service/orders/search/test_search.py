"""Searching the ledger, page by page, over one store and over many."""

import random
from collections.abc import Sequence
from dataclasses import replace

import pytest
from arq import ArqRedis

from service.errors import ConfigError
from service.orders.search import OrderFilter, find, find_page
from service.orders.state.keys import index_key
from service.orders.state.order_entry import Entry, Status
from service.orders.state.queue import Queue
from service.orders.state.transitions import Transitions
from tests.fakes.orders import enriched, failed

NOW = 1_700_000_000.0
STORE = "abc123"


async def finish(redis: ArqRedis, *entries: Entry, at: float = NOW) -> None:
    for entry in entries:
        await Transitions(redis, clock=lambda: at).finish(entry)


async def finish_many(redis: ArqRedis, entries: Sequence[Entry], seconds: Sequence[float]) -> None:
    for entry, at in zip(entries, seconds, strict=True):
        await finish(redis, entry, at=NOW + at)


async def found(redis: ArqRedis, wanted: OrderFilter, *stores: str) -> list[int]:
    return [entry.order_id for entry in await find(redis, stores or (STORE,), wanted)]


async def test_the_last_changed_come_first_with_failures_that_left_the_index(redis: ArqRedis) -> None:
    await finish_many(redis, [failed(1), *(enriched(order_id) for order_id in range(2, 6))], range(1, 6))
    await redis.zrem(index_key(STORE), 1)

    assert await found(redis, OrderFilter()) == [5, 4, 3, 2, 1]
    assert await found(redis, OrderFilter(since=NOW + 4)) == [5, 4]
    assert await found(redis, OrderFilter(until=NOW + 3)) == [3, 2, 1]
    assert await found(redis, OrderFilter(since=NOW + 2, until=NOW + 3)) == [3, 2]
    assert await found(redis, OrderFilter(Status.FAILED)) == [1]


async def test_a_failed_order_that_is_tried_again_is_found_once(redis: ArqRedis) -> None:
    await finish(redis, failed(1), at=NOW)
    await finish(redis, enriched(2), at=NOW + 1)
    await Queue(redis, clock=lambda: NOW + 2).retry(STORE, 1)

    assert await found(redis, OrderFilter()) == [1, 2]
    assert await found(redis, OrderFilter(Status.FAILED)) == []


LATE = replace(enriched(9), window_result="missed", missed_reason="webhook late")
RETRIED = replace(enriched(8), status=Status.UPDATED, window_result="not_counted", source="retry")


@pytest.mark.parametrize(
    ("wanted", "ids"),
    [
        (OrderFilter(order_id=2), [2]),
        (OrderFilter(order_id=2, status=Status.FAILED), []),
        (OrderFilter(order_id=2, until=NOW - 1), []),
        (OrderFilter(customer_id=7), [2]),
        (OrderFilter(company_id=12), [3, 2]),
        (OrderFilter(fields={"cost center": "cc-9"}), [2]),
        (OrderFilter(fields={"Cost Center": ""}), [9, 8, 3, 2]),
        (OrderFilter(fields={"Cost Center": "CC-9", "Dock": "x"}), []),
        (OrderFilter(po="[4711]"), []),
        (OrderFilter(margin_below=8.0), [3]),
        (OrderFilter(margin_below=9.0), [3]),
        (OrderFilter(margin_below=9.001), [3, 2]),
        (OrderFilter(margin_below=1000.0), [3, 2]),
        (OrderFilter(late=True), [9]),
        (OrderFilter(late=True, customer_id=7), []),
    ],
)
async def test_an_order_must_match_every_filter(redis: ArqRedis, wanted: OrderFilter, ids: list[int]) -> None:
    second = replace(enriched(2), customer_id=7, record_company_id=12, fields={"Cost Center": "CC-99"}, create_age=1.0)
    third = replace(enriched(3), company_id=12, create_age=2.5)
    others = [replace(each, create_age=None) for each in (RETRIED, LATE)]
    await finish_many(redis, [failed(1), second, third, *others], range(5))
    assert await found(redis, wanted) == ids


@pytest.mark.parametrize("limit", [1, 3, 7, 1000])
@pytest.mark.parametrize("stores", [1, 5])
async def test_pages_give_every_order_once_and_in_order(redis: ArqRedis, limit: int, stores: int) -> None:
    """Many orders change in the same millisecond, so that pages end between them."""
    dice = random.Random(limit)
    names = [f"store{number}" for number in range(stores)]
    placed = [(dice.choice(names), order_id, dice.randrange(4)) for order_id in range(1, 120)]
    for name, order_id, second in placed:
        await finish(redis, enriched(order_id, name), at=NOW + second)

    pages, cursor = [], None
    while True:
        page = await find_page(redis, names, OrderFilter(), limit=limit, cursor=cursor)
        pages.append([(entry.store, entry.order_id) for entry in page.entries])
        cursor = page.cursor
        if cursor is None:
            break

    assert all(len(page) == limit for page in pages[:-1])
    rows = [row for page in pages for row in page]
    assert sorted(rows) == sorted((name, order_id) for name, order_id, _ in placed)
    seconds = {order_id: second for _, order_id, second in placed}
    assert [seconds[order_id] for _, order_id in rows] == sorted(seconds.values(), reverse=True)


@pytest.mark.parametrize(
    "wanted", [OrderFilter(Status.SKIPPED), OrderFilter(customer_id=7), OrderFilter(Status.FAILED, customer_id=7)]
)
@pytest.mark.parametrize(("limit", "most_examined"), [(1, 2000), (7, 30), (1000, 1)])
@pytest.mark.parametrize("stores", [1, 4])
async def test_pages_of_what_redis_leaves_in_are_whole_wherever_they_end(
    redis: ArqRedis, monkeypatch: pytest.MonkeyPatch, wanted: OrderFilter, limit: int, most_examined: int, stores: int
) -> None:
    """Few orders match, many change in the same millisecond, and some failed ones have left the index."""
    monkeypatch.setattr("service.orders.search.positions._LARGEST_BATCH", 8)
    monkeypatch.setattr("service.orders.search.positions._FIRST_NARROWED", 6)
    dice, placed = random.Random(limit), dict[tuple[str, int], int]()
    for order_id in range(1, 150):
        kind = dice.choice([enriched, enriched, failed])
        second = dice.randrange(0 if kind is failed else 2, 9)
        entry = replace(kind(order_id, f"store{dice.randrange(stores)}"), customer_id=dice.choice([7, 8]))
        if kind is enriched and dice.random() < 0.2:
            entry.status = Status.SKIPPED
        await finish(redis, entry, at=NOW + second)
        if entry.status is Status.FAILED and second < 2:
            await redis.zrem(index_key(entry.store), order_id)
        if wanted.matches(entry):
            placed[entry.store, order_id] = second

    rows, cursor = [], None
    for _ in range(1000):
        page = await find_page(
            redis,
            [f"store{number}" for number in range(stores)],
            wanted,
            limit=limit,
            cursor=cursor,
            most_examined=most_examined,
        )
        rows += [(entry.store, entry.order_id) for entry in page.entries]
        if (cursor := page.cursor) is None:
            break

    assert cursor is None
    assert sorted(rows) == sorted(placed)
    assert [placed[row] for row in rows] == sorted(placed.values(), reverse=True)


async def test_orders_that_redis_leaves_out_never_reach_the_process(redis: ArqRedis) -> None:
    await finish_many(redis, [replace(enriched(n), customer_id=7 + (n == 90)) for n in range(1, 101)], range(100))
    await redis.config_resetstat()
    assert await found(redis, OrderFilter(customer_id=8)) == [90]
    commands = await redis.info("commandstats")
    assert commands["cmdstat_hmget"]["calls"] == commands["cmdstat_hgetall"]["calls"] == 1
    assert len(await found(redis, OrderFilter(customer_id=7))) == 99


async def test_more_orders_of_one_millisecond_than_a_batch_holds_are_all_found(
    redis: ArqRedis, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("service.orders.search.positions._LARGEST_BATCH", 4)
    await finish(redis, *(enriched(order_id) for order_id in range(1, 31)))
    first = await find_page(redis, [STORE], OrderFilter(), limit=20)
    rest = await find_page(redis, [STORE], OrderFilter(), limit=20, cursor=first.cursor)
    assert sorted(entry.order_id for page in (first, rest) for entry in page.entries) == list(range(1, 31))
    assert rest.cursor is None


async def test_orders_that_change_meanwhile_are_not_shown_twice(redis: ArqRedis) -> None:
    await finish_many(redis, [enriched(order_id) for order_id in range(1, 7)], range(6))
    first = await find_page(redis, [STORE], OrderFilter(), limit=3)
    await finish(redis, enriched(7), at=NOW + 100)
    rest = await find_page(redis, [STORE], OrderFilter(), limit=3, cursor=first.cursor)
    assert [entry.order_id for entry in rest.entries] == [3, 2, 1]


async def test_a_page_for_a_rare_text_ends_early_and_goes_on(redis: ArqRedis) -> None:
    await finish_many(redis, [failed(1), *(enriched(order_id) for order_id in range(2, 12))], range(11))
    wanted = OrderFilter(reason="cost center")
    first = await find_page(redis, [STORE], wanted, most_examined=6)
    assert (first.entries, first.cursor is None) == ((), False)
    second = await find_page(redis, [STORE], wanted, cursor=first.cursor, most_examined=6)
    assert ([entry.order_id for entry in second.entries], second.cursor) == ([1], None)


@pytest.mark.parametrize("cursor", ["x", "1-2", "1-a-b", "1-a-2-3"])
async def test_a_cursor_that_no_page_gave_is_refused(redis: ArqRedis, cursor: str) -> None:
    with pytest.raises(ConfigError, match="Start again at the first page"):
        await find_page(redis, [STORE], OrderFilter(), cursor=cursor)


async def test_a_first_page_reads_a_bounded_part_of_a_large_ledger(redis: ArqRedis) -> None:
    """By what Redis is asked for, not by time: entries read for a page of 50 of 2,000 orders."""
    await redis.zadd(index_key(STORE), {str(order_id): order_id for order_id in range(1, 2001)})
    async with redis.pipeline(transaction=False) as pipe:
        for order_id in range(1, 2001):
            pipe.hset(f"enrich:order:{STORE}:{order_id}", mapping=enriched(order_id).to_hash())
        await pipe.execute()
    await redis.config_resetstat()

    page = await find_page(redis, [STORE], OrderFilter(), limit=50)

    assert [entry.order_id for entry in page.entries] == list(range(2000, 1950, -1))
    commands = await redis.info("commandstats")
    assert commands["cmdstat_hgetall"]["calls"] <= 200


@pytest.mark.parametrize("limit", [1, 2, 100])
async def test_failures_that_left_the_index_come_last_on_any_page(redis: ArqRedis, limit: int) -> None:
    await finish_many(redis, [failed(1), failed(2), failed(3), enriched(4), enriched(5)], range(5))
    await redis.zrem(index_key(STORE), 1, 2)
    ids, cursor = [], None
    for _ in range(10):
        page = await find_page(redis, [STORE, "def456"], OrderFilter(), limit=limit, cursor=cursor)
        ids += [entry.order_id for entry in page.entries]
        cursor = page.cursor
        if cursor is None:
            break
    assert ids == [5, 4, 3, 2, 1]


async def test_of_orders_that_do_not_match_only_a_part_is_read(redis: ArqRedis) -> None:
    await finish_many(redis, [failed(1), *(enriched(order_id) for order_id in range(2, 12))], range(11))
    await redis.config_resetstat()
    assert await found(redis, OrderFilter(reason="cost center")) == [1]
    commands = await redis.info("commandstats")
    assert (commands["cmdstat_hmget"]["calls"], commands["cmdstat_hgetall"]["calls"]) == (11, 1)


@pytest.mark.parametrize(
    "wanted",
    [
        OrderFilter(reason="x"),
        OrderFilter(po="x"),
        OrderFilter(customer_id=1),
        OrderFilter(company_id=1),
        OrderFilter(fields={"a": "b"}),
        OrderFilter(margin_below=1.0),
        OrderFilter(late=True),
    ],
)
def test_a_filter_names_all_that_it_reads(wanted: OrderFilter) -> None:
    """Else an order would be compared by a default instead of its own value."""
    touched: set[str] = set()

    class Spy:
        def __init__(self, entry: Entry) -> None:
            self._entry = entry

        def __getattr__(self, name: str) -> object:
            touched.add(name)
            return getattr(self._entry, name)

    for entry in (enriched(), failed(), Entry(STORE, 1), replace(LATE), replace(enriched(), rule="r", reason="x")):
        wanted.matches(Spy(entry))  # type: ignore[arg-type]
    assert touched - {"status", "in_window"} <= set(wanted.reads)


@pytest.mark.parametrize(
    ("po", "ids"),
    [
        ("ss-1", [4, 3]),
        ("STRASSE", [4, 3]),
        ("straße", [4, 3]),
        ("ärger", [2]),
        ("ÄRGER", [2]),
        ("kilo", [1]),
        ('"', [5]),
        ("\\", [6]),
        ("nul", []),
        ("u00", []),
        ("é", []),
    ],
)
async def test_a_po_is_found_in_any_case_and_alphabet(redis: ArqRedis, po: str, ids: list[int]) -> None:
    """Redis leaves out what cannot match; it knows only the lower case of ASCII."""
    numbers = ["\u212aILO", "Ärger 12", "Strasse-1/SS-1", "STRASSE SS-1", 'say "no"', "back\\slash"]
    await finish_many(
        redis, [replace(enriched(n), po_number=each) for n, each in enumerate(numbers, 1)], range(len(numbers))
    )
    await finish(redis, replace(enriched(7), po_number=None))
    wanted = OrderFilter(po=po)
    assert await found(redis, wanted) == ids
    page = await find_page(redis, [STORE], wanted, only=["po_number"])
    assert [entry.order_id for entry in page.entries] == ids


async def test_with_only_some_fields_the_same_orders_are_found(redis: ArqRedis) -> None:
    await finish_many(redis, [failed(1), enriched(2), failed(3, reason="po_number")], range(3))
    wanted = OrderFilter(status=Status.FAILED, reason="COST")
    (entry,) = (await find_page(redis, [STORE], wanted, only=["kept"])).entries
    assert (entry.order_id, entry.status, entry.reason, entry.times) == (1, Status.FAILED, "Cost Center", {})
