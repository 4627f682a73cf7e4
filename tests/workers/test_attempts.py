"""The jobs of one order: where it is after each job, and that it always finishes."""

from collections import Counter

import httpx
import pytest
from redis.exceptions import TimeoutError as RedisTimeoutError
from structlog.testing import capture_logs

from service.orders.state.breaker import LONGEST_PROBE_S
from service.orders.state.entry import Entry, Stage, Status
from service.orders.state.jobs import RECOVERY, WINDOW
from service.orders.state.keys import parked_key, verify_key, waiting_key
from service.orders.state.queue import EnqueueResult
from tests.fakes.job_stack import ACCOUNT, ORDER, RECORD, JobStack, failure
from tests.fakes.upstream import STORE_HASH
from workers.attempts import GIVE_UP_AFTER_S
from workers.lifecycle import Lifecycle

WAIT = 'incomplete_orders = "wait"'


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
    transitions, note = job_stack.resources.transitions, job_stack.resources.transitions.save

    async def save_too_late(entry: Entry) -> None:
        transitions.save = note  # type: ignore[method-assign]
        await transitions.begin_attempt(STORE_HASH, ORDER)
        await note(entry)

    transitions.save = save_too_late  # type: ignore[method-assign]
    await job_stack.webhook()

    await job_stack.run_next()

    assert await job_stack.queued() == [WINDOW.id(STORE_HASH, ORDER)]
    assert (await job_stack.run_until_finished()).status is Status.CREATED


# ── waiting ───────────────────────────────────────────────────────────────────────────────────────────────────────────


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


# ── finishing ─────────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_finish_whose_answer_is_lost_is_still_logged(job_stack: JobStack) -> None:
    transitions, end = job_stack.resources.transitions, job_stack.resources.transitions.finish

    async def lost(entry: Entry, *, reverify_in: float | None = None) -> None:
        await end(entry, reverify_in=reverify_in)
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


# ── retries ───────────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_retry_sees_what_the_admin_has_fixed(job_stack: JobStack) -> None:
    job_stack.configure(
        fields=ACCOUNT.replace("'company", "{ from = 'company").replace("'\n", "', required = true }\n")
    )
    job_stack.company_has({})
    await job_stack.webhook()
    assert ((await job_stack.run_until_finished()).status, (await job_stack.entry()).reason) == (Status.FAILED, "Acc")

    job_stack.company_has({"ERP": "E1"})
    job_stack.record.make()
    job_stack.clock.tick(30.0)  # the earlier reads are still cached
    await job_stack.retry()

    assert (await job_stack.run_until_finished()).status is Status.UPDATED
    assert job_stack.record.fields == {"F": "fv", "Acc": "E1"}


async def test_data_cached_by_a_retry_is_used_by_its_next_attempt(job_stack: JobStack) -> None:
    job_stack.configure(fields=ACCOUNT)
    job_stack.record.make(Acc="E1", F="fv", po_number="PO1")
    await job_stack.webhook()
    assert (await job_stack.run_until_finished()).status is Status.UNCHANGED

    job_stack.clock.tick(30.0)
    asked_before = len(job_stack.upstream.asked)
    job_stack.upstream.on(f"GET {RECORD}", (503, {}), (503, {}), job_stack.record.read)
    await job_stack.retry()
    job_stack.clock.tick(0.01)
    assert (await job_stack.run_until_finished()).status is Status.UNCHANGED

    asked = Counter(job_stack.upstream.asked[asked_before:])
    assert asked[f"GET {RECORD}"] == 3
    assert asked["GET /api/v3/io/users/customer/7"] == asked["GET /api/v3/io/companies/12"] == 1


async def test_retry_reads_the_customer_again(job_stack: JobStack) -> None:
    await job_stack.cache.remember_no_company_user(job_stack.order["customer_id"])
    await job_stack.webhook()
    assert (await job_stack.run_until_finished()).reason == "not_a_company_user"

    job_stack.record.make()
    await job_stack.retry()

    assert (await job_stack.run_until_finished()).status is Status.UPDATED


async def test_retry_resets_the_verification_checks(job_stack: JobStack) -> None:
    job_stack.record.make()
    job_stack.upstream.on(f"PUT {RECORD}", {"code": 200, "data": {}})  # accepts the write, but does not store it
    job_stack.clock.tick(60)
    await job_stack.webhook()
    assert (await job_stack.run_until_finished()).reason == "not_persisted"

    job_stack.upstream.on(f"PUT {RECORD}", job_stack.record.update)
    await job_stack.retry()
    entry = await job_stack.run_until_finished()

    assert (entry.status, entry.verified, entry.checks, entry.repaired) == (Status.UPDATED, True, 0, False)


