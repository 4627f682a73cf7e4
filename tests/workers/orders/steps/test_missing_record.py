"""Orders that B2B Edition never makes a record of: Create after the window, once it is clear that none comes."""

from itertools import pairwise
from typing import Any

import httpx
import pytest

from service.bigcommerce import Account, Api, Priority, Transport
from service.orders.facts.fact import Fact
from service.orders.state.order_entry import Entry, Stage, Status
from service.orders.state.queue import BACKFILL, Webhook
from service.sandbox.demo import DEMO_STORE_HASH
from tests.fakes.stacks.job_stack import CREATED, ORDER, RECORD, JobStack, failure
from tests.fakes.upstream import STORE_HASH
from tests.workers.stacks.stack import OpenStack, Stack
from workers.orders.result_types import Finished, RetryLater, Written
from workers.orders.steps.missing_record import CERTAIN_AGE_S, LATE_CREATE_INTERVAL_S

CREATE = "POST /api/v3/io/orders"
READ = f"GET {RECORD}"
HOUR_S = 3600.0
ALREADY_EXISTS = failure(400, "The order already exists.")
NO_RECORD = (
    "B2B Edition has no record of this order; if its buyer joined the Company later: "
    "`enrich orders assign --customer 7`"
)
assert CREATED.endswith("21:00:00 +0000"), "half a second before a still clock starts"


async def late_webhook(stack: JobStack, delay_s: float) -> None:
    """The order's webhook arrives only now, though it was created with the order."""
    created_at = stack.clock()
    stack.clock.tick(delay_s)
    webhook = Webhook(STORE_HASH, ORDER, "msg_1", "store/order/created", float(int(created_at)), stack.clock())
    await stack.resources.queue.accept(webhook)


def ages_of(stack: JobStack, route: str, answer: Any) -> list[float]:
    """Script the answer to a route; the list is filled with the order's age at each call."""
    ages: list[float] = []
    placed_at = stack.clock()

    def note(request: httpx.Request) -> Any:
        ages.append(stack.clock() - placed_at)
        return answer(request) if callable(answer) else answer

    stack.upstream.on(route, note)
    return ages


# ── when Create is sent ───────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(("delay_s", "earliest_s"), [(11.0, CERTAIN_AGE_S), (70.0, CERTAIN_AGE_S), (HOUR_S, HOUR_S)])
async def test_an_order_whose_webhook_comes_late_is_created_once_the_platform_is_not_merely_late(
    job_stack: JobStack, delay_s: float, earliest_s: float
) -> None:
    creates = ages_of(job_stack, CREATE, job_stack.record.create)
    await late_webhook(job_stack, delay_s)

    entry = await job_stack.run_until_finished()

    assert (entry.status, entry.verified, entry.in_window) == (Status.CREATED, True, False)
    assert (job_stack.record.po_number, job_stack.record.fields) == ("PO1", {"F": "fv"})
    (age,) = creates
    assert earliest_s - 1.0 <= age <= max(earliest_s, delay_s) + 20.0


@pytest.mark.parametrize(("delay_s", "latest_s"), [(11.0, 30.0), (30.0, 45.0)])
async def test_the_record_of_a_later_order_shows_sooner_that_none_comes(
    job_stack: JobStack, delay_s: float, latest_s: float
) -> None:
    await job_stack.resources.history.note_record(STORE_HASH, ORDER + 1)
    creates = ages_of(job_stack, CREATE, job_stack.record.create)
    reads = ages_of(job_stack, READ, job_stack.record.read)
    await late_webhook(job_stack, delay_s)

    assert (await job_stack.run_until_finished()).status is Status.CREATED

    (age,) = creates
    assert 15.0 <= age <= latest_s
    before = [read for read in reads if read <= age]
    assert [read for read in before if read >= 14.5][1:], "read twice well after the window"
    assert age - before[-1] < 1.0, "the second time just before the Create"


@pytest.mark.parametrize(
    ("there_from_s", "earliest_s", "latest_s"),
    [(2.0, 15.0, 30.0), (24.0, 29.0, 45.0), (500.0, 60.0, 80.0)],
)
async def test_where_the_platform_is_known_to_make_records_late_its_record_is_waited_for(
    job_stack: JobStack, there_from_s: float, earliest_s: float, latest_s: float
) -> None:
    await job_stack.resources.history.note_record(STORE_HASH, ORDER + 1)
    await job_stack.resources.facts.keep(STORE_HASH, {Fact.RECORD_THERE_FROM: there_from_s})
    creates = ages_of(job_stack, CREATE, job_stack.record.create)
    await late_webhook(job_stack, 11.0)

    assert (await job_stack.run_until_finished()).status is Status.CREATED

    assert earliest_s <= creates[0] <= latest_s


async def test_the_record_of_an_earlier_order_shows_nothing(job_stack: JobStack) -> None:
    await job_stack.resources.history.note_record(STORE_HASH, ORDER)
    creates = ages_of(job_stack, CREATE, job_stack.record.create)
    await late_webhook(job_stack, 20.0)
    await job_stack.run_until_finished()

    assert creates[0] >= CERTAIN_AGE_S - 1.0


