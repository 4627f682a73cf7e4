"""When an order was really made: ``date_created`` can be set by whoever makes it."""

from typing import Any

import httpx
import pytest
from structlog.testing import capture_logs

from service.bigcommerce import Account, Api, Priority, Transport
from service.orders.state.job_kinds import RECOVERY, WINDOW
from service.orders.state.order_entry import Entry, Stage, Status
from service.orders.state.queue import Webhook
from service.sandbox.apis.documents import rfc_2822
from tests.fakes.stacks.job_stack import ORDER, RECORD, JobStack, failure
from tests.fakes.upstream import STORE_HASH

CREATE = "POST /api/v3/io/orders"
YEARS_AGO = "Tue, 05 Mar 2019 21:40:11 +0000"
HOUR_S = 3600.0


def dated(stack: JobStack, offset_s: float) -> None:
    """The order's date lies so many seconds after the moment when it was made."""
    stack.order["date_created"] = rfc_2822(stack.clock() + offset_s)


async def enriched(stack: JobStack) -> Entry:
    await stack.webhook()
    return await stack.run_until_finished()


@pytest.mark.parametrize("offset_s", [-6 * 365 * 24 * HOUR_S, -25 * HOUR_S, HOUR_S, 24 * HOUR_S])
async def test_an_order_with_a_wrong_date_is_created_in_its_true_window(job_stack: JobStack, offset_s: float) -> None:
    dated(job_stack, offset_s)
    made_at = job_stack.clock()

    entry = await enriched(job_stack)

    assert (entry.status, entry.verified) == (Status.CREATED, True)
    assert entry.in_window is None, "no share counts it"
    assert entry.times[Stage.SENT] - made_at < 10.0
    assert entry.late_creates == 0
    assert f"GET {RECORD}" not in job_stack.upstream.asked[: job_stack.upstream.asked.index(CREATE)]


async def test_an_order_of_years_ago_keeps_its_true_window_over_retries(job_stack: JobStack) -> None:
    job_stack.order["date_created"] = YEARS_AGO
    made_at = job_stack.clock()
    down = (503, {"code": 503, "data": {}, "meta": {"message": "Oops."}})
    job_stack.upstream.on(
        "GET /api/v3/io/orders/extra-fields",
        lambda _: (
            down if job_stack.clock() - made_at < 6.0 else {"code": 200, "data": [{"fieldName": "F"}], "meta": {}}
        ),
    )

    entry = await enriched(job_stack)

    assert entry.status is Status.CREATED
    assert 6.0 <= entry.times[Stage.SENT] - made_at < 10.0


@pytest.mark.parametrize("offset_s", [-6 * 365 * 24 * HOUR_S, HOUR_S])
async def test_a_wrong_date_does_not_keep_the_window_open(job_stack: JobStack, offset_s: float) -> None:
    dated(job_stack, offset_s)
    made_at = job_stack.clock()
    creates: list[float] = []

    def down(_: httpx.Request) -> Any:
        creates.append(job_stack.clock() - made_at)
        return failure(503, "Oops.")

    job_stack.upstream.on(CREATE, down)
    job_stack.upstream.on(f"GET {RECORD}", failure(503, "Oops."))
    await job_stack.webhook()
    while WINDOW.id(STORE_HASH, ORDER) in await job_stack.queued():
        await job_stack.run_next()

    assert job_stack.clock() - made_at < 13.0
    assert await job_stack.queued() == [RECOVERY.id(STORE_HASH, ORDER)]
    assert creates
    assert max(creates) < 10.0


async def test_an_earlier_order_with_a_later_date_proves_that_the_date_is_wrong(job_stack: JobStack) -> None:
    await job_stack.resources.history.note_date(STORE_HASH, ORDER - 1, job_stack.clock() - 30.0)
    dated(job_stack, -2 * HOUR_S)

    entry = await enriched(job_stack)

    assert (entry.status, entry.in_window, entry.late_creates) == (Status.CREATED, None, 0)
    assert entry.create_age is not None
    assert entry.create_age < 10.0


@pytest.mark.parametrize("noted_id", [ORDER + 1, None])
async def test_without_a_proof_one_create_is_tried_after_orders_whose_window_is_known(
    job_stack: JobStack, monkeypatch: pytest.MonkeyPatch, noted_id: int | None
) -> None:
    if noted_id is not None:
        await job_stack.resources.history.note_date(STORE_HASH, noted_id, job_stack.clock() - 30.0)
    dated(job_stack, -2 * HOUR_S)
    spend, asked = Transport.spend, list[tuple[str, Priority]]()

    async def spent(self: Transport, account: Account, api: Api, priority: Priority, **rest: Any) -> Any:
        asked.append((rest["operation"], priority))
        return await spend(self, account, api, priority, **rest)

    monkeypatch.setattr(Transport, "spend", spent)
    entry = await enriched(job_stack)

    assert (entry.status, entry.in_window, entry.late_creates) == (Status.CREATED, None, 1)
    assert ("Create an Order", Priority.RECOVER) in asked


