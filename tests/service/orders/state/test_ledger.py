import pytest
from arq import ArqRedis

from service.orders.search import OrderFilter, find
from service.orders.state import transitions as module
from service.orders.state.keys import entry_key, failed_key, index_key
from service.orders.state.ledger import Ledger
from service.orders.state.order_entry import Entry, Sent, Status
from service.orders.state.transitions import DAY_MS, Transitions

NOW = 1_700_000_000.0


def transitions_on(redis: ArqRedis, now: float = NOW) -> Transitions:
    return Transitions(redis, clock=lambda: now)


async def listed(redis: ArqRedis, *, status: Status | None = None) -> list[int]:
    return [entry.order_id for entry in await find(redis, ["abc123"], OrderFilter(status))]


async def test_an_unknown_order_has_no_entry(redis: ArqRedis) -> None:
    assert await Ledger(redis).get("abc123", 1) is None


async def test_a_finished_order_is_kept_thirty_days_and_a_failed_one_ninety(redis: ArqRedis) -> None:
    transitions = transitions_on(redis)
    await transitions.finish(Entry("abc123", 1, status=Status.CREATED))
    await transitions.finish(Entry("abc123", 2, status=Status.FAILED))

    assert 29 * DAY_MS < await redis.pttl(entry_key("abc123", 1)) <= 30 * DAY_MS
    assert 89 * DAY_MS < await redis.pttl(entry_key("abc123", 2)) <= 90 * DAY_MS


async def test_the_entry_of_an_unfinished_order_does_not_expire(redis: ArqRedis) -> None:
    await transitions_on(redis).save(Entry("abc123", 1, sent=Sent("create", "A-1", {"Centre": "7"})))

    assert await redis.pttl(entry_key("abc123", 1)) == -1
    entry = await Ledger(redis).get("abc123", 1)
    assert entry is not None
    assert entry.sent == Sent("create", "A-1", {"Centre": "7"})


async def test_entries_are_read_last_changed_first_with_failures_that_left_the_index(redis: ArqRedis) -> None:
    for order_id in range(1, 6):
        status = Status.FAILED if order_id == 1 else Status.CREATED
        await transitions_on(redis, NOW + order_id).finish(Entry("abc123", order_id, status=status))
    await redis.zrem(index_key("abc123"), 1)

    async def read(*, failed_only: bool = False, since: float = 0.0) -> list[int]:
        entries = Ledger(redis).entries("abc123", failed_only=failed_only, since=since, batch=2)
        return [entry.order_id async for entry in entries]

    assert await read() == [5, 4, 3, 2, 1]
    assert await read(since=NOW + 4) == [5, 4]
    assert await read(failed_only=True) == [1]


async def test_an_order_that_was_updated_is_no_longer_among_the_failed(redis: ArqRedis) -> None:
    transitions = transitions_on(redis)
    await transitions.finish(Entry("abc123", 1, status=Status.FAILED))
    await transitions.finish(Entry("abc123", 1, status=Status.UPDATED))

    assert await listed(redis, status=Status.FAILED) == []


async def test_orders_past_their_retention_leave_the_indexes(redis: ArqRedis) -> None:
    await transitions_on(redis, NOW - 31 * 86400).finish(Entry("abc123", 1, status=Status.CREATED))
    await transitions_on(redis, NOW - 91 * 86400).finish(Entry("abc123", 2, status=Status.FAILED))
    await transitions_on(redis).finish(Entry("abc123", 3, status=Status.CREATED))

    assert await redis.zrange(index_key("abc123"), 0, -1) == [b"3"]
    assert await redis.zcard(failed_key("abc123")) == 0


async def test_a_store_with_too_many_entries_loses_the_oldest_but_no_failures(
    redis: ArqRedis, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "MOST_ENTRIES", 2)
    for order_id, status in enumerate((Status.FAILED, Status.CREATED, Status.CREATED, Status.CREATED), start=1):
        await transitions_on(redis, NOW + order_id).finish(Entry("abc123", order_id, status=status))

    ledger = Ledger(redis)
    assert [await ledger.get("abc123", order_id) is None for order_id in range(1, 5)] == [False, True, False, False]
    assert await listed(redis) == [4, 3, 1]