async def test_an_order_that_cannot_be_read_in_its_window_is_created_after_it(job_stack: JobStack) -> None:
    placed_at = job_stack.clock()
    job_stack.upstream.on(
        "GET /v2/orders/1",
        lambda _: job_stack.order if job_stack.clock() - placed_at > 9.9 else (503, {"title": "Oops."}),
    )
    await job_stack.webhook()

    entry = await job_stack.run_until_finished()

    assert (entry.status, entry.verified) == (Status.CREATED, True)
    assert len(job_stack.upstream.bodies(CREATE)) == 1


@pytest.mark.parametrize("comes_at_s", [12.0, 40.0, 110.0])
async def test_a_record_that_comes_late_is_updated_and_nothing_is_created(
    job_stack: JobStack, comes_at_s: float
) -> None:
    placed_at = job_stack.clock()

    def read(request: httpx.Request) -> Any:
        if job_stack.clock() - placed_at >= comes_at_s and job_stack.record.po_number is None:
            job_stack.record.make()
        return job_stack.record.read(request)

    job_stack.upstream.on(READ, read)
    await late_webhook(job_stack, 11.0)

    assert (await job_stack.run_until_finished()).status is Status.UPDATED
    assert job_stack.upstream.bodies(CREATE) == []


@pytest.mark.parametrize(
    "answer",
    [
        (404, {"message": "no Route matched"}),
        httpx.Response(404, html="<html>nginx</html>"),
        (503, {"code": 503, "data": {}, "meta": {"message": "Oops."}}),
        {"code": 200, "data": [{"bcOrderId": "77", "poNumber": "", "extraFields": []}], "meta": {}},
        {"code": 200, "data": [], "meta": {}},
    ],
)
async def test_an_answer_that_is_not_the_apis_own_404_never_leads_to_a_create(job_stack: JobStack, answer: Any) -> None:
    job_stack.upstream.on(READ, answer)
    await late_webhook(job_stack, 3 * HOUR_S)
    for _ in range(12):
        await job_stack.run_next()

    assert job_stack.upstream.bodies(CREATE) == []
    assert not (await job_stack.entry()).status.is_final


async def test_a_backfilled_order_of_hours_ago_is_created(open_stack: OpenStack) -> None:
    stack = await open_stack(own_records=False, late_create="accepted")
    order_id = await stack.place(age=2 * HOUR_S)
    entry = queued(stack, order_id)

    assert await stack.attempt(entry) == RetryLater("B2B Edition has no record of the order yet", 2.0)
    stack.clock.tick(2.0)
    assert await stack.finish(entry) == Finished(Status.CREATED, verified=True)
    assert await stack.record(order_id) == ("A-1", {"Account No": "ERP-10001"})
    assert await stack.writes(order_id) == (1, 0)


async def test_a_shop_may_mix_orders_with_and_without_a_record(open_stack: OpenStack) -> None:
    stack = await open_stack(late_create="accepted")
    usual, by_api = await stack.place(age=HOUR_S), await stack.place(age=HOUR_S, own_record=False)

    assert await stack.finish(queued(stack, usual)) == Finished(Status.UPDATED, verified=True)
    entry = queued(stack, by_api)
    await stack.attempt(entry)
    assert await stack.finish(entry) == Finished(Status.CREATED, verified=True)


def queued(stack: Stack, order_id: int, source: str = BACKFILL) -> Entry:
    return Entry(DEMO_STORE_HASH, order_id, source=source, times={Stage.QUEUED: stack.clock.now})


# ── what a late Create is answered ────────────────────────────────────────────────────────────────────────────────────


async def test_where_late_creates_are_refused_there_are_three_at_most_and_none_soon_after_another(
    job_stack: JobStack,
) -> None:
    creates = ages_of(job_stack, CREATE, ALREADY_EXISTS)
    await late_webhook(job_stack, 70.0)

    entry = await job_stack.run_until_finished(max_jobs=500)

    assert (entry.status, entry.reason) == (Status.FAILED, NO_RECORD)
    assert len(creates) == 3
    assert all(later - earlier >= LATE_CREATE_INTERVAL_S for earlier, later in pairwise(creates))
    assert len(job_stack.upstream.bodies(f"PUT {RECORD}")) == 0


async def test_a_record_that_comes_after_refused_creates_is_updated(job_stack: JobStack) -> None:
    placed_at = job_stack.clock()
    job_stack.upstream.on(CREATE, ALREADY_EXISTS)

    def read(request: httpx.Request) -> Any:
        if job_stack.clock() - placed_at >= 3000.0 and job_stack.record.po_number is None:
            job_stack.record.make()
        return job_stack.record.read(request)

    job_stack.upstream.on(READ, read)
    await late_webhook(job_stack, 70.0)

    assert (await job_stack.run_until_finished(max_jobs=500)).status is Status.UPDATED


async def test_a_create_that_finds_a_record_compares_it(job_stack: JobStack) -> None:
    def create(_: httpx.Request) -> Any:
        job_stack.record.make("BUYER-9")
        return ALREADY_EXISTS

    job_stack.upstream.on(CREATE, create)
    await late_webhook(job_stack, HOUR_S)

    entry = await job_stack.run_until_finished()

    assert (entry.status, entry.kept) == (Status.UPDATED, ["po_number"])
    assert (job_stack.record.po_number, job_stack.record.fields) == ("BUYER-9", {"F": "fv"})


