"""Required rules without a value: nothing is sent, and the order waits until the value comes or its time is over."""

from itertools import pairwise
from typing import Any

import pytest
from structlog.testing import capture_logs

from service.bigcommerce import Priority
from service.bigcommerce.clients.hooks import METAFIELD_WRITTEN
from service.orders.create_window import Window
from service.orders.state.job_kinds import RECOVERY, WAKE_WAITING, WINDOW
from service.orders.state.keys import awaiting_value_key, waiting_key
from service.orders.state.order_entry import Entry, Stage, Status
from service.orders.state.queue import EnqueueResult, Webhook
from tests.fakes.stacks.job_stack import ORDER, JobStack, failure
from tests.fakes.upstream import STORE_HASH
from workers.orders.result_types import AwaitingRequired, Finished
from workers.orders.waiting.required_values import without_value

METAFIELDS = "GET /v3/orders/1/metafields"
METAFIELD_LIST = "GET /v3/orders/metafields"
CREATE, UPDATE = "POST /api/v3/io/orders", "PUT /api/v3/io/orders/1"
LATE = '"Late" = { from = "metafields.checkout.late", %s }'
REQUIRED, DEFAULT = LATE % "required = true", LATE % 'default = "NONE"'
NOTE_REQUIRED = '"Late" = { from = "order.staff_notes", required = true }'
VALUE = {"namespace": "checkout", "key": "late", "value": "A-26", "resource_id": str(ORDER)}


@pytest.fixture
def stack(job_stack: JobStack) -> JobStack:
    """A store whose required field Late is in a metafield, which the order does not have yet."""
    configs = [{"fieldName": name, "fieldType": 0, "labelName": name} for name in ("F", "Late")]
    job_stack.upstream.on("GET /api/v3/io/orders/extra-fields", {"code": 200, "data": configs, "meta": {}})
    job_stack.configure(fields=REQUIRED)
    metafield_appears_at(job_stack, None)
    return job_stack


def metafield_appears_at(stack: JobStack, at_s: float | None) -> None:
    """From this age on the order has the metafield; None for never."""

    def rows(_: Any) -> Any:
        is_there = at_s is not None and stack.clock() - opened_at(stack) >= at_s
        return {"data": [VALUE] if is_there else [], "meta": {"pagination": {"total_pages": 1}}}

    stack.upstream.on(METAFIELDS, rows)
    stack.upstream.on(METAFIELD_LIST, rows)


async def metafield_webhook(stack: JobStack) -> EnqueueResult:
    now = stack.clock()
    return await stack.resources.queue.accept(
        Webhook(STORE_HASH, ORDER, "msg_2", METAFIELD_WRITTEN[0], float(int(now)), now)
    )


async def run_until(stack: JobStack, age_s: float) -> Entry:
    """Run all jobs that are due before the order has this age; then it is that old."""
    until = stack.clock() + age_s - (stack.clock() - opened_at(stack))
    while (due := await stack.due_at()) is not None and due <= until:
        await stack.run_next()
    stack.clock.now = max(stack.clock.now, until)
    return await stack.entry()


def opened_at(stack: JobStack) -> float:
    return Window.of_order(stack.order["date_created"]).opened_at


async def waiting(stack: JobStack, *, age_s: float) -> Entry:
    """The order, of this age and waiting for its value."""
    await stack.webhook()
    entry = await run_until(stack, age_s)
    assert (entry.status, entry.reason, entry.rule) == (Status.WAITING, "value", "Late")
    return entry


