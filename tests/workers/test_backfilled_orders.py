"""Orders of a backfill in the workers: the lowest class of the quota, no call too many, no waiting for what will not
come."""

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest
from arq import Retry
from structlog.testing import capture_logs

from service.bigcommerce import Api, Budget, Priority, Transport
from service.errors import OutOfBudget
from service.orders.state.entry import Entry, Stage, Status
from service.orders.state.jobs import RECOVERY, VERIFY, WINDOW
from service.orders.state.keys import verify_key
from service.orders.state.queue import BACKFILL
from service.sandbox.demo import DEMO_STORE_HASH
from tests.workers.conftest import ZOE, House, OpenHouse
from workers.attempts import VERIFY_TOGETHER_S, Jobs
from workers.backoff import MAX_BACKFILL_BACKOFF_S
from workers.results import Finished, RetryLater
from workers.verification import Verifier

DAY = 86_400.0
NO_RECORD = Finished(
    Status.FAILED,
    "B2B Edition has no record of this order; if its buyer joined the Company later: "
    "`enrich orders assign --customer 101`",
)
UPDATED = Finished(Status.UPDATED, verified=True)


def told(house: House, order_id: int, source: str = BACKFILL) -> Entry:
    """The entry of an order of yesterday that was queued just now."""
    now = house.clock.now
    return Entry(
        DEMO_STORE_HASH, order_id, source=source, times={Stage.CREATED: float(int(now - DAY)), Stage.QUEUED: now}
    )


def context(job_id: str) -> dict[str, Any]:
    async def ensure_lease(_: str) -> None:
        return

    return {"job_id": job_id, "job_try": 1, "ensure_lease": ensure_lease, "enqueue_time": datetime.now(UTC)}


# ── the quota ───────────────────────────────────────────────────────────────────────────────────────────────────


