"""Backfilled orders: lowest priority in the quota, few calls, and no waiting for records that will not be made."""

from dataclasses import replace
from typing import Any

import pytest
from arq import Retry
from structlog.testing import capture_logs

from service.bigcommerce import Api, Budget, Priority, Transport
from service.errors import OutOfBudget
from service.orders.state.job_kinds import RECOVERY, VERIFY, WINDOW
from service.orders.state.keys import verify_key
from service.orders.state.order_entry import Entry, Stage, Status
from service.orders.state.queue import BACKFILL
from service.sandbox.demo import DEMO_STORE_HASH
from tests.workers.stacks.stack import ZOE, OpenStack, Stack, job_context
from workers.backoff import MAX_BACKFILL_BACKOFF_S
from workers.orders.attempts import VERIFY_TOGETHER_S, Jobs
from workers.orders.result_types import Finished, RetryLater
from workers.orders.verification import Verifier

DAY = 86_400.0
NO_RECORD = Finished(
    Status.FAILED,
    "B2B Edition has no record of this order; if its buyer joined the Company later: "
    "`enrich orders assign --customer 101`",
)
UPDATED = Finished(Status.UPDATED, verified=True)


def queued_entry(stack: Stack, order_id: int, source: str = BACKFILL) -> Entry:
    """The entry of an order of yesterday that has just been queued."""
    now = stack.clock.now
    return Entry(
        DEMO_STORE_HASH, order_id, source=source, times={Stage.CREATED: float(int(now - DAY)), Stage.QUEUED: now}
    )


# ── the quota ─────────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_calls_of_an_old_order_have_the_lowest_priority(stack: Stack, monkeypatch: pytest.MonkeyPatch) -> None:
    order_id = await stack.place(age=DAY)
    asked: list[tuple[str, Priority]] = []
    spend = Transport.spend

    async def spent(self: Transport, account: Any, api: Api, priority: Priority, **rest: Any) -> Any:
        asked.append((rest["operation"], priority))
        return await spend(self, account, api, priority, **rest)

    monkeypatch.setattr(Transport, "spend", spent)
    await stack.attempt(queued_entry(stack, order_id))
    of_backfill = {priority for _, priority in asked}
    asked.clear()
    await stack.attempt(queued_entry(stack, await stack.place(age=DAY), source="webhook"))

    assert of_backfill == {Priority.BACKGROUND}
    assert {priority for _, priority in asked} == {Priority.RECOVER}


async def with_budget(stack: Stack) -> tuple[Stack, Budget]:
    budget = Budget(stack.redis, clock=stack.clock)
    url = stack.sandbox.url
    http = stack.sandbox.api._transport
    return replace(
        stack, transport=Transport(http, core_url=url, b2b_url=url, clock=stack.clock, budget=budget)
    ), budget


async def test_old_orders_leave_the_quota_to_new_ones(open_stack: OpenStack) -> None:
    """They ask for quota all the time; a burst of new orders still finds nearly all of it."""
    stack, budget = await with_budget(await open_stack(core_quota=10_000))
    warm = await stack.place()
    await stack.attempt(stack.entry(warm))  # fills the cache
    old = [await stack.place(age=DAY) for _ in range(40)]
    before = await budget.left(DEMO_STORE_HASH, Api.B2B)
    assert before is not None

    results = [await stack.attempt(queued_entry(stack, order_id)) for order_id in old]

    after = await budget.left(DEMO_STORE_HASH, Api.B2B)
    assert after is not None
    assert before.left - after.left <= 2
    assert sum(isinstance(result, RetryLater) for result in results) >= 39
    fresh = [await stack.place() for _ in range(100)]
    assert {(await stack.attempt(stack.entry(order_id))).__class__.__name__ for order_id in fresh} == {"Written"}


async def test_order_that_lacks_only_quota_is_not_read_again(open_stack: OpenStack) -> None:
    # The user, the Company and the configs take three calls; the fourth would be Get an Order.
    stack = await open_stack(b2b_quota=3, b2b_quota_window=5.0)
    entry = queued_entry(stack, await stack.place(age=DAY))
    result = await stack.attempt(entry)
    assert isinstance(result, RetryLater)
    assert result.seconds is not None
    reads = (await stack.sandbox.calls())["core"]

    stack.clock.tick(result.seconds)
    assert await stack.finish(entry) == UPDATED
    assert (await stack.sandbox.calls())["core"] == reads


async def test_order_resolved_long_ago_or_before_it_was_requeued_is_read_again(open_stack: OpenStack) -> None:
    stack = await open_stack(b2b_quota=3, b2b_quota_window=5.0)
    for wait_s, queued_again in ((700.0, False), (10.0, True)):
        entry = queued_entry(stack, await stack.place(age=DAY))
        assert isinstance(await stack.attempt(entry), RetryLater)
        reads = (await stack.sandbox.calls())["core"]["Get an Order"]["200"]

        stack.clock.tick(wait_s)
        if queued_again:
            entry.start_over, entry.times[Stage.QUEUED] = True, stack.clock.now
        await stack.attempt(entry)

        assert (await stack.sandbox.calls())["core"]["Get an Order"]["200"] == reads + 1


