"""The state of many stores is read in one exchange."""

import asyncio
from collections.abc import Sequence

import pytest
from arq import ArqRedis

from service.orders.state.keys import breaker_key, cursor_key, held_key, hook_key, polling_key, waiting_key
from service.orders.state.keys import webhook_pace_key as pace_key
from tests.fakes.redis.exchanges import counted_exchanges
from workers.periodic.cursor import Cursor
from workers.periodic.polling import PollingState
from workers.periodic.store_state import SharedReads, StoreStates


async def test_the_state_of_many_stores_costs_one_exchange(redis: ArqRedis) -> None:
    states, stores = StoreStates(redis), [f"s{number}" for number in range(200)]
    await Cursor(time=7.0).write(redis, cursor_key("s7"))
    await redis.ping()
    with counted_exchanges() as counted:
        found = await asyncio.gather(*(states.read(store, interval_s=60.0) for store in stores))

    assert counted.number == 1
    assert [state.cursor is not None for state in found] == [number == 7 for number in range(200)]


async def test_a_store_that_nothing_is_known_of(redis: ArqRedis) -> None:
    state = await StoreStates(redis).read("s1", interval_s=60.0)
    assert (state.is_locked_out, state.polling, state.cursor, state.has_hook_problem) == (False, None, None, False)
    assert (state.hooks_checked_at, state.held, state.await_status, state.pace.last_at) == (None, 0, 0, None)


async def test_all_that_is_known_of_a_store(redis: ArqRedis) -> None:
    polling = PollingState(since=1.0, reason="test", missed_webhook_at=2.0)
    await polling.write(redis, polling_key("s1"))
    await Cursor(time=3.0).write(redis, cursor_key("s1"))
    await redis.set(breaker_key("s1"), "1")
    await redis.hset(pace_key("s1"), mapping={"last_ms": 4000, "late_ms": 5000, "gaps": 16, "mean_ms": 2000})  # type: ignore[misc]
    troubles = '[["inactive", "store/order/created"]]'
    await redis.hset(hook_key("s1"), mapping={"troubles": troubles, "checked_at": "6.5"})  # type: ignore[misc]
    await redis.zadd(held_key("s1"), {"1": 1, "2": 2})
    await redis.zadd(waiting_key("s1"), {"3": 3})

    state = await StoreStates(redis).read("s1", interval_s=60.0)

    assert (state.is_locked_out, state.polling, state.cursor) == (True, polling, Cursor(time=3.0))
    assert (state.pace.last_at, state.pace.late_at, state.pace.mean_gap_s) == (4.0, 5.0, 2.0)
    assert (state.has_hook_problem, state.hooks_checked_at, state.held, state.await_status) == (True, 6.5, 2, 1)
    evidence = state.evidence(10.0, state.cursor)
    assert list(evidence.troubles()) == [
        "recent order",
        "polling",
        "webhook problem",
        "lost webhook",
        "orders wait",
    ]
    assert (await StoreStates(redis).news("s1")).webhook_at == 5.0


async def test_an_error_reaches_all_who_asked_and_nobody_else() -> None:
    fails = True

    async def read_many(stores: Sequence[str]) -> Sequence[str]:
        if fails:
            raise ConnectionError("gone")
        return [store.upper() for store in stores]

    reads = SharedReads(read_many)
    results = await asyncio.gather(reads.read("a"), reads.read("b"), return_exceptions=True)
    assert [type(result) for result in results] == [ConnectionError, ConnectionError]
    fails = False
    assert await reads.read("a") == "A"


async def test_a_caller_that_gives_up_does_not_disturb_the_others() -> None:
    asked: list[Sequence[str]] = []

    async def read_many(stores: Sequence[str]) -> Sequence[str]:
        asked.append(stores)
        return stores

    reads = SharedReads(read_many)
    impatient, patient = asyncio.ensure_future(reads.read("a")), asyncio.ensure_future(reads.read("b"))
    await asyncio.sleep(0)
    impatient.cancel()
    assert await patient == "b"
    assert asked == [["a", "b"]]
    with pytest.raises(asyncio.CancelledError):
        await impatient
