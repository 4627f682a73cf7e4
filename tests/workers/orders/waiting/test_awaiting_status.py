"""Incomplete orders that wait for their status to change."""

from service.orders.state.job_kinds import WINDOW
from service.orders.state.keys import waiting_key
from service.orders.state.order_entry import Entry, Stage, Status
from service.orders.state.queue import EnqueueResult
from tests.fakes.stacks.job_stack import ORDER, RECORD, JobStack, failure
from tests.fakes.upstream import STORE_HASH

WAIT = 'incomplete_orders = "wait"'


async def test_waiting_order_that_is_paid_days_later_is_enriched(job_stack: JobStack) -> None:
    job_stack.configure(keys=WAIT)
    job_stack.order["status_id"] = 0
    await job_stack.webhook()
    await job_stack.run_next()
    assert (await job_stack.entry()).status is Status.WAITING
    assert await job_stack.queued() == []

    job_stack.clock.tick(3 * 86_400)
    job_stack.record.make()
    job_stack.order["status_id"] = 11
    await job_stack.webhook(status=True)

    assert (await job_stack.run_until_finished()).status is Status.UPDATED


async def test_waiting_order_is_checked_with_growing_intervals_for_a_week(job_stack: JobStack) -> None:
    job_stack.configure(keys=WAIT)
    job_stack.order["status_id"] = 0
    await job_stack.webhook()
    began, asked_after = job_stack.clock.now, []
    while True:
        await job_stack.run_next()
        if not (due := await job_stack.redis.zrange(waiting_key(STORE_HASH), 0, -1, withscores=True)):
            break
        job_stack.clock.now = due[0][1] / 1000
        asked_after.append(round((job_stack.clock.now - began) / 3600, 1))
        assert await job_stack.resources.queue.enqueue_status_check(STORE_HASH, ORDER) is EnqueueResult.QUEUED

    assert asked_after[:8] == [0.2, 0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 28.0]
    assert 7 * 24 <= asked_after[-1] <= 7.5 * 24
    assert (await job_stack.entry()).status is Status.WAITING


async def test_waiting_order_whose_status_webhook_was_lost_is_enriched_by_the_status_check(
    job_stack: JobStack,
) -> None:
    job_stack.configure(keys=WAIT)
    job_stack.order["status_id"] = 0
    job_stack.record.make()
    await job_stack.webhook()
    await job_stack.run_next()
    job_stack.order["status_id"] = 11
    job_stack.clock.tick(900.0)
    assert await job_stack.resources.queue.enqueue_status_check(STORE_HASH, ORDER) is EnqueueResult.QUEUED

    assert (await job_stack.run_until_finished()).status is Status.UPDATED


async def test_retry_time_limit_restarts_when_the_status_changes(job_stack: JobStack) -> None:
    job_stack.configure(keys=WAIT)
    job_stack.order["status_id"] = 0
    job_stack.upstream.on("GET /v2/orders/1", *[failure(503, "Down.")] * 40, lambda _: job_stack.order)
    await job_stack.webhook()
    while (await job_stack.entry()).status is not Status.WAITING:
        await job_stack.run_next()
    assert job_stack.clock() > (await job_stack.entry()).times[Stage.QUEUED] + 60, "it went through recovery"

    job_stack.clock.tick(3 * 86_400)
    job_stack.order["status_id"] = 11
    job_stack.record.make()
    job_stack.upstream.on(f"GET {RECORD}", 503, job_stack.record.read)
    await job_stack.webhook(status=True)

    assert (await job_stack.run_until_finished()).status is Status.UPDATED


async def test_status_change_during_an_attempt_is_not_lost(job_stack: JobStack) -> None:
    """The order was read as incomplete; before it waits, the customer pays."""
    job_stack.configure(keys=WAIT)
    job_stack.order["status_id"] = 0
    pays = job_stack.resources.transitions.await_status

    async def wait(entry: Entry, *, ask_in: float | None = None) -> bool:
        job_stack.order["status_id"] = 11
        await job_stack.webhook(status=True)
        return await pays(entry, ask_in=ask_in)

    job_stack.resources.transitions.await_status = wait  # type: ignore[method-assign]
    await job_stack.webhook()

    assert (await job_stack.run_until_finished()).status is Status.CREATED


async def test_status_change_before_the_job_is_finished_is_not_lost(job_stack: JobStack) -> None:
    """In the second of the order's creation the new job equals the old one."""
    job_stack.configure(keys=WAIT)
    job_stack.order["status_id"] = 0
    waits = job_stack.resources.transitions.await_status

    async def wait(entry: Entry, *, ask_in: float | None = None) -> bool:
        waiting = await waits(entry, ask_in=ask_in)
        if job_stack.order["status_id"] == 0:
            job_stack.order["status_id"] = 11
            await job_stack.webhook(status=True)
        return waiting

    job_stack.resources.transitions.await_status = wait  # type: ignore[method-assign]
    await job_stack.webhook()

    await job_stack.run_next()

    assert await job_stack.queued() == [WINDOW.id(STORE_HASH, ORDER)]
    assert (await job_stack.run_until_finished()).status is Status.CREATED