async def test_all_calls_of_an_old_order_are_of_the_lowest_class(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    order_id = await house.place(age=DAY)
    asked: list[tuple[str, Priority]] = []
    spend = Transport.spend

    async def spent(self: Transport, account: Any, api: Api, priority: Priority, **rest: Any) -> Any:
        asked.append((rest["operation"], priority))
        return await spend(self, account, api, priority, **rest)

    monkeypatch.setattr(Transport, "spend", spent)
    await house.live(told(house, order_id))
    of_backfill = {priority for _, priority in asked}
    asked.clear()
    await house.live(told(house, await house.place(age=DAY), source="webhook"))

    assert of_backfill == {Priority.BACKGROUND}
    assert {priority for _, priority in asked} == {Priority.RECOVER}


async def with_budget(house: House) -> tuple[House, Budget]:
    budget = Budget(house.redis, clock=house.clock)
    url = house.sandbox.url
    http = house.sandbox.api._transport
    return replace(
        house, transport=Transport(http, core_url=url, b2b_url=url, clock=house.clock, budget=budget)
    ), budget


async def test_old_orders_leave_the_quota_to_fresh_ones(open_house: OpenHouse) -> None:
    """They ask all the time, and a burst of fresh orders finds all but the little that a class may have ahead."""
    house, budget = await with_budget(await open_house(core_quota=10_000))
    warm = await house.place()
    await house.live(house.entry(warm))  # what changes seldom is in the cache
    old = [await house.place(age=DAY) for _ in range(40)]
    before = await budget.left(DEMO_STORE_HASH, Api.B2B)
    assert before is not None

    verdicts = [await house.live(told(house, order_id)) for order_id in old]

    after = await budget.left(DEMO_STORE_HASH, Api.B2B)
    assert after is not None
    assert before.left - after.left <= 2
    assert sum(isinstance(verdict, RetryLater) for verdict in verdicts) >= 39
    fresh = [await house.place() for _ in range(100)]
    assert {(await house.live(house.entry(order_id))).__class__.__name__ for order_id in fresh} == {"Written"}


async def test_what_lacks_only_quota_is_not_read_again(open_house: OpenHouse) -> None:
    # The user, the Company and the configs take three calls; the fourth would be Get an Order.
    house = await open_house(b2b_quota=3, b2b_quota_window=5.0)
    entry = told(house, await house.place(age=DAY))
    verdict = await house.live(entry)
    assert isinstance(verdict, RetryLater)
    assert verdict.seconds is not None
    reads = (await house.sandbox.calls())["core"]

    house.clock.tick(verdict.seconds)
    assert await house.ended(entry) == UPDATED
    assert (await house.sandbox.calls())["core"] == reads


async def test_what_was_worked_out_long_ago_or_before_it_was_queued_again_is_read_again(open_house: OpenHouse) -> None:
    house = await open_house(b2b_quota=3, b2b_quota_window=5.0)
    for wait_s, queued_again in ((700.0, False), (10.0, True)):
        entry = told(house, await house.place(age=DAY))
        assert isinstance(await house.live(entry), RetryLater)
        reads = (await house.sandbox.calls())["core"]["Get an Order"]["200"]

        house.clock.tick(wait_s)
        if queued_again:
            entry.start_over, entry.times[Stage.QUEUED] = True, house.clock.now
        await house.live(entry)

        assert (await house.sandbox.calls())["core"]["Get an Order"]["200"] == reads + 1


async def test_an_order_that_holds_the_values_takes_one_call_of_b2b_edition(house: House) -> None:
    await house.live(told(house, await house.place(age=DAY)))
    fields = {"Account No": "ERP-10001"}
    order_id = await house.place(age=DAY, buyer_po="A-1", buyer_extra_fields=fields)
    entry = told(house, order_id)

    assert await house.ended(entry) == Finished(Status.UNCHANGED, verified=True)
    assert entry.upstream_calls == 3  # order, metafields, Get an Order


# ── the jobs ────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_old_orders_are_verified_together(house: House) -> None:
    resources = house.resources()
    jobs, verifier = Jobs(resources, clock=house.clock), Verifier(resources, clock=house.clock)
    orders = [await house.place(age=DAY, po_number=f"A-{number}") for number in range(5)]
    for order_id in orders:
        await resources.queue.enqueue("sandbox", order_id, source=BACKFILL, created_at=house.clock.now - DAY)
        await jobs.recover(context(RECOVERY.id("sandbox", order_id)), "sandbox", order_id)
        house.clock.tick(0.7)
    due = await house.redis.zrange(verify_key("sandbox"), 0, -1, withscores=True)
    assert len(due) == 5
    assert len({at for _, at in due}) == 1
    calls = (await house.sandbox.calls())["b2b"]

    house.clock.tick(VERIFY_TOGETHER_S)
    await verifier.check(context(VERIFY.id("sandbox")), "sandbox")

    entries = await house.ledger.get_many("sandbox", orders)
    assert {(entry.status, entry.verified) for entry in entries} == {(Status.UPDATED, True)}
    after = (await house.sandbox.calls())["b2b"]
    assert after["Get All Orders"] == {"200": 1}
    assert after["Get an Order"] == calls["Get an Order"]


async def test_fresh_orders_are_verified_by_a_list_of_their_own(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    """One that began at the old ones would be given up before it came to the fresh ones."""
    monkeypatch.setattr("workers.record_loader.MOST_PAGES", 1)
    resources = house.resources()
    verifier = Verifier(resources, clock=house.clock)
    old = [await house.place(age=DAY) for _ in range(3)]
    for _ in range(260):
        await house.place(0, age=3600)
    fresh = [await house.place() for _ in range(3)]
    for order_id in old + fresh:
        entry = told(house, order_id) if order_id in old else house.entry(order_id)
        await house.live(entry)
        await resources.transitions.to_verification(entry, 0.0)

    await verifier.check(context(VERIFY.id("sandbox")), "sandbox")

    entries = await house.ledger.get_many("sandbox", old + fresh)
    assert [entry.status for entry in entries] == [Status.UPDATED] * 3 + [Status.CREATED] * 3
    assert (await house.sandbox.calls())["b2b"]["Get All Orders"] == {"200": 2}


async def test_what_was_verified_before_the_quota_ran_out_counts(open_house: OpenHouse) -> None:
    # Three that are remembered, a create and an update with its read for each; that leaves one call to verify with.
    house = await open_house(b2b_quota=9, b2b_quota_window=60.0)
    resources = house.resources()
    verifier = Verifier(resources, clock=house.clock)
    old = await house.place(age=DAY)
    for _ in range(260):
        await house.place(0, age=3600)
    fresh = [await house.place() for _ in range(3)]
    for order_id in [*fresh, old]:
        entry = told(house, order_id) if order_id == old else house.entry(order_id)
        await house.live(entry)
        await resources.transitions.to_verification(entry, 0.0)

    with pytest.raises(Retry):
        await verifier.check(context(VERIFY.id("sandbox")), "sandbox")

    assert await house.ledger.statuses("sandbox", fresh) == dict.fromkeys(fresh, Status.CREATED)
    assert await house.ledger.statuses("sandbox", [old]) == {old: Status.QUEUED}


async def test_an_old_order_is_tried_again_within_a_minute_and_its_turns_are_not_told(house: House) -> None:
    resources = house.resources()
    jobs = Jobs(resources, clock=house.clock)
    order_id = await house.place(age=DAY)
    await resources.queue.enqueue("sandbox", order_id, source=BACKFILL, created_at=house.clock.now - DAY)
    await house.sandbox.faults(b2b_down=True)

    with pytest.raises(Retry) as again:
        await jobs.recover({**context(RECOVERY.id("sandbox", order_id)), "job_try": 15}, "sandbox", order_id)

    assert (again.value.defer_score or 0) / 1000 <= MAX_BACKFILL_BACKOFF_S
    assert await house.redis.zcard(WINDOW.queue) == 0


async def test_an_old_order_that_waits_for_its_turn_is_no_event(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    resources = house.resources()
    jobs = Jobs(resources, clock=house.clock)
    order_id = await house.place(age=DAY)

    async def spent(*_: Any, operation: str, **__: Any) -> None:
        raise OutOfBudget(operation, seconds=1.0)

    monkeypatch.setattr(Transport, "spend", spent)
    told_of = {}
    for source in (BACKFILL, "reconcile"):
        await resources.queue.enqueue("sandbox", order_id, source=source, created_at=house.clock.now - DAY)
        with capture_logs() as logs, pytest.raises(Retry):
            await jobs.recover(context(RECOVERY.id("sandbox", order_id)), "sandbox", order_id)
        told_of[source] = [line["event"] for line in logs]
        await house.redis.flushall()

    assert told_of == {BACKFILL: [], "reconcile": ["order_recovering"]}


# ── no record ───────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("source", [BACKFILL, "retry"])
async def test_an_old_order_without_a_record_is_not_waited_for(house: House, source: str) -> None:
    order_id = await house.place(age=DAY, record_after=10 * DAY)

    assert await house.ended(told(house, order_id, source)) == NO_RECORD
    assert await house.writes(order_id) == (0, 0)


@pytest.mark.parametrize("source", ["assign", "reassign"])
async def test_after_an_assignment_the_record_has_a_moment_to_come(house: House, source: str) -> None:
    entry = told(house, await house.place(age=DAY, record_after=10 * DAY), source)
    assert isinstance(await house.live(entry), RetryLater)

    house.clock.tick(40)
    assert await house.ended(entry) == NO_RECORD


@pytest.mark.parametrize("source", ["webhook", "reconcile"])
async def test_an_order_that_bigcommerce_told_of_is_waited_for(house: House, source: str) -> None:
    order_id = await house.place(age=7200, record_after=10 * DAY)

    assert isinstance(await house.live(told(house, order_id, source)), RetryLater)


async def test_an_order_of_the_last_hour_is_waited_for_whoever_told_of_it(house: House) -> None:
    order_id = await house.place(age=1800, record_after=3000)
    entry = told(house, order_id)
    entry.times[Stage.CREATED] = house.clock.now - 1800
    assert isinstance(await house.live(entry), RetryLater)

    house.clock.tick(1300)
    assert await house.ended(entry) == UPDATED


async def test_b2b_edition_that_is_down_says_nothing_of_a_record(house: House) -> None:
    entry = told(house, await house.place(age=DAY))
    await house.sandbox.faults(b2b_down=True)
    assert isinstance(await house.live(entry), RetryLater)

    await house.sandbox.faults()
    assert await house.ended(entry) == UPDATED


async def test_an_old_order_of_no_company_user_is_skipped_all_the_same(house: House) -> None:
    order_id = await house.place(ZOE, age=DAY)
    rules = '[po_number]\nfrom = "order.id"\n'

    assert await house.ended(told(house, order_id), rules) == Finished(Status.SKIPPED, "not_a_company_user")


async def test_again_reads_an_order_that_has_ended_anew(house: House) -> None:
    order_id = await house.place(age=DAY, staff_notes="B-2")
    entry = told(house, order_id)
    await house.ended(entry)
    house.clock.tick(60)
    entry.start_over, entry.times[Stage.QUEUED] = True, house.clock.now

    rules = '[po_number]\nfrom = "order.staff_notes"\n[extra_fields]\n"Account No" = "order.customer_locale"\n'
    assert await house.ended(entry, rules) == UPDATED
    assert await house.record(order_id) == ("B-2", {"Account No": "en"})


async def test_again_does_not_take_the_old_values_when_it_was_cut_off_between_reading_and_working_out(
    house: House,
) -> None:
    order_id = await house.place(age=DAY)
    entry = told(house, order_id)
    await house.ended(entry)
    house.clock.tick(60)
    entry.start_over, entry.times[Stage.QUEUED] = True, house.clock.now
    rules = '[po_number]\nfrom = "customer.email"\n[extra_fields]\n"Account No" = "order.customer_locale"\n'
    await house.sandbox.faults(error_rate=1.0, operations=["Get All Customers"])
    assert isinstance(await house.live(entry, rules), RetryLater)

    await house.sandbox.faults()
    assert await house.ended(entry, rules) == UPDATED
    assert await house.record(order_id) == ("ada@example.com", {"Account No": "en"})