async def test_order_that_has_the_values_takes_one_call_to_b2b_edition(stack: Stack) -> None:
    await stack.attempt(queued_entry(stack, await stack.place(age=DAY)))
    fields = {"Account No": "ERP-10001"}
    order_id = await stack.place(age=DAY, buyer_po="A-1", buyer_extra_fields=fields)
    entry = queued_entry(stack, order_id)

    assert await stack.finish(entry) == Finished(Status.UNCHANGED, verified=True)
    assert entry.upstream_calls == 3  # order, metafields, Get an Order


# ── the jobs ──────────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_old_orders_are_verified_together(stack: Stack) -> None:
    resources = stack.resources()
    jobs, verifier = Jobs(resources, clock=stack.clock), Verifier(resources, clock=stack.clock)
    orders = [await stack.place(age=DAY, po_number=f"A-{number}") for number in range(5)]
    for order_id in orders:
        await resources.queue.enqueue("sandbox", order_id, source=BACKFILL, created_at=stack.clock.now - DAY)
        await jobs.recover(job_context(RECOVERY.id("sandbox", order_id)), "sandbox", order_id)
        stack.clock.tick(0.7)
    due = await stack.redis.zrange(verify_key("sandbox"), 0, -1, withscores=True)
    assert len(due) == 5
    assert len({at for _, at in due}) == 1
    calls = (await stack.sandbox.calls())["b2b"]

    stack.clock.tick(VERIFY_TOGETHER_S)
    await verifier.verify(job_context(VERIFY.id("sandbox")), "sandbox")

    entries = await stack.ledger.get_many("sandbox", orders)
    assert {(entry.status, entry.verified) for entry in entries} == {(Status.UPDATED, True)}
    after = (await stack.sandbox.calls())["b2b"]
    assert after["Get All Orders"] == {"200": 1}
    assert after["Get an Order"] == calls["Get an Order"]


async def test_new_orders_are_verified_by_a_list_of_their_own(stack: Stack, monkeypatch: pytest.MonkeyPatch) -> None:
    """A list that starts at the old orders would end before the new ones."""
    monkeypatch.setattr("workers.orders.record_loader.MAX_OTHER_PAGES", 1)
    resources = stack.resources()
    verifier = Verifier(resources, clock=stack.clock)
    old = [await stack.place(age=DAY) for _ in range(3)]
    for _ in range(260):
        await stack.place(0, age=3600)
    fresh = [await stack.place() for _ in range(3)]
    for order_id in old + fresh:
        entry = queued_entry(stack, order_id) if order_id in old else stack.entry(order_id)
        await stack.attempt(entry)
        await resources.transitions.to_verification(entry, 0.0)

    await verifier.verify(job_context(VERIFY.id("sandbox")), "sandbox")

    entries = await stack.ledger.get_many("sandbox", old + fresh)
    assert [entry.status for entry in entries] == [Status.UPDATED] * 3 + [Status.CREATED] * 3
    assert (await stack.sandbox.calls())["b2b"]["Get All Orders"] == {"200": 2}


async def test_verifications_before_the_quota_ran_out_count(open_stack: OpenStack) -> None:
    # Three cached reads, three Creates, an Update and its read leave one call for verification.
    stack = await open_stack(b2b_quota=9, b2b_quota_window=60.0)
    resources = stack.resources()
    verifier = Verifier(resources, clock=stack.clock)
    old = await stack.place(age=DAY)
    for _ in range(260):
        await stack.place(0, age=3600)
    fresh = [await stack.place() for _ in range(3)]
    for order_id in [*fresh, old]:
        entry = queued_entry(stack, order_id) if order_id == old else stack.entry(order_id)
        await stack.attempt(entry)
        await resources.transitions.to_verification(entry, 0.0)

    with pytest.raises(Retry):
        await verifier.verify(job_context(VERIFY.id("sandbox")), "sandbox")

    assert await stack.ledger.statuses("sandbox", fresh) == dict.fromkeys(fresh, Status.CREATED)
    assert await stack.ledger.statuses("sandbox", [old]) == {old: Status.QUEUED}


async def test_old_order_is_retried_within_a_minute(stack: Stack) -> None:
    resources = stack.resources()
    jobs = Jobs(resources, clock=stack.clock)
    order_id = await stack.place(age=DAY)
    await resources.queue.enqueue("sandbox", order_id, source=BACKFILL, created_at=stack.clock.now - DAY)
    await stack.sandbox.faults(b2b_down=True)

    with pytest.raises(Retry) as again:
        await jobs.recover({**job_context(RECOVERY.id("sandbox", order_id)), "job_try": 15}, "sandbox", order_id)

    assert (again.value.defer_score or 0) / 1000 <= MAX_BACKFILL_BACKOFF_S
    assert await stack.redis.zcard(WINDOW.queue) == 0