async def test_a_create_that_may_have_got_through_is_read_back_first(job_stack: JobStack) -> None:
    def create(request: httpx.Request) -> Any:
        job_stack.record.create(request)
        return failure(504, "Gateway Timeout")

    job_stack.upstream.on(CREATE, create)
    await late_webhook(job_stack, HOUR_S)

    entry = await job_stack.run_until_finished()

    assert (entry.status, entry.verified, entry.in_window) == (Status.CREATED, True, False)
    assert len(job_stack.upstream.bodies(CREATE)) == 1


@pytest.mark.parametrize("source", [BACKFILL, "webhook"])
async def test_a_create_that_did_not_get_through_is_sent_again_much_later(job_stack: JobStack, source: str) -> None:
    outages = [failure(504, "Gateway Timeout")]
    creates = ages_of(job_stack, CREATE, lambda request: outages.pop() if outages else job_stack.record.create(request))
    if source == BACKFILL:
        job_stack.clock.tick(2 * HOUR_S)
        await job_stack.resources.queue.enqueue(STORE_HASH, ORDER, source=BACKFILL)
    else:
        await late_webhook(job_stack, 2 * HOUR_S)

    entry = await job_stack.run_until_finished(max_jobs=300)

    assert entry.status is Status.CREATED
    assert len(creates) == 2
    assert creates[1] - creates[0] >= LATE_CREATE_INTERVAL_S


async def test_a_create_that_is_refused_for_a_value_is_sent_again_at_once_without_it(job_stack: JobStack) -> None:
    def create(request: httpx.Request) -> Any:
        return failure(400, "F is not valid") if b'"fv"' in request.content else job_stack.record.create(request)

    creates = ages_of(job_stack, CREATE, create)
    await late_webhook(job_stack, HOUR_S)

    entry = await job_stack.run_until_finished()

    assert (entry.status, list(entry.dropped), entry.late_creates) == (Status.CREATED, ["F"], 1)
    assert len(creates) == 2
    assert creates[1] - creates[0] < 5.0


async def test_a_value_that_another_order_has_is_left_out_at_once(job_stack: JobStack) -> None:
    configs = [{"fieldName": "F", "fieldType": 0, "labelName": "F", "isUnique": True}]
    job_stack.upstream.on("GET /api/v3/io/orders/extra-fields", {"code": 200, "data": configs, "meta": {}})
    taken = failure(400, "The value of F already exists.")
    creates = ages_of(
        job_stack, CREATE, lambda request: taken if b'"fv"' in request.content else job_stack.record.create(request)
    )
    await late_webhook(job_stack, HOUR_S)

    entry = await job_stack.run_until_finished()

    assert (entry.status, list(entry.dropped), entry.late_creates) == (Status.CREATED, ["F"], 1)
    assert creates[1] - creates[0] < 5.0


async def test_a_create_that_finds_no_quota_does_not_count(job_stack: JobStack) -> None:
    spent = httpx.Response(429, headers={"X-Rate-Limit-Time-Reset-Ms": "7000", "X-Rate-Limit-Requests-Left": "0"})
    answers = [spent]
    creates = ages_of(job_stack, CREATE, lambda request: answers.pop() if answers else job_stack.record.create(request))
    await late_webhook(job_stack, HOUR_S)

    entry = await job_stack.run_until_finished()

    assert (entry.status, entry.late_creates, len(creates)) == (Status.CREATED, 1, 2)
    assert creates[1] - creates[0] < 30.0


@pytest.mark.parametrize(("source", "priority"), [(BACKFILL, Priority.BACKGROUND), ("webhook", Priority.RECOVER)])
async def test_a_late_create_takes_its_quota_after_orders_in_their_window(
    open_stack: OpenStack, monkeypatch: pytest.MonkeyPatch, source: str, priority: Priority
) -> None:
    stack = await open_stack(own_records=False, late_create="accepted")
    entry = queued(stack, await stack.place(age=HOUR_S), source=source)
    spend, asked = Transport.spend, list[Priority]()

    async def spent(self: Transport, account: Account, api: Api, priority: Priority, **rest: Any) -> Any:
        asked.append(priority)
        return await spend(self, account, api, priority, **rest)

    monkeypatch.setattr(Transport, "spend", spent)
    await stack.attempt(entry)
    assert await stack.attempt(entry) == Written()
    assert {*asked} == {priority}


# ── which records count ───────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("how", ["verified", "compared"])
async def test_a_record_that_is_seen_is_noted(job_stack: JobStack, how: str) -> None:
    if how == "compared":
        job_stack.record.make("PO1", F="fv")
        await late_webhook(job_stack, 20.0)
    else:
        await job_stack.webhook()
    await job_stack.run_until_finished()

    history = job_stack.resources.history
    assert await history.has_later_record(STORE_HASH, ORDER - 1)
    assert not await history.has_later_record(STORE_HASH, ORDER)
