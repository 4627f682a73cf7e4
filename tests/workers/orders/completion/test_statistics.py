"""What finished orders add to their store's statistics: the jobs on a real Redis."""

import asyncio
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import httpx
import pytest

from service.orders.state.keys import PENDING_COUNTERS, statistics_prefix
from service.orders.state.order_entry import Entry, Stage, Status
from service.orders.state.per_store.counters import add_up
from service.orders.statistics import counting
from service.orders.statistics.aggregate import Aggregate
from service.orders.statistics.reading import Statistics
from tests.fakes.stacks.job_stack import JobStack, failure
from tests.fakes.upstream import STORE_HASH

DAY = datetime(2026, 1, 10, tzinfo=UTC)


async def day(job_stack: JobStack) -> Aggregate:
    (found,) = await Statistics(job_stack.redis, clock=job_stack.clock).days([STORE_HASH], DAY, DAY + timedelta(days=1))
    return found.aggregate


async def hour(job_stack: JobStack) -> Aggregate:
    at = DAY + timedelta(hours=21)
    statistics = Statistics(job_stack.redis, clock=job_stack.clock)
    (found,) = await statistics.hours([STORE_HASH], at, at + timedelta(minutes=59))
    return found.aggregate


async def test_an_order_counts_in_its_day_and_its_hour(job_stack: JobStack) -> None:
    await job_stack.webhook()
    entry = await job_stack.run_until_finished()

    found = await day(job_stack)
    assert found.outcomes == {"created": 1}
    assert found.verified == {"yes": 1}
    assert (found.made, found.missed, found.merged, found.share_in_window) == (1, 0, 0, 1.0)
    assert entry.create_age is not None
    assert found.create_ages.percentile(0.5) == pytest.approx(entry.create_age, abs=0.1)
    assert found.webhook_delays.total == 1
    assert Stage.SENT in found.stages
    assert await hour(job_stack) == found


async def test_days_are_kept_for_400_days_and_hours_for_72_hours(job_stack: JobStack) -> None:
    await job_stack.webhook()
    await job_stack.run_until_finished()

    await add_up(job_stack.redis, clock=job_stack.clock)
    age_s = job_stack.clock() - (DAY.timestamp() + 21 * 3600)
    for name, kept_s in (("20260110", 400 * 86_400), ("2026011021", 72 * 3600)):
        left_s = await job_stack.redis.ttl(statistics_prefix(STORE_HASH) + name)
        assert left_s == pytest.approx(kept_s - age_s, abs=60)


async def test_a_retry_replaces_the_outcome_and_leaves_the_window_as_it_was(job_stack: JobStack) -> None:
    job_stack.upstream.on("POST /api/v3/io/orders", failure(400, "bad"))
    job_stack.record.make("theirs", F="theirs")
    job_stack.configure(keys='existing_values = "replace"')
    job_stack.upstream.on("PUT /api/v3/io/orders/1", failure(400, "no such thing"))
    await job_stack.webhook()
    await job_stack.run_until_finished()
    before = await day(job_stack)
    assert before.outcomes == {"failed": 1}
    assert list(before.failures.values()) == [1]

    job_stack.upstream.on("PUT /api/v3/io/orders/1", job_stack.record.update)
    await job_stack.retry()
    await job_stack.run_until_finished()

    after = await day(job_stack)
    assert after.outcomes == {"updated": 1}
    assert after.failures == {}
    assert (after.made, after.missed) == (0, 0)
    assert after.orders == 1


async def test_a_later_change_is_no_second_order(job_stack: JobStack) -> None:
    await job_stack.webhook()
    await job_stack.run_until_finished()
    ages = (await day(job_stack)).create_ages

    job_stack.order["customer_message"] = "PO2"
    await job_stack.retry()
    entry = await job_stack.run_until_finished()

    found = await day(job_stack)
    assert entry.window_result == "made"
    assert found.orders == 1
    assert (found.made, found.missed) == (1, 0)
    assert found.create_ages == ages


async def test_an_order_that_comes_too_late_is_missed_with_its_reason(job_stack: JobStack) -> None:
    job_stack.record.make()
    job_stack.clock.tick(30)
    await job_stack.webhook()
    entry = await job_stack.run_until_finished()

    found = await day(job_stack)
    assert (entry.window_result, entry.missed_reason) == ("missed", "webhook late")
    assert (found.made, found.missed, found.misses) == (0, 1, {"webhook late": 1})
    assert found.share_in_window == 0.0


async def test_an_order_whose_create_had_no_quota_says_so(job_stack: JobStack) -> None:
    """Nothing was sent inside its window: its record is there because the platform has made it since."""
    spent = httpx.Response(429, headers={"X-Request-Window-Resets-After": "30 s", "X-Requests-Remaining": "0 times"})
    job_stack.upstream.on("POST /api/v3/io/orders", spent)
    await job_stack.webhook()
    await job_stack.run_next()
    job_stack.clock.tick(40)
    job_stack.record.make()
    entry = await job_stack.run_until_finished()

    assert (entry.status, entry.create_age) == (Status.UPDATED, None)
    assert (entry.window_result, entry.missed_reason) == ("missed", "quota")