# ── when the value comes ────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("rule", "at_s", "told", "status", "late", "create_age"),
    [
        (REQUIRED, 1.5, False, Status.CREATED, "A-26", (1.5, 3.5)),
        (REQUIRED, 4.0, False, Status.CREATED, "A-26", (4.0, 6.0)),
        (REQUIRED, 4.0, True, Status.CREATED, "A-26", (4.0, 4.6)),
        (REQUIRED, 7.5, True, Status.CREATED, "A-26", (7.5, 8.5)),
        (REQUIRED, 7.5, False, Status.UPDATED, "A-26", None),
        (REQUIRED, 40.0, True, Status.UPDATED, "A-26", None),
        (REQUIRED, 40.0, False, Status.UPDATED, "A-26", None),
        (DEFAULT, 1.5, False, Status.CREATED, "A-26", (1.5, 3.5)),
        (DEFAULT, 4.0, False, Status.CREATED, "A-26", (4.0, 6.0)),
        (DEFAULT, 40.0, False, Status.CREATED, "NONE", (6.0, 7.0)),
    ],
)
async def test_when_the_value_comes(
    stack: JobStack,
    rule: str,
    at_s: float,
    told: bool,
    status: Status,
    late: str,
    create_age: tuple[float, float] | None,
) -> None:
    stack.configure(fields=rule)
    metafield_appears_at(stack, at_s)
    await stack.webhook()
    if told:
        await run_until(stack, at_s + 0.1)
        stack.record.make() if at_s > 10 else None
        assert await metafield_webhook(stack) is EnqueueResult.QUEUED
    elif create_age is None:
        await run_until(stack, 9.0)
        stack.record.make()  # B2B Edition makes it by itself

    entry = await stack.run_until_finished()

    assert (entry.status, entry.fields["Late"], entry.reason, entry.rule) == (status, late, None, None)
    assert stack.record.fields == {"F": "fv", "Late": late}
    if create_age is None:
        assert stack.upstream.asked.count(CREATE) == 0
    else:
        assert entry.create_age is not None
        assert create_age[0] <= entry.create_age <= create_age[1]


async def test_told_of_the_value_an_old_order_is_updated_at_once(stack: JobStack) -> None:
    await waiting(stack, age_s=3600.0)
    stack.record.make()
    metafield_appears_at(stack, 0.0)
    told_at = stack.clock()

    assert await metafield_webhook(stack) is EnqueueResult.QUEUED
    entry = await stack.run_until_finished()

    assert entry.status is Status.UPDATED
    assert entry.times[Stage.SENT] - told_at < 2.0


async def test_a_rule_that_need_not_wait_makes_the_order_wait_at_once(stack: JobStack) -> None:
    stack.configure(fields=NOTE_REQUIRED)
    stack.order["staff_notes"] = ""
    await waiting(stack, age_s=1.0)

    stack.order["staff_notes"] = "X"
    assert await stack.resources.queue.wake_waiting(STORE_HASH, ORDER, source="order_updated")
    entry = await stack.run_until_finished()

    assert (entry.status, entry.fields["Late"]) == (Status.CREATED, "X")


@pytest.mark.parametrize("age_s", [8.0, 600.0])
async def test_a_retry_by_hand_attempts_a_waiting_order(stack: JobStack, age_s: float) -> None:
    await waiting(stack, age_s=age_s)
    if age_s > 10:
        stack.record.make()
    metafield_appears_at(stack, 0.0)

    assert await stack.retry() is EnqueueResult.QUEUED
    assert await stack.redis.zcard(awaiting_value_key(STORE_HASH)) == 0
    entry = await stack.run_until_finished()

    assert entry.status is (Status.CREATED if age_s < 10 else Status.UPDATED)


# ── while it waits ──────────────────────────────────────────────────────────────────────────────────────────────


async def test_a_waiting_order_sends_nothing_and_holds_no_job(stack: JobStack) -> None:
    await waiting(stack, age_s=7.5)

    assert await stack.queued() == [WAKE_WAITING.id(STORE_HASH)]
    assert stack.upstream.asked.count(CREATE) == stack.upstream.asked.count(UPDATE) == 0
    assert await stack.redis.zcard(waiting_key(STORE_HASH)) == 0, "it does not wait for its status"


async def test_it_is_attempted_when_its_window_closes_and_then_with_growing_pauses(stack: JobStack) -> None:
    await stack.webhook()
    ages: list[float] = []
    while not (await stack.entry()).status.is_final:
        before = stack.upstream.asked.count("GET /v2/orders/1")
        await stack.run_next()
        if stack.upstream.asked.count("GET /v2/orders/1") > before:
            ages.append(round(stack.clock() - opened_at(stack), 1))

    after = [age for age in ages if age >= 10]
    assert after[:7] == pytest.approx([10.0, 70.1, 190.1, 430.1, 910.1, 1810.1, 2710.1], abs=1.0)
    assert after[-1] == pytest.approx(86_400.0, abs=1)
    assert max(later - earlier for earlier, later in pairwise(after)) < 901.0


