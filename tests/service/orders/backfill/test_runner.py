"""A backfill with a real Redis and the sandbox. The test plays the workers."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from service.bigcommerce.clients.core_api import Core
from service.errors import CredentialsRefused, Refused, TryAgain
from service.orders.backfill import runner as backfill
from service.orders.backfill.runner import MAX_IN_FLIGHT, Backfill
from service.orders.document.cache import Cache
from service.orders.state.job_kinds import RECOVERY
from service.orders.state.keys import entry_key
from service.orders.state.order_entry import Entry, Status
from service.orders.state.queue import BACKFILL, Queue
from service.orders.state.transitions import Transitions
from tests.fakes.stacks.backfill_stack import (
    AGAIN,
    DAY,
    STORE,
    UNTIL,
    BackfillStack,
    has_queued,
    stack,
    stop,
    until,
    until_progress,
)

__all__ = ["stack"]


async def test_every_order_is_queued_once_as_an_old_order(stack: BackfillStack) -> None:
    orders = await stack.place(3)
    run = stack.backfill()
    running = asyncio.create_task(run.run())
    await until(lambda: has_queued(stack, 3))

    assert await stack.queued() == orders
    entry = await stack.entry(orders[0])
    assert (entry.source, entry.status, entry.age_at(next(iter(entry.times)))) == (BACKFILL, Status.QUEUED, 0.0)
    await stack.end(*orders)
    await running

    assert run.course.outcomes == {(Status.UPDATED, ""): 3}
    assert (run.course.total, run.course.seen, run.course.reached, run.course.is_finished) == (3, 3, orders[-1], True)


async def test_several_pages_are_read_and_few_orders_are_in_flight_at_a_time(stack: BackfillStack) -> None:
    orders = await stack.place(260)

    course = await stack.run()

    assert stack.done == orders
    assert stack.most <= MAX_IN_FLIGHT
    assert await stack.lists() == 2
    assert course.outcomes.total() == 260


async def test_only_orders_in_the_date_range_are_queued(stack: BackfillStack) -> None:
    await stack.place(1, age=20 * DAY)
    (wanted,) = await stack.place(1)
    await stack.place(1, age=60)

    await stack.run()

    assert stack.done == [wanted]


async def test_a_stopped_run_resumes_after_the_last_id_up_to_which_all_are_finished(stack: BackfillStack) -> None:
    orders = await stack.place(80)
    first = stack.backfill()
    running = asyncio.create_task(first.run())
    await until(lambda: has_queued(stack, MAX_IN_FLIGHT))
    await stack.end(*orders[:20], orders[30])
    await until_progress(first, orders[19], MAX_IN_FLIGHT)
    await stop(running)

    assert not first.course.is_finished

    course = await stack.run()

    assert course.began_after == orders[19]
    assert sorted(stack.done) == orders, "each order once"
    assert course.is_finished
    assert course.known == 12, "the overlap before the position, and the one finished ahead of it"
    assert course.outcomes.total() == 59, "the second run also waits for the orders that the first one queued"


async def test_a_killed_run_loses_nothing(stack: BackfillStack, monkeypatch: pytest.MonkeyPatch) -> None:
    orders = await stack.place(60)
    with monkeypatch.context() as patched:
        patched.setattr(Backfill, "_save_position", lambda _: asyncio.sleep(0))
        running = asyncio.create_task(stack.backfill().run())
        await until(lambda: has_queued(stack, MAX_IN_FLIGHT))
        await stop(running)

    course = await stack.run()

    assert (course.began_after, course.outcomes.total()) == (0, 60)
    assert stack.done == orders


async def test_after_a_finished_run_the_next_one_lists_only_new_orders(stack: BackfillStack) -> None:
    await stack.place(260)
    await stack.run()
    (new,) = await stack.place(1)
    lists, stack.done = await stack.lists(), []

    course = await stack.run()

    assert stack.done == [new]
    assert await stack.lists() - lists == 1
    assert course.outcomes.total() == 1


async def test_orders_that_the_ledger_knows_as_finished_are_not_queued(stack: BackfillStack) -> None:
    orders = await stack.place(3)
    await stack.end(*orders[:2])
    stack.done = []

    course = await stack.run()

    assert stack.done == [orders[2]]
    assert course.known == 2


async def test_again_queues_all_orders_on_every_run(stack: BackfillStack) -> None:
    orders = await stack.place(15)
    await stack.run()
    await Cache(stack.redis, STORE).remember_no_company_user(101)
    for _ in range(2):
        stack.done = []
        course = await stack.run(AGAIN)
        assert (stack.done, course.outcomes) == (orders, {(Status.UPDATED, ""): 15})

    assert (await stack.entry(orders[0])).start_over
    assert not await Cache(stack.redis, STORE).is_no_company_user(101), "cached values are no longer valid"
    assert (await stack.backfill().survey()).began_after == orders[-1], "the position of the run without again stays"


async def test_again_resumes_after_a_stop(stack: BackfillStack) -> None:
    orders = await stack.place(60)
    await stack.run()
    first = stack.backfill(AGAIN)
    running = asyncio.create_task(first.run())
    await until(lambda: has_queued(stack, MAX_IN_FLIGHT))
    await stack.end(*orders[:30])
    await until_progress(first, orders[29], 30)
    await stop(running)
    stack.done = []

    course = await stack.run(AGAIN)

    assert course.began_after == orders[29]
    assert sorted(stack.done) == orders[19:], "the orders in flight, and the overlap before the position"


async def test_orders_queued_by_others_are_left_to_them(stack: BackfillStack) -> None:
    ours, queued, waiting = await stack.place(3)
    await Queue(stack.redis).enqueue(STORE, queued, source="reconcile", created_at=UNTIL.timestamp())
    await Transitions(stack.redis).await_status(Entry(STORE, waiting))
    run = stack.backfill()
    running = asyncio.create_task(run.run())
    await until(lambda: has_queued(stack, 2))
    await stack.end(ours)
    await running

    assert (run.course.elsewhere, run.course.outcomes.total()) == (2, 1)
    assert (await stack.entry(queued)).source == "reconcile"


async def test_an_order_that_waits_for_its_status_counts_as_done(stack: BackfillStack) -> None:
    await stack.place(1)
    run = stack.backfill()
    running = asyncio.create_task(run.run())
    await until(lambda: has_queued(stack, 1))
    (order_id,) = await stack.queued()
    await Transitions(stack.redis).await_status((await Transitions(stack.redis).begin_attempt(STORE, order_id))[0])
    await running

    assert run.course.outcomes == {(Status.WAITING, "incomplete"): 1}


async def test_an_order_that_redis_has_lost_is_queued_again(stack: BackfillStack) -> None:
    orders = await stack.place(2)
    running = asyncio.create_task(stack.backfill().run())
    await until(lambda: has_queued(stack, 2))
    await stack.redis.delete(entry_key(STORE, orders[0]), RECOVERY.key(STORE, orders[0]))
    await stack.redis.zrem(RECOVERY.queue, RECOVERY.id(STORE, orders[0]))
    await until(lambda: has_queued(stack, 2))
    await stack.end(*orders)
    await running


async def test_a_stalled_run_ends_and_leaves_the_rest_to_the_workers(
    stack: BackfillStack, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(backfill, "TROUBLE_AFTER_S", 0.0)
    (stuck,) = await stack.place(1)
    troubles: set[str | None] = set()
    run = stack.backfill(watch=lambda course: troubles.add(course.trouble))
    running = asyncio.create_task(run.run())
    await until(lambda: has_queued(stack, 1))
    entry, _ = await Transitions(stack.redis).begin_attempt(STORE, stuck)
    entry.trouble = "Get Company Details: 404: Not there."
    await Transitions(stack.redis).save(entry)
    async with asyncio.timeout(30):
        while entry.trouble not in troubles:  # noqa: ASYNC110
            await asyncio.sleep(0.005)
    monkeypatch.setattr(backfill, "STALLED_AFTER_S", 0.0)
    await running

    assert list(run.course.in_flight) == [stuck]
    assert (run.course.is_listed, run.course.is_finished, run.course.reached) == (True, False, stuck - 1)
    assert run.course.workers == 0


async def test_refused_credentials_end_the_run_and_keep_the_position(stack: BackfillStack) -> None:
    await stack.place(2)
    await stack.run()
    await stack.sandbox.faults(refuse_credentials=[STORE])

    with pytest.raises(CredentialsRefused):
        await stack.run()

    await stack.sandbox.faults()
    assert (await stack.run()).began_after


async def test_a_transient_error_is_retried(stack: BackfillStack, monkeypatch: pytest.MonkeyPatch) -> None:
    await stack.place(2)
    listed: list[Any] = []
    usual = Core.orders

    async def orders(self: Any, **asked: Any) -> Any:
        listed.append(asked)
        await stack.sandbox.faults(**({"error_rate": 1.0} if len(listed) == 1 else {}))
        return await usual(self, **asked)

    monkeypatch.setattr(Core, "orders", orders)

    assert (await stack.run()).outcomes.total() == 2
    assert len(listed) == 2


@pytest.mark.parametrize("work", [Backfill.run, Backfill.survey])
async def test_an_error_at_the_start_is_raised_soon(
    stack: BackfillStack, monkeypatch: pytest.MonkeyPatch, work: Callable[[Backfill], Awaitable[object]]
) -> None:
    monkeypatch.setattr(backfill, "FIRST_CALL_TIMEOUT_S", 0.01)
    await stack.sandbox.faults(error_rate=1.0)
    with pytest.raises(TryAgain):
        await asyncio.wait_for(work(stack.backfill()), 30.0)


async def test_a_run_does_not_need_the_number_of_orders(stack: BackfillStack, monkeypatch: pytest.MonkeyPatch) -> None:
    async def refused(*_: Any, **__: Any) -> int:
        raise Refused("Get a Count of Orders", "No.", status=400)

    monkeypatch.setattr(Core, "count_orders", refused)
    await stack.place(2)

    course = await stack.run()

    assert (course.total, course.outcomes.total()) == (None, 2)


async def test_a_dry_run_counts_what_would_be_queued_and_changes_nothing(stack: BackfillStack) -> None:
    orders = [*await stack.place(3), *await stack.place(2, customer_id=0)]
    await stack.end(orders[0])
    await Transitions(stack.redis).await_status(Entry(STORE, orders[1]))
    before = {key: await stack.redis.dump(key) for key in await stack.redis.keys("*")}

    survey = await stack.backfill().survey()
    again = await stack.backfill(AGAIN).survey()

    assert (survey.orders, survey.known, survey.elsewhere, survey.to_queue, survey.by_guests) == (5, 1, 1, 3, 2)
    assert (again.known, again.elsewhere, again.to_queue) == (0, 1, 4)
    assert {key: await stack.redis.dump(key) for key in await stack.redis.keys("*")} == before
