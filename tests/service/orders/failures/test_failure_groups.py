"""Orders that need a person, in groups; muted groups."""

from dataclasses import replace

import pytest
from arq import ArqRedis

from service.orders.failures import muted_groups
from service.orders.failures.failure_groups import FailureGroup, find_failures
from service.orders.failures.failure_kinds import FailureKind
from service.orders.failures.muted_groups import MUTE_S_MAX, MutedGroups
from service.orders.state.order_entry import Entry
from service.orders.state.transitions import Transitions
from tests.fakes.orders import enriched, failed

RULES = ["po_number", "Cost Center"]


async def finish(redis: ArqRedis, *entries: Entry, at: float = 1000.0) -> None:
    for entry in entries:
        await Transitions(redis, clock=lambda: at).finish(entry)


async def wait(redis: ArqRedis, order_id: int, *, needs_person: bool) -> None:
    entry, _ = await Transitions(redis).begin_attempt("abc123", order_id)
    entry.wait_logged = needs_person
    assert await Transitions(redis).await_value(entry, "Cost Center", retry_in=60.0)


async def groups(redis: ArqRedis) -> list[FailureGroup]:
    return list((await find_failures(redis, "abc123", RULES)).groups)


async def test_orders_are_grouped_by_reason_and_the_largest_group_comes_first(redis: ArqRedis) -> None:
    await finish(redis, enriched(1), failed(2, reason="po_number"), failed(9, "other1"), at=2000.0)
    await finish(redis, failed(3), at=3000.0)
    await finish(redis, failed(4), at=4000.0)
    by_field, by_po = await groups(redis)
    assert (by_field.reason, by_field.order_ids, by_field.kind) == ("Cost Center", [4, 3], FailureKind.REQUIRED_VALUE)
    assert (by_field.first_ms, by_field.last_ms) == (3_000_000, 4_000_000)
    assert (by_po.reason, by_po.order_ids) == ("po_number", [2])


async def test_numbers_in_a_message_make_no_group_of_their_own(redis: ArqRedis) -> None:
    text = "Create an Order: 422: order {} was not taken"
    await finish(redis, *(failed(number, reason=text.format(number)) for number in (5001, 5002)))
    await finish(redis, failed(6, reason="Create an Order: 400: order 5001 was not taken"))
    assert sorted(group.order_ids for group in await groups(redis)) == [[6], [5002, 5001]]


async def test_an_order_that_waits_for_a_value_counts_once_its_window_has_closed(redis: ArqRedis) -> None:
    await wait(redis, 7, needs_person=True)
    await wait(redis, 8, needs_person=False)
    (group,) = await groups(redis)
    assert (group.order_ids, group.is_waiting, group.reason) == ([7], True, "value: Cost Center")
    assert group.last_ms > 1_700_000_000_000


async def test_a_waiting_and_a_failed_order_are_of_two_groups(redis: ArqRedis) -> None:
    await wait(redis, 7, needs_person=True)
    await finish(redis, failed(8, reason="value: Cost Center"))
    assert len({group.id for group in await groups(redis)}) == 2


async def test_a_store_without_failures_has_no_groups(redis: ArqRedis) -> None:
    await finish(redis, enriched(1))
    found = await find_failures(redis, "abc123", RULES)
    assert (found.groups, found.is_complete) == ([], True)


async def test_only_the_newest_of_very_many_are_read_and_that_is_said(
    redis: ArqRedis, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("service.orders.failures.failure_groups.READ_MAX", 2)
    for order_id in (1, 2, 3):
        await finish(redis, failed(order_id), at=1000.0 + order_id)
    found = await find_failures(redis, "abc123", RULES)
    assert ([group.order_ids for group in found.groups], found.is_complete) == ([[3, 2]], False)


async def test_half_a_surrogate_pair_in_a_reason_makes_a_group(redis: ArqRedis) -> None:
    await finish(redis, replace(failed(1), reason="a\ud800b"))
    assert [group.order_ids for group in await groups(redis)] == [[1]]


async def test_a_mute_ends_by_itself_and_says_who_did_it(redis: ArqRedis, monkeypatch: pytest.MonkeyPatch) -> None:
    now = 1000.0

    async def time_of_redis(_: object) -> float:
        return now

    monkeypatch.setattr(muted_groups, "redis_time", time_of_redis)
    muted = MutedGroups(redis)
    await muted.mute("abc123", "g1", "ana", 3600)
    await muted.mute("abc123", "g2", "ben", 10 * MUTE_S_MAX)
    mutes = await muted.of("abc123")
    assert (mutes["g1"].who, mutes["g1"].until, mutes["g2"].until) == ("ana", 4600.0, 1000.0 + MUTE_S_MAX)
    assert await muted.of("other1") == {}
    now = 4600.0
    assert list(await muted.of("abc123")) == ["g2"]
    await muted.mute("abc123", "g3", "ana", 60)
    assert await redis.hkeys("enrich:muted-failures:abc123") == [b"g2", b"g3"]  # type: ignore[misc]
    await muted.unmute("abc123", "g2")
    assert list(await muted.of("abc123")) == ["g3"]


async def test_a_mute_of_another_version_is_none(redis: ArqRedis) -> None:
    await redis.hset("enrich:muted-failures:abc123", "g1", '{"since": 1}')  # type: ignore[misc]
    assert await MutedGroups(redis).of("abc123") == {}
