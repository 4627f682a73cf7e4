"""What a written order ends as, and which orders count in the share of those in the window."""

from dataclasses import replace
from typing import Any

import httpx
import pytest
from structlog.testing import capture_logs

from service.metrics import WorkerMetrics
from service.orders.state.order_entry import Entry, Sent, Status
from tests.fakes.stacks.job_stack import ORDER, RECORD, JobStack

CREATED = Entry(
    "abc123",
    ORDER,
    status=Status.CREATED,
    source="webhook",
    create_age=1.5,
    made_record=True,
    sent=Sent("create", "PO1", {}, answered=True),
)
UPDATED = replace(
    CREATED, status=Status.UPDATED, create_age=None, made_record=False, sent=Sent("update", "PO1", {}, answered=True)
)


@pytest.mark.parametrize(
    ("changes", "status"),
    [
        ({}, Status.CREATED),
        ({"sent": Sent("update", "PO2", {}, answered=True)}, Status.CREATED),
        ({"sent": Sent("update", "PO2", {}, answered=True), "made_record": False}, Status.UPDATED),
        ({"sent": None, "made_record": False}, Status.UPDATED),
    ],
)
def test_who_made_the_record_decides_what_a_written_order_ends_as(changes: dict[str, Any], status: Status) -> None:
    assert replace(CREATED, **changes).written_status is status


@pytest.mark.parametrize(
    ("entry", "changes", "share"),
    [
        (CREATED, {}, True),
        (CREATED, {"source": "reconcile"}, True),
        (CREATED, {"source": "order_updated"}, True),
        (CREATED, {"waited": True}, True),
        (CREATED, {"create_age": 12.0}, False),
        (CREATED, {"create_age": 12.0, "waited": True}, None),
        (CREATED, {"window_opened_at": 1_768_078_800.0}, None),
        (UPDATED, {}, False),
        (UPDATED, {"source": "reconcile"}, False),
        (UPDATED, {"waited": True}, None),
        (UPDATED, {"awaits_record": True}, None),
        *((UPDATED, {"source": source}, None) for source in ("backfill", "retry", "assign", "record", "company_user")),
        (UPDATED, {"status": Status.FAILED}, None),
        (UPDATED, {"status": Status.UNCHANGED}, None),
    ],
)
def test_which_orders_count_in_the_share_of_the_window(
    entry: Entry, changes: dict[str, Any], share: bool | None
) -> None:
    assert replace(entry, **changes).made_window is share


def window_orders(metrics: WorkerMetrics) -> dict[str, float]:
    """How many orders were counted as inside the window, and as not."""
    samples = [sample for family in metrics.window_orders.collect() for sample in family.samples]
    return {each.labels["in_window"]: each.value for each in samples if each.name.endswith("_total")}


async def finish(stack: JobStack) -> tuple[Entry, list[dict[str, Any]]]:
    """Run jobs until the order is finished; its entry, and the canonical lines."""
    with capture_logs() as logs:
        entry = await stack.run_until_finished()
    return entry, [dict(line) for line in logs if line["event"] == "order_enriched"]


async def test_later_change_leaves_the_order_created_and_counts_it_once(job_stack: JobStack) -> None:
    job_stack.configure(keys='follow = "24h"')
    await job_stack.webhook()
    await job_stack.run_until_finished()
    job_stack.clock.tick(3600.0)
    job_stack.order["customer_message"] = "PO2"
    await job_stack.event("store/order/updated")
    while (await job_stack.entry()).status is not Status.QUEUED:
        await job_stack.run_next()

    entry, (line,) = await finish(job_stack)

    assert (entry.status, entry.sent and entry.sent.by, job_stack.record.po_number) == (Status.CREATED, "update", "PO2")
    assert (line["outcome"], line["in_window"], line["source"]) == ("created", True, "order_updated")
    assert 0 <= line["age_ms"] < 10_000, "the age at Create, not at the Update"
    assert window_orders(job_stack.resources.metrics) == {"true": 1.0}
    count = next(iter(job_stack.resources.metrics.create_age.collect())).samples
    assert next(each.value for each in count if each.name.endswith("_count")) == 1


async def test_order_that_waited_for_its_status_past_the_window_is_not_counted(job_stack: JobStack) -> None:
    job_stack.configure(keys='incomplete_orders = "wait"')
    job_stack.order["status_id"] = 0
    await job_stack.webhook()
    while (await job_stack.entry()).status is not Status.WAITING:
        await job_stack.run_next()
    job_stack.clock.tick(3600.0)
    job_stack.order["status_id"] = 11
    job_stack.record.make()
    await job_stack.webhook(status=True)

    entry, (line,) = await finish(job_stack)

    assert (entry.status, line["in_window"]) == (Status.UPDATED, None)
    assert window_orders(job_stack.resources.metrics) == {}


async def test_order_that_is_written_late_without_having_waited_is_counted_as_missed(job_stack: JobStack) -> None:
    job_stack.clock.tick(20.0)
    job_stack.record.make()
    await job_stack.webhook()

    entry, _ = await finish(job_stack)

    assert entry.status is Status.UPDATED
    assert window_orders(job_stack.resources.metrics) == {"false": 1.0}


@pytest.mark.parametrize("arrives", [True, False])
async def test_create_with_lost_answer_made_the_record_if_it_shows_all_of_it(
    job_stack: JobStack, arrives: bool
) -> None:
    """Then F is lost, and put back by an Update. Otherwise the record is B2B Edition's own."""
    job_stack.configure(fields='"Never" = "order.nothing"')

    def lost(request: Any) -> Exception | tuple[int, Any]:
        job_stack.clock.tick(20.0)
        if arrives:
            job_stack.record.create(request)
        else:
            job_stack.record.make()
        return httpx.ReadTimeout("lost")

    job_stack.upstream.on("POST /api/v3/io/orders", lost)
    await job_stack.webhook()
    await job_stack.run_until_finished()
    job_stack.record.fields.clear()
    while (await job_stack.entry()).status is not Status.QUEUED:
        await job_stack.run_next()

    entry = await job_stack.run_until_finished()

    assert entry.status is (Status.CREATED if arrives else Status.UPDATED)
    assert job_stack.record.fields == {"F": "fv"}
    assert job_stack.upstream.asked.count(f"PUT {RECORD}") == (1 if arrives else 2)
