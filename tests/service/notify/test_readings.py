"""What the alerts depend on, read from a real Redis."""

from arq import ArqRedis

from service.notify.alerts import Recent
from service.notify.readings import MAX_RECENT, ReadingsReader
from service.orders.failures.muted_groups import MutedGroups
from service.orders.state.keys import breaker_key, late_misses_key
from service.orders.state.order_entry import Entry, Status
from service.orders.state.transitions import Transitions
from service.orders.state.worklists.late_orders import MAX_MISSES
from tests.fakes.notify.notify_stack import configuration

NOW = 1_768_078_800.0
SLACK = 'slack = "https://hooks.slack.com/services/T/B/x"'


async def recent(redis: ArqRedis) -> Recent | None:
    readings = await ReadingsReader(redis, clock=lambda: NOW).read(configuration(SLACK), ["abc123"])
    return readings.recent.get("abc123")


async def finish(redis: ArqRedis, order_id: int, *, ago: float = 60.0, **fields: object) -> None:
    entry = Entry("abc123", order_id, **{"status": Status.UPDATED, "source": "webhook", **fields})  # type: ignore[arg-type]
    await Transitions(redis, clock=lambda: NOW - ago).finish(entry)


async def test_orders_that_were_not_created_in_their_window_have_missed_it(redis: ArqRedis) -> None:
    await finish(redis, 1, status=Status.CREATED, create_age=0.5)
    await finish(redis, 2, create_age=0.5)  # the record existed
    await finish(redis, 3)
    await finish(redis, 4, status=Status.CREATED, create_age=130.0, source="reconcile")
    assert await recent(redis) == Recent(written=4, missed=3)


async def test_what_says_nothing_about_the_window_does_not_count(redis: ArqRedis) -> None:
    await finish(redis, 1, source="retry")
    await finish(redis, 2, source="backfill")
    await finish(redis, 3, source="order_updated")
    await finish(redis, 4, window_opened_at=NOW - 100)
    await finish(redis, 5, status=Status.SKIPPED)
    await finish(redis, 6, ago=1000.0)
    await finish(redis, 7, waited=True)
    await finish(redis, 8, awaits_record=True)
    assert await recent(redis) == Recent(written=0, missed=0)


async def test_of_a_busy_store_the_newest_orders_are_read(redis: ArqRedis) -> None:
    in_time = {"status": Status.CREATED, "create_age": 1.0}
    for order_id in range(MAX_RECENT + 20):
        await finish(redis, order_id, ago=700.0 - order_id, **(in_time if order_id >= 20 else {}))
    assert await recent(redis) == Recent(written=MAX_RECENT, missed=0)


async def test_the_breaker_and_late_values_are_read(redis: ArqRedis) -> None:
    waits = configuration(SLACK, keys='extra_fields.F = "metafields.a.b"')
    reader = ReadingsReader(redis, clock=lambda: NOW)
    before = await reader.read(waits, ["abc123"])
    assert (before.locked_out, before.late_values_stopped) == ({"abc123": False}, {"abc123": False})
    await redis.set(breaker_key("abc123"), 1)
    await redis.set(late_misses_key("abc123"), MAX_MISSES)
    after = await reader.read(waits, ["abc123"])
    assert (after.locked_out, after.late_values_stopped) == ({"abc123": True}, {"abc123": True})
    # A store whose rules do not wait any more has no such problem.
    assert (await reader.read(configuration(SLACK), ["abc123"])).late_values_stopped == {"abc123": False}


async def test_failures_are_read_by_group_without_muted_ones(redis: ArqRedis) -> None:
    for order_id, reason in enumerate(["po_number", "Cost Center", "po_number"], start=1):
        await finish(redis, order_id, ago=100.0 - order_id, status=Status.FAILED, reason=reason)
    reader = ReadingsReader(redis, clock=lambda: NOW)
    read = (await reader.read(configuration(SLACK), ["abc123"])).failures["abc123"]
    by_po, by_field = [failure.group for failure in await reader.failures("abc123")][:2]
    assert read == {by_po: NOW - 97, by_field: NOW - 98}
    await MutedGroups(redis).mute("abc123", by_po, "ana", 60.0)
    found = await reader.read(configuration(SLACK), ["abc123"])
    assert found.failures["abc123"] == {by_field: NOW - 98}
    assert found.state.stores["abc123"].unmuted_failed == 1
    await MutedGroups(redis).mute("abc123", by_field, "ana", 60.0)
    assert (await reader.read(configuration(SLACK), ["abc123"])).failures == {}