async def test_old_order_that_waits_for_quota_is_not_logged(stack: Stack, monkeypatch: pytest.MonkeyPatch) -> None:
    resources = stack.resources()
    jobs = Jobs(resources, clock=stack.clock)
    order_id = await stack.place(age=DAY)

    async def spent(*_: Any, operation: str, **__: Any) -> None:
        raise OutOfBudget(operation, seconds=1.0)

    monkeypatch.setattr(Transport, "spend", spent)
    logged = {}
    for source in (BACKFILL, "reconcile"):
        await resources.queue.enqueue("sandbox", order_id, source=source, created_at=stack.clock.now - DAY)
        with capture_logs() as logs, pytest.raises(Retry):
            await jobs.recover(job_context(RECOVERY.id("sandbox", order_id)), "sandbox", order_id)
        logged[source] = [line["event"] for line in logs]
        await stack.redis.flushall()

    assert logged == {BACKFILL: [], "reconcile": ["order_recovering"]}


# ── no record ─────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("source", [BACKFILL, "retry"])
async def test_old_order_without_a_record_fails_once_a_create_is_refused(stack: Stack, source: str) -> None:
    order_id = await stack.place(age=DAY, own_record=False)
    entry = queued_entry(stack, order_id, source)

    assert await stack.attempt(entry) == RetryLater("B2B Edition has no record of the order yet", 2.0)
    stack.clock.tick(2.0)
    assert await stack.finish(entry) == NO_RECORD
    assert await stack.writes(order_id) == (0, 0)
    assert entry.late_creates == 1


@pytest.mark.parametrize("source", ["assign", "reassign"])
async def test_record_is_awaited_for_a_moment_after_an_assignment(stack: Stack, source: str) -> None:
    entry = queued_entry(stack, await stack.place(age=DAY, record_after=10 * DAY), source)
    assert isinstance(await stack.attempt(entry), RetryLater)

    stack.clock.tick(20)
    assert isinstance(await stack.attempt(entry), RetryLater)
    assert entry.late_creates == 0, "the assignment may be making the record"

    stack.clock.tick(20)
    assert await stack.finish(entry) == NO_RECORD


@pytest.mark.parametrize("source", ["webhook", "reconcile"])
async def test_missing_record_of_a_webhook_or_reconciled_order_is_awaited(stack: Stack, source: str) -> None:
    order_id = await stack.place(age=7200, record_after=10 * DAY)

    assert isinstance(await stack.attempt(queued_entry(stack, order_id, source)), RetryLater)


async def test_missing_record_of_an_order_of_the_last_hour_is_awaited_for_any_source(stack: Stack) -> None:
    order_id = await stack.place(age=1800, record_after=3000)
    entry = queued_entry(stack, order_id)
    entry.times[Stage.CREATED] = stack.clock.now - 1800
    assert isinstance(await stack.attempt(entry), RetryLater)

    stack.clock.tick(1300)
    assert await stack.finish(entry) == UPDATED


async def test_outage_of_b2b_edition_does_not_count_as_a_missing_record(stack: Stack) -> None:
    entry = queued_entry(stack, await stack.place(age=DAY))
    await stack.sandbox.faults(b2b_down=True)
    assert isinstance(await stack.attempt(entry), RetryLater)

    await stack.sandbox.faults()
    assert await stack.finish(entry) == UPDATED


async def test_old_order_of_a_customer_without_company_is_skipped(stack: Stack) -> None:
    order_id = await stack.place(ZOE, age=DAY)
    assert await stack.finish(queued_entry(stack, order_id)) == Finished(Status.SKIPPED, "not_a_company_user")


async def test_restarted_order_is_read_again(stack: Stack) -> None:
    order_id = await stack.place(age=DAY, staff_notes="B-2")
    entry = queued_entry(stack, order_id)
    await stack.finish(entry)
    stack.clock.tick(60)
    entry.start_over, entry.times[Stage.QUEUED] = True, stack.clock.now

    rules = '[po_number]\nfrom = "order.staff_notes"\n[extra_fields]\n"Account No" = "order.customer_locale"\n'
    assert await stack.finish(entry, rules) == UPDATED
    assert await stack.record(order_id) == ("B-2", {"Account No": "en"})


async def test_restarted_order_interrupted_before_resolving_does_not_use_old_values(
    stack: Stack,
) -> None:
    order_id = await stack.place(age=DAY)
    entry = queued_entry(stack, order_id)
    await stack.finish(entry)
    stack.clock.tick(60)
    entry.start_over, entry.times[Stage.QUEUED] = True, stack.clock.now
    rules = '[po_number]\nfrom = "customer.email"\n[extra_fields]\n"Account No" = "order.customer_locale"\n'
    await stack.sandbox.faults(error_rate=1.0, operations=["Get All Customers"])
    assert isinstance(await stack.attempt(entry, rules), RetryLater)

    await stack.sandbox.faults()
    assert await stack.finish(entry, rules) == UPDATED
    assert await stack.record(order_id) == ("ada@example.com", {"Account No": "en"})
