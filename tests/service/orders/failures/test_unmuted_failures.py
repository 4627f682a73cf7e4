"""Orders that need a person, without those of muted groups."""

import pytest
from arq import ArqRedis

from service.orders.failures import unmuted_failures
from service.orders.failures.failure_groups import find_failures
from service.orders.failures.muted_groups import MutedGroups
from service.orders.failures.unmuted_failures import MutedCounts, UnmutedFailures
from service.orders.state.keys import failed_key
from service.orders.state.order_entry import Entry
from service.orders.state.transitions import Transitions
from tests.fakes.orders import failed


async def finish(redis: ArqRedis, *entries: Entry, at: float) -> None:
    for entry in entries:
        await Transitions(redis, clock=lambda: at).finish(entry)


async def mute(redis: ArqRedis, reason: str) -> None:
    groups = (await find_failures(redis, "abc123", ["po_number", "Cost Center"])).groups
    (group,) = [group.id for group in groups if group.reason == reason]
    await MutedGroups(redis).mute("abc123", group, "ana", 60.0)


async def test_without_a_mute_no_order_is_read(redis: ArqRedis, monkeypatch: pytest.MonkeyPatch) -> None:
    await finish(redis, failed(1), at=1000.0)
    await finish(redis, failed(2, reason="po_number"), at=2000.0)
    reader = UnmutedFailures(redis)
    monkeypatch.setattr(reader, "_ledger", None)
    assert await reader.counts(["abc123", "other1"]) == {
        "abc123": MutedCounts(0, 0, 1000.0, 2000.0),
        "other1": MutedCounts(),
    }
    assert await reader.counts([]) == {}


async def test_muted_orders_are_counted_also_those_that_fail_later(redis: ArqRedis) -> None:
    await finish(redis, failed(1, reason="po_number"), at=1000.0)
    await finish(redis, failed(2), at=2000.0)
    await finish(redis, failed(3, reason="po_number"), at=3000.0)
    await mute(redis, "po_number")
    reader = UnmutedFailures(redis)
    assert await reader.counts(["abc123"]) == {"abc123": MutedCounts(2, 0, 2000.0, 2000.0)}
    await finish(redis, failed(4, reason="po_number"), at=4000.0)
    assert await reader.counts(["abc123"]) == {"abc123": MutedCounts(3, 0, 2000.0, 2000.0)}
    # The same order fails again, for another reason.
    await finish(redis, failed(4), at=5000.0)
    assert await reader.counts(["abc123"]) == {"abc123": MutedCounts(2, 0, 2000.0, 5000.0)}
    assert [failure.reason for failure in await reader.failed("abc123")] == ["Cost Center", "Cost Center"]
    await redis.zrem(failed_key("abc123"), 2, 4)
    assert await reader.counts(["abc123"]) == {"abc123": MutedCounts(2)}


async def test_orders_that_wait_for_a_value_can_be_muted(redis: ArqRedis) -> None:
    entry, _ = await Transitions(redis).begin_attempt("abc123", 1)
    entry.wait_logged = True
    assert await Transitions(redis).await_value(entry, "Cost Center", retry_in=60.0)
    await mute(redis, "value: Cost Center")
    assert await UnmutedFailures(redis).counts(["abc123"]) == {"abc123": MutedCounts(0, 1)}


async def test_an_order_is_read_once_as_long_as_it_does_not_change(
    redis: ArqRedis, monkeypatch: pytest.MonkeyPatch
) -> None:
    await finish(redis, failed(1), failed(2), at=1000.0)
    await mute(redis, "Cost Center")
    reader = UnmutedFailures(redis)
    await reader.counts(["abc123"])
    monkeypatch.setattr(reader, "_ledger", None)
    assert await reader.counts(["abc123"]) == {"abc123": MutedCounts(2)}


async def test_older_orders_than_are_read_count_as_not_muted(redis: ArqRedis, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(unmuted_failures, "READ_MAX", 2)
    for order_id in (1, 2, 3):
        await finish(redis, failed(order_id), at=1000.0 * order_id)
    await mute(redis, "Cost Center")
    assert await UnmutedFailures(redis).counts(["abc123"]) == {"abc123": MutedCounts(2, 0, 1000.0)}