async def test_orders_of_a_store_that_merges_are_counted_apart(job_stack: JobStack) -> None:
    job_stack.configure(keys='strategy = "merge"')
    job_stack.record.make()
    await job_stack.webhook()
    await job_stack.run_until_finished()

    found = await day(job_stack)
    assert (found.made, found.missed, found.merged, found.share_in_window) == (0, 0, 1, None)
    assert found.merge_ages.total == 1


async def test_finishing_twice_with_one_attempt_counts_once(job_stack: JobStack) -> None:
    """The answer of the script got lost."""
    await job_stack.webhook()
    entry = await job_stack.run_until_finished()
    once = await day(job_stack)

    counters = counting.count_finished(entry, merges=False, now=job_stack.clock())
    await job_stack.resources.transitions.finish(entry, counters=counters)
    assert await day(job_stack) == once


async def test_orders_that_are_a_month_old_are_not_counted(job_stack: JobStack) -> None:
    await job_stack.webhook()
    entry = await job_stack.run_until_finished()
    old = replace(entry, times={Stage.CREATED: job_stack.clock() - 31 * 86_400})
    assert counting.count_finished(old, merges=False, now=job_stack.clock()) is None


async def test_reasons_beyond_the_limit_are_counted_together(
    job_stack: JobStack, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("service.orders.state.per_store.counters.MOST_COUNTERS", 8)
    transitions = job_stack.resources.transitions
    for order_id in range(20):
        await job_stack.resources.queue.enqueue(STORE_HASH, 100 + order_id, source="webhook")
        entry, _ = await transitions.begin_attempt(STORE_HASH, 100 + order_id)
        await _fail(job_stack, entry, f"reason {order_id} é" + "x" * 200)

    await add_up(job_stack.redis, clock=job_stack.clock)
    (key,) = await job_stack.redis.keys(statistics_prefix(STORE_HASH) + "????????")
    assert await job_stack.redis.hlen(key) <= 9  # type: ignore[misc]
    assert max(map(len, await job_stack.redis.hkeys(key))) <= 64  # type: ignore[misc]
    assert await job_stack.redis.object("encoding", key) in (b"ziplist", b"listpack")
    now = datetime.fromtimestamp(job_stack.clock(), UTC)
    statistics = Statistics(job_stack.redis, clock=job_stack.clock)
    (found,) = await statistics.days([STORE_HASH], now, now + timedelta(seconds=1))
    assert found.aggregate.failures["other"] > 10
    assert sum(found.aggregate.failures.values()) == found.aggregate.orders == 20


async def _fail(job_stack: JobStack, entry: Entry, reason: str) -> None:
    entry.status, entry.reason = Status.FAILED, reason
    counters = counting.count_finished(entry, merges=False, now=job_stack.clock())
    await job_stack.resources.transitions.finish(entry, counters=counters)


async def test_an_order_that_is_finished_again_before_it_was_added_up_counts_once(job_stack: JobStack) -> None:
    await job_stack.webhook()
    entry = await job_stack.run_until_finished()
    await _fail(job_stack, entry, "of\nseveral  lines")

    found = await day(job_stack)
    assert (found.outcomes, found.failures) == ({"failed": 1}, {"of several lines": 1})
    assert found.create_ages.total == 1
    assert await hour(job_stack) == found
    assert await job_stack.redis.exists(PENDING_COUNTERS) == 0


async def test_what_several_workers_add_up_counts_once(job_stack: JobStack, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("service.orders.state.per_store.counters._MOST_AT_ONCE", 3)
    for order_id in range(10):
        await job_stack.resources.queue.enqueue(STORE_HASH, 100 + order_id, source="webhook")
        entry, _ = await job_stack.resources.transitions.begin_attempt(STORE_HASH, 100 + order_id)
        await _fail(job_stack, entry, "refused")
    await asyncio.gather(*(add_up(job_stack.redis, clock=job_stack.clock) for _ in range(3)))

    now = datetime.fromtimestamp(job_stack.clock(), UTC)
    (found,) = await Statistics(job_stack.redis, clock=job_stack.clock).days(
        [STORE_HASH], now, now + timedelta(seconds=1)
    )
    assert found.aggregate.failures == {"refused": 10}


async def test_a_day_that_is_not_kept_any_more_does_not_come_back(job_stack: JobStack) -> None:
    await job_stack.webhook()
    await job_stack.run_until_finished()
    job_stack.clock.tick(401 * 86_400)
    await add_up(job_stack.redis, clock=job_stack.clock)
    assert await job_stack.redis.keys(statistics_prefix(STORE_HASH) + "*") == []