async def test_retry_resets_dropped_fields(job_stack: JobStack) -> None:
    configs = {"code": 200, "data": [{"fieldName": "Other"}], "meta": {}}
    job_stack.upstream.on("GET /api/v3/io/orders/extra-fields", configs)
    await job_stack.webhook()
    assert set((await job_stack.run_until_finished()).dropped) == {"F"}

    configs["data"] = [{"fieldName": "F"}]
    await job_stack.retry()

    entry = await job_stack.run_until_finished()
    assert (entry.status, entry.dropped, job_stack.record.fields) == (Status.UPDATED, {}, {"F": "fv"})


async def test_retry_logs_its_own_times(job_stack: JobStack) -> None:
    await job_stack.webhook()
    await job_stack.run_until_finished()
    job_stack.clock.tick(3600)
    await job_stack.retry()
    with capture_logs() as logs:
        await job_stack.run_until_finished()

    (line,) = [line for line in logs if line["event"] == "order_enriched"]
    assert 0 <= line["queue_ms"] < 1000
    assert 0 <= line["duration_ms"] < 10_000


async def test_retry_before_reverification_is_not_finished_by_it(job_stack: JobStack) -> None:
    await job_stack.webhook()
    await job_stack.run_until_finished()
    job_stack.order["customer_message"] = "PO2"
    job_stack.clock.tick(20.0)
    await job_stack.retry()
    job_stack.upstream.on("GET /v2/orders/1", *[503] * 5, lambda _: job_stack.order)

    entry = await job_stack.run_until_finished()

    assert (entry.status, job_stack.record.po_number) == (Status.UPDATED, "PO2")


# ── the breaker ───────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_refused_credentials_park_orders_and_accepted_ones_release_them(job_stack: JobStack) -> None:
    job_stack.upstream.on("GET /v2/orders/1", *[401] * 5, lambda _: job_stack.order)
    job_stack.record.make()
    await job_stack.webhook()
    with capture_logs() as logs:
        assert (await job_stack.run_until_finished()).status is Status.UPDATED

    assert [line["event"] for line in logs].count("credentials_refused") == 1
    assert not await job_stack.resources.breaker.is_open(STORE_HASH)


async def test_parked_order_makes_no_calls_except_probes(job_stack: JobStack) -> None:
    job_stack.upstream.on("GET /v2/orders/1", 401)
    await job_stack.webhook()
    await job_stack.run_next()
    began, calls = job_stack.clock(), len(job_stack.upstream.asked)

    while job_stack.clock() < began + 3600:
        assert await job_stack.run_next() == f"probe:{STORE_HASH}"

    assert len(job_stack.upstream.asked) - calls <= 3600 / LONGEST_PROBE_S + 8


async def test_stale_probe_is_requeued_and_is_no_crash(job_stack: JobStack) -> None:
    """Somebody retries the parked order at the same moment."""
    transitions, note = job_stack.resources.transitions, job_stack.resources.transitions.save

    async def save_too_late(entry: Entry) -> None:
        await transitions.begin_attempt(STORE_HASH, ORDER)
        await note(entry)

    job_stack.upstream.on("GET /v2/orders/1", 401)
    await job_stack.webhook()
    await job_stack.run_next()
    transitions.save = save_too_late  # type: ignore[method-assign]
    with capture_logs() as logs:
        assert await job_stack.run_next() == f"probe:{STORE_HASH}"

    assert await job_stack.queued() == [f"probe:{STORE_HASH}"]
    assert "job_crashed" not in {line["event"] for line in logs}


async def test_order_parked_while_a_probe_succeeds_is_released_too(job_stack: JobStack) -> None:
    transitions, breaker = job_stack.resources.transitions, job_stack.resources.breaker
    job_stack.upstream.on("GET /v2/orders/1", 401, lambda _: job_stack.order)
    job_stack.record.make()
    await job_stack.webhook()
    await job_stack.run_next()
    release = breaker.release

    async def released(store: str) -> int:
        count = await release(store)
        await breaker.open(store)  # another worker's call was refused a moment ago
        assert await transitions.park(Entry(STORE_HASH, 2))
        return count

    breaker.release = released  # type: ignore[method-assign]
    assert await job_stack.run_next() == f"probe:{STORE_HASH}"

    assert f"probe:{STORE_HASH}" in await job_stack.queued()
    breaker.release = release  # type: ignore[method-assign]
    job_stack.upstream.on("GET /v2/orders/2", {**job_stack.order, "id": 2, "customer_id": 0})
    while await job_stack.queued():
        await job_stack.run_next()
    assert await job_stack.redis.exists(parked_key(STORE_HASH)) == 0
    assert not await breaker.is_open(STORE_HASH)
    entry = await job_stack.resources.ledger.get(STORE_HASH, 2)
    assert entry is not None
    assert entry.reason == "guest"


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

    assert (entry.status, entry.verified, entry.kept) == (Status.UPDATED, True, [])
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