async def test_the_poll_reads_at_the_lowest_priority_and_the_update_goes_before_it(stack: JobStack) -> None:
    await waiting(stack, age_s=50.0)
    stack.record.make()
    metafield_appears_at(stack, 0.0)
    spend, spent = stack.resources.transport.spend, list[tuple[str, Priority]]()

    async def note(account: Any, api: Any, priority: Priority, *, operation: str, **how: Any) -> Any:
        spent.append((operation, priority))
        return await spend(account, api, priority, operation=operation, **how)

    stack.resources.transport.spend = note  # type: ignore[method-assign]
    await stack.run_until_finished()

    reads = [priority for operation, priority in spent if "Metafields" in operation]
    assert reads == [Priority.BACKGROUND]
    # The record, and the Update that follows: their calls are spent together.
    assert spent[-1][0] == "Get an Order"
    assert Priority.RECOVER in {priority for operation, priority in spent if operation == "Get an Order"}


async def test_a_change_during_an_attempt_is_not_lost(stack: JobStack) -> None:
    """The order was read without the metafield; before it waits, the metafield is written and its webhook comes."""
    waits = stack.resources.transitions.await_value

    async def wait(entry: Entry, rule: str, *, retry_in: float) -> bool:
        metafield_appears_at(stack, 0.0)
        assert await metafield_webhook(stack) is EnqueueResult.IGNORED
        return await waits(entry, rule, retry_in=retry_in)

    stack.resources.transitions.await_value = wait  # type: ignore[method-assign]
    await stack.webhook()
    while stack.upstream.asked.count(CREATE) == 0:
        await stack.run_next()

    assert (await stack.run_until_finished()).status is Status.CREATED
    assert (await stack.entry()).create_age == pytest.approx(6.5, abs=0.6)


async def test_an_order_that_cannot_be_read_while_it_waits_is_not_lost(stack: JobStack) -> None:
    await waiting(stack, age_s=50.0)
    rows = [failure(503, "Down.")] * 3
    stack.upstream.on("GET /v2/orders/1", *rows, lambda _: stack.order)

    entry = await run_until(stack, 3600.0)

    assert (entry.status, entry.rule, entry.recovering_since) == (Status.WAITING, "Late", None)


# ── a person is needed ──────────────────────────────────────────────────────────────────────────────────────────


async def test_the_log_says_once_that_it_waits_when_its_window_closes(stack: JobStack) -> None:
    with capture_logs() as logs:
        await waiting(stack, age_s=9.9)
        assert [line for line in logs if line["event"] == "order_waiting"] == []
        await run_until(stack, 7200.0)
        await stack.retry()
        await run_until(stack, 8000.0)

    (line,) = [line for line in logs if line["event"] == "order_waiting"]
    assert line["log_level"] == "warning"
    assert (line["outcome"], line["reason"], line["rule"], line["verified"]) == ("waiting", "value", "Late", None)
    assert line["attempts"] >= 2
    assert stack.resources.metrics.orders.labels(STORE_HASH, "waiting")._value.get() == 1


@pytest.mark.parametrize(("follow", "fails_at"), [("24h", 86_400.0), ("30m", 1800.0), ("0s", 10.0), ("1s", 10.0)])
async def test_it_fails_with_the_rules_name_when_follow_is_over(stack: JobStack, follow: str, fails_at: float) -> None:
    stack.configure(keys=f'follow = "{follow}"', fields=REQUIRED)
    with capture_logs() as logs:
        await stack.webhook()
        entry = await stack.run_until_finished(max_jobs=1000)

    assert (entry.status, entry.reason, entry.rule) == (Status.FAILED, "Late", None)
    assert stack.clock() - opened_at(stack) == pytest.approx(fails_at, abs=1.0)
    events = [line["event"] for line in logs]
    assert (events.count("order_failed"), events.count("order_waiting")) == (1, int(fails_at > 10))
    assert await stack.redis.zcard(awaiting_value_key(STORE_HASH)) == 0


async def test_an_order_that_is_older_than_follow_fails_at_once(stack: JobStack) -> None:
    stack.clock.tick(86_400.0)
    await stack.webhook()

    entry = await stack.run_until_finished()

    assert (entry.status, entry.reason) == (Status.FAILED, "Late")
    assert entry.attempts <= 2