async def test_where_the_one_create_is_refused_the_record_is_compared_as_always(job_stack: JobStack) -> None:
    job_stack.record.make("BUYER-9")
    dated(job_stack, -2 * HOUR_S)

    entry = await enriched(job_stack)

    assert (entry.status, entry.kept) == (Status.UPDATED, ["po_number"])
    assert len(job_stack.upstream.bodies(CREATE)) == 1


async def test_a_webhook_that_is_late_itself_is_no_reason_to_doubt_the_date(job_stack: JobStack) -> None:
    job_stack.record.make()
    created_at = job_stack.clock()
    job_stack.clock.tick(2 * HOUR_S)
    await job_stack.resources.queue.accept(
        Webhook(STORE_HASH, ORDER, "msg_1", "store/order/created", float(int(created_at)), job_stack.clock())
    )

    entry = await job_stack.run_until_finished()

    assert (entry.status, entry.window_opened_at) == (Status.UPDATED, None)
    assert job_stack.upstream.bodies(CREATE) == []


async def test_a_change_of_status_does_not_say_when_the_order_was_made(job_stack: JobStack) -> None:
    job_stack.configure(keys='incomplete_orders = "wait"')
    job_stack.order["status_id"] = 0
    await job_stack.webhook()
    await job_stack.run_next()
    job_stack.clock.tick(2 * 24 * HOUR_S)
    job_stack.record.make()
    job_stack.order["status_id"] = 11
    await job_stack.webhook(status=True)

    entry = await job_stack.run_until_finished()

    assert (entry.status, entry.window_opened_at) == (Status.UPDATED, None)
    assert job_stack.upstream.bodies(CREATE) == []


async def test_a_date_that_its_webhook_confirms_is_noted(job_stack: JobStack) -> None:
    await enriched(job_stack)
    history = job_stack.resources.history
    assert await history.date_before(STORE_HASH, ORDER + 1) == job_stack.clock.now // 60 * 60
    assert await history.date_before(STORE_HASH, ORDER) is None


@pytest.mark.parametrize("offset_s", [-2 * HOUR_S, HOUR_S])
async def test_a_date_that_no_webhook_confirms_proves_nothing_about_other_orders(
    job_stack: JobStack, offset_s: float
) -> None:
    dated(job_stack, offset_s)
    await enriched(job_stack)
    assert await job_stack.resources.history.date_before(STORE_HASH, ORDER + 1) is None


async def test_a_backdated_order_that_reconciling_finds_is_tried_with_one_create(job_stack: JobStack) -> None:
    await job_stack.resources.history.note_date(STORE_HASH, ORDER - 1, job_stack.clock() - 30.0)
    job_stack.order["date_created"] = YEARS_AGO
    await job_stack.resources.queue.enqueue(STORE_HASH, ORDER, source="reconcile", created_at=1_551_822_011.0)

    entry = await job_stack.run_until_finished()

    assert (entry.status, entry.in_window, entry.late_creates) == (Status.CREATED, None, 1)
    assert job_stack.upstream.asked.index(CREATE) < job_stack.upstream.asked.index(f"GET {RECORD}")


async def test_a_date_that_changes_later_is_only_logged(job_stack: JobStack) -> None:
    first = await enriched(job_stack)
    writes = len([call for call in job_stack.upstream.asked if not call.startswith("GET")])
    job_stack.order["date_created"] = rfc_2822(first.times[Stage.CREATED] + HOUR_S)
    await job_stack.retry()
    with capture_logs() as logs:
        entry = await job_stack.run_until_finished()

    assert (entry.status, entry.po_number) == (first.status, first.po_number)
    assert len([call for call in job_stack.upstream.asked if not call.startswith("GET")]) == writes
    (changed,) = [line for line in logs if line["event"] == "order_date_changed"]
    assert changed["before"] < changed["now"]


async def test_an_order_that_is_read_again_with_its_date_is_not_logged(job_stack: JobStack) -> None:
    await enriched(job_stack)
    await job_stack.retry()
    with capture_logs() as logs:
        await job_stack.run_until_finished()
    assert [line for line in logs if line["event"] == "order_date_changed"] == []
