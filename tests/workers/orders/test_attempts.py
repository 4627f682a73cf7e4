"""The jobs of one order: where it is after each job, and that it always finishes."""

from typing import Any

import httpx
import pytest
from redis.exceptions import TimeoutError as RedisTimeoutError
from structlog.testing import capture_logs

from service.orders.state.job_kinds import RECOVERY, WINDOW
from service.orders.state.keys import verify_key
from service.orders.state.order_entry import Entry, Status
from tests.fakes.stacks.job_stack import ORDER, RECORD, JobStack, failure
from tests.fakes.upstream import STORE_HASH
from workers.orders.attempts import GIVE_UP_AFTER_S
from workers.orders.lifecycle import Lifecycle


async def test_order_is_created_verified_and_reverified(job_stack: JobStack) -> None:
    await job_stack.webhook()

    entry = await job_stack.run_until_finished()

    assert (entry.status, entry.verified, entry.attempts) == (Status.CREATED, True, 1)
    assert await job_stack.queued() == [f"second_look:{STORE_HASH}"]
    await job_stack.run_next()
    assert await job_stack.queued() == []
    assert await job_stack.redis.exists(verify_key(STORE_HASH)) == 0


async def test_late_order_goes_to_recovery_without_a_call(job_stack: JobStack) -> None:
    await job_stack.webhook()
    job_stack.record.make()
    job_stack.clock.tick(11.0)

    await job_stack.run_next()

    assert job_stack.upstream.asked == []
    assert await job_stack.queued() == [RECOVERY.id(STORE_HASH, ORDER)]
    assert (await job_stack.run_until_finished()).status is Status.UPDATED


async def test_order_always_has_exactly_one_job(job_stack: JobStack) -> None:
    job_stack.upstream.on("POST /api/v3/io/orders", 503)
    job_stack.upstream.on(f"GET {RECORD}", 503)
    await job_stack.webhook()

    for _ in range(12):
        await job_stack.run_next()
        assert len(await job_stack.queued()) == 1


async def test_orders_of_a_removed_store_fail_after_two_days(job_stack: JobStack) -> None:
    await job_stack.resources.queue.enqueue("gone", 1, source="reconcile")
    began = job_stack.clock()

    while await job_stack.queued():
        await job_stack.run_next()

    entry = await job_stack.resources.ledger.get("gone", 1)
    assert entry is not None
    assert (entry.status, entry.reason) == (Status.FAILED, "the store is not in the stores file")
    assert GIVE_UP_AFTER_S <= job_stack.clock() - began < GIVE_UP_AFTER_S + 1000
    assert await job_stack.queued() == []
    assert job_stack.upstream.asked == []


async def test_lasting_error_fails_the_order_after_two_days_with_its_message(job_stack: JobStack) -> None:
    job_stack.upstream.on("GET /v2/orders/1", failure(503, "Down for maintenance."))
    await job_stack.webhook()

    entry = await job_stack.run_until_finished(max_jobs=1000)

    assert entry.status is Status.FAILED
    assert entry.reason is not None
    assert "Down for maintenance." in entry.reason


async def test_attempt_made_stale_by_a_delayed_begin_is_repeated(job_stack: JobStack) -> None:
    """The network delayed it, until long after the worker that sent it had lost its lease."""
    transitions, note = job_stack.resources.transitions, job_stack.resources.transitions.save_before_write

    async def save_too_late(entry: Entry) -> bool:
        transitions.save_before_write = note  # type: ignore[method-assign]
        await transitions.begin_attempt(STORE_HASH, ORDER)
        return await note(entry)

    transitions.save_before_write = save_too_late  # type: ignore[method-assign]
    await job_stack.webhook()

    await job_stack.run_next()

    assert await job_stack.queued() == [WINDOW.id(STORE_HASH, ORDER)]
    assert (await job_stack.run_until_finished()).status is Status.CREATED


# ── finishing ─────────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_finish_whose_answer_is_lost_is_still_logged(job_stack: JobStack) -> None:
    transitions, end = job_stack.resources.transitions, job_stack.resources.transitions.finish

    async def lost(entry: Entry, **options: Any) -> bool:
        await end(entry, **options)
        transitions.finish = end  # type: ignore[method-assign]
        raise RedisTimeoutError("lost")

    transitions.finish = lost  # type: ignore[method-assign]
    job_stack.order["customer_id"] = 0
    await job_stack.webhook()
    with capture_logs() as logs:
        await job_stack.run_until_finished()
        while await job_stack.queued():
            await job_stack.run_next()

    assert [line["reason"] for line in logs if line["event"] == "order_skipped"] == ["guest"]


async def test_webhook_of_a_finished_order_makes_no_call(job_stack: JobStack) -> None:
    await job_stack.webhook()
    await job_stack.run_until_finished()
    calls = len(job_stack.upstream.asked)

    await job_stack.webhook()
    await job_stack.redis.set(WINDOW.key(STORE_HASH, ORDER), WINDOW.body(STORE_HASH, ORDER, now=job_stack.clock()))
    await job_stack.redis.zadd(WINDOW.queue, {WINDOW.id(STORE_HASH, ORDER): 1})  # a job that was delivered again
    assert await job_stack.run_next() == WINDOW.id(STORE_HASH, ORDER)

    assert len(job_stack.upstream.asked) == calls
    assert WINDOW.id(STORE_HASH, ORDER) not in await job_stack.queued()


# ── network errors ────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("arrives", [True, False])
async def test_update_with_lost_answer_still_replaces_our_own_old_value(job_stack: JobStack, arrives: bool) -> None:
    """The order was created with one PO and then changed; the answer to the retry's Update is lost."""
    await job_stack.webhook()
    await job_stack.run_until_finished()
    job_stack.order["customer_message"] = "PO2"
    job_stack.clock.tick(3600)

    def lost(request: httpx.Request) -> Exception:
        if arrives:
            job_stack.record.update(request)
        return httpx.ReadTimeout("lost")

    job_stack.upstream.on(f"PUT {RECORD}", lost, job_stack.record.update)
    await job_stack.retry()
    entry = await job_stack.run_until_finished()

    assert (entry.status, entry.verified, entry.kept) == (Status.CREATED, True, [])
    assert job_stack.record.po_number == "PO2"
    assert len(job_stack.upstream.bodies(f"PUT {RECORD}")) == (1 if arrives else 2)


async def test_internal_error_is_retried_for_two_days_and_then_fails_the_order(
    job_stack: JobStack, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def broken(_: Lifecycle) -> None:
        raise KeyError("internal error")

    monkeypatch.setattr(Lifecycle, "run", broken)
    await job_stack.webhook()
    began = job_stack.clock()

    with capture_logs() as logs:
        while await job_stack.queued():
            await job_stack.run_next()

    entry = await job_stack.resources.ledger.get(STORE_HASH, ORDER)
    assert entry is not None
    assert (entry.status, entry.reason) == (Status.FAILED, "internal error: KeyError")
    assert job_stack.clock() - began >= GIVE_UP_AFTER_S
    assert {"job_crashed", "order_failed"} <= {line["event"] for line in logs}
