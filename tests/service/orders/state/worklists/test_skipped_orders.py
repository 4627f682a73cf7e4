"""Orders that were skipped for their buyer: when they are looked at again, and what a change of people does."""

import pytest
from arq import ArqRedis

from service.orders.state.job_kinds import CHECK_SKIPPED, RETRY_SKIPPED
from service.orders.state.order_entry import Entry, Status
from service.orders.state.transitions import Transitions
from service.orders.state.worklists.skipped_orders import LAST_CHECK_S, SkippedOrders, first_check_in, next_step_in
from tests.fakes.sandbox import StillClock

STORE = "abc123"
DAY_S = 86_400.0


@pytest.fixture
def clock() -> StillClock:
    return StillClock()


@pytest.fixture
def skipped(redis: ArqRedis, clock: StillClock) -> SkippedOrders:
    return SkippedOrders(redis, clock=clock)


def entry(order_id: int = 1, status: Status = Status.SKIPPED, reason: str = "not_a_company_user") -> Entry:
    return Entry(STORE, order_id, status=status, reason=reason)


@pytest.mark.parametrize(
    ("finished", "age_s", "follow_s", "due_in_s"),
    [
        (entry(), 0.5, DAY_S, 59.5),
        (entry(), 0.5, 0.0, 59.5),
        (entry(), 40.0, DAY_S, 20.0),
        (entry(), 58.0, DAY_S, 5.0),
        (entry(), LAST_CHECK_S, DAY_S, 5.0),
        (entry(), LAST_CHECK_S - 1, 0.0, 5.0),
        (entry(), LAST_CHECK_S, 0.0, None),
        (entry(), DAY_S, DAY_S, None),
        (entry(), DAY_S, 3 * DAY_S, 5.0),
        (entry(reason="guest"), 0.5, DAY_S, None),
        (entry(status=Status.CREATED), 0.5, DAY_S, None),
        (entry(status=Status.FAILED), 0.5, DAY_S, None),
    ],
)
def test_when_a_finished_order_is_held_against_the_records(
    finished: Entry, age_s: float, follow_s: float, due_in_s: float | None
) -> None:
    assert first_check_in(finished, age_s, follow_s=follow_s) == due_in_s


@pytest.mark.parametrize(
    ("age_s", "follow_s", "then_s"),
    [
        (35.0, DAY_S, 600.0),
        (90.0, 0.0, 600.0),
        (585.0, DAY_S, DAY_S),
        (7200.0, 3 * DAY_S, 3 * DAY_S),
        (585.0, 0.0, None),
        (DAY_S, DAY_S, None),
    ],
)
def test_when_the_next_step_is_due(age_s: float, follow_s: float, then_s: float | None) -> None:
    step_in = next_step_in(age_s, follow_s=follow_s)
    assert (None if step_in is None else age_s + step_in) == (None if then_s is None else pytest.approx(then_s))


async def test_finishing_an_order_and_planning_its_check_are_one_step(
    redis: ArqRedis, clock: StillClock, skipped: SkippedOrders
) -> None:
    await Transitions(redis, clock=clock).finish(entry(7), check_skipped_in=60.0)

    assert await skipped.due(STORE, most=10) == []
    assert await skipped.due(STORE, most=10, ahead_s=60.0) == [7]
    assert await redis.zscore(CHECK_SKIPPED.queue, CHECK_SKIPPED.id(STORE)) == pytest.approx(
        1000 * (clock() + 60), abs=1
    )
    assert await redis.exists(CHECK_SKIPPED.key(STORE))
    assert await redis.zcard("enrich:second-looks:abc123") == 0


async def test_only_orders_that_are_still_there_are_postponed(skipped: SkippedOrders, clock: StillClock) -> None:
    await skipped.postpone(STORE, 7, clock())
    assert await skipped.all(STORE) == []


async def test_changes_of_one_period_are_one_and_are_due_when_it_is_over(
    redis: ArqRedis, clock: StillClock, skipped: SkippedOrders
) -> None:
    for _ in range(10):
        await skipped.people_changed(STORE)
        clock.tick(0.01)
    await skipped.people_changed(STORE, 199)
    assert await skipped.changes(STORE) == []
    clock.tick(10.0)

    changes = await skipped.changes(STORE)

    assert sorted(change.partition(":")[0] for change in changes) == ["*", "199"]
    assert await redis.zcard(RETRY_SKIPPED.queue) == 1
    # What is told while these are handled is not lost with them.
    await skipped.people_changed(STORE)
    await skipped.handled(STORE, changes)
    clock.tick(10.0)
    assert len(await skipped.changes(STORE)) == 1


async def test_who_was_asked_about_counts_for_one_change_only(skipped: SkippedOrders) -> None:
    await skipped.note_asked(STORE, "*:1", 199)

    assert await skipped.asked(STORE, "*:1") == {199}
    assert await skipped.asked(STORE, "*:2") == set()