@pytest.mark.parametrize(
    ("age_s", "follow_s", "expected"),
    [
        (6.0, 86_400.0, AwaitingRequired("R", 4.05, is_window_closed=False)),
        (6.0, 0.0, AwaitingRequired("R", 4.05, is_window_closed=False)),
        (10.0, 0.0, Finished(Status.FAILED, "R")),
        (10.0, 86_400.0, AwaitingRequired("R", 60.0, is_window_closed=True)),
        (70.0, 86_400.0, AwaitingRequired("R", 120.0, is_window_closed=True)),
        (5000.0, 86_400.0, AwaitingRequired("R", 900.0, is_window_closed=True)),
        (86_300.0, 86_400.0, AwaitingRequired("R", 100.05, is_window_closed=True)),
        (86_400.0, 86_400.0, Finished(Status.FAILED, "R")),
    ],
)
def test_what_becomes_of_an_order_without_a_required_value(
    age_s: float, follow_s: float, expected: AwaitingRequired | Finished
) -> None:
    found = without_value("R", Window(1000.0), now=1000.0 + age_s, follow_s=follow_s)
    if isinstance(found, AwaitingRequired) and isinstance(expected, AwaitingRequired):
        assert found.seconds == pytest.approx(expected.seconds)
        found, expected = (AwaitingRequired(each.rule, 0.0, each.is_window_closed) for each in (found, expected))
    assert found == expected


# ── waking ──────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("scope", METAFIELD_WRITTEN)
async def test_each_kind_of_metafield_webhook_wakes_it_once(stack: JobStack, scope: str) -> None:
    await waiting(stack, age_s=100.0)
    now = stack.clock()
    webhook = Webhook(STORE_HASH, ORDER, "msg_2", scope, float(int(now)), now)

    assert await stack.resources.queue.accept(webhook) is EnqueueResult.QUEUED
    assert await stack.resources.queue.accept(webhook) is EnqueueResult.IGNORED
    assert RECOVERY.id(STORE_HASH, ORDER) in await stack.queued()
    assert await stack.redis.zcard(awaiting_value_key(STORE_HASH)) == 0


async def test_inside_its_window_it_is_woken_into_the_window_queue(stack: JobStack) -> None:
    await waiting(stack, age_s=7.5)
    assert await stack.resources.queue.wake_waiting(STORE_HASH, ORDER, source="order_updated")
    assert WINDOW.id(STORE_HASH, ORDER) in await stack.queued()
    assert (await stack.entry()).woken_by == "order_updated"


@pytest.mark.parametrize("state", ["unknown", "queued", "finished", "incomplete"])
async def test_waking_is_harmless_for_an_order_that_waits_for_no_value(stack: JobStack, state: str) -> None:
    if state == "incomplete":
        stack.configure(keys='incomplete_orders = "wait"')
        stack.order["status_id"] = 0
    if state in ("finished", "incomplete"):
        stack.configure(keys='incomplete_orders = "wait"')
        await stack.webhook()
        await stack.run_next()
    if state == "finished":
        await stack.run_until_finished()
    if state == "queued":
        await stack.webhook()
    before = sorted(await stack.queued())

    assert not await stack.resources.queue.wake_waiting(STORE_HASH, ORDER, source="order_updated")

    assert sorted(await stack.queued()) == before
    if state == "incomplete":
        assert ((await stack.entry()).status, (await stack.entry()).reason) == (Status.WAITING, "incomplete")


async def test_the_job_ends_when_no_order_waits(stack: JobStack) -> None:
    await waiting(stack, age_s=7.5)
    stack.configure(fields="")
    stack.record.make()
    await stack.run_until_finished()
    while WAKE_WAITING.id(STORE_HASH) in await stack.queued():
        await stack.run_next()
    assert await stack.redis.exists(WAKE_WAITING.key(STORE_HASH)) == 0


async def test_an_order_whose_entry_is_gone_leaves_the_list(stack: JobStack) -> None:
    await waiting(stack, age_s=7.5)
    await stack.redis.delete(f"enrich:order:{STORE_HASH}:{ORDER}")
    await stack.run_next()
    assert await stack.redis.zcard(awaiting_value_key(STORE_HASH)) == 0
    assert await stack.queued() == []
