"""A bulk import of old orders by API: they are new orders, made now, whose dates say otherwise."""

from typing import Any

import pytest

from service.metrics import WorkerMetrics
from service.orders.state.order_entry import Status
from service.sandbox.apis.documents import rfc_2822
from tests.fakes.stacks.job_stack import ORDER, JobStack
from tests.fakes.upstream import STORE_HASH

HOUR_S = 3600.0


def samples(metrics: WorkerMetrics, name: str) -> dict[str, float]:
    """The samples of a metric that are not zero, by their labels."""
    family: Any = getattr(metrics, name)
    found = [sample for each in family.collect() for sample in each.samples if not sample.name.endswith("_created")]
    return {f"{sample.name}{sample.labels}": sample.value for sample in found if sample.value}


@pytest.mark.parametrize(
    ("age_s", "is_proved", "found_by", "waits_s"),
    [
        (6 * 365 * 24 * HOUR_S, False, "webhook", 0.0),
        (6 * 365 * 24 * HOUR_S, False, "webhook", 60.0),
        (2 * HOUR_S, True, "webhook", 0.0),
        (2 * HOUR_S, True, "webhook", 60.0),
        (2 * HOUR_S, False, "webhook", 0.0),
        (2 * HOUR_S, True, "reconcile", 0.0),
        (6 * 365 * 24 * HOUR_S, True, "reconcile", 60.0),
    ],
)
async def test_imported_orders_are_enriched_and_count_in_no_share(
    job_stack: JobStack, age_s: float, is_proved: bool, found_by: str, waits_s: float
) -> None:
    """``waits_s``: an import of thousands keeps the workers busy."""
    if is_proved:
        await job_stack.resources.history.note_date(STORE_HASH, ORDER - 1, job_stack.clock() - 30.0)
    date = job_stack.clock() - age_s
    job_stack.order["date_created"] = rfc_2822(date)
    if found_by == "webhook":
        await job_stack.webhook()
    else:
        await job_stack.resources.queue.enqueue(STORE_HASH, ORDER, source="reconcile", created_at=date)
    job_stack.clock.tick(waits_s)

    entry = await job_stack.run_until_finished()

    assert (entry.status, entry.verified, job_stack.record.po_number) == (Status.CREATED, True, "PO1")
    assert (entry.in_window, entry.made_window) == (None, None)
    metrics = job_stack.resources.metrics
    for name in ("window_orders", "create_age", "create_margin"):
        assert samples(metrics, name) == {}, name
    lengths = [value for name, value in samples(metrics, "stage").items() if "_sum" in name]
    assert max(lengths, default=0.0) < HOUR_S


async def test_without_a_proof_the_date_stands_and_a_late_order_counts_as_missed(job_stack: JobStack) -> None:
    """Dated back by two hours, and its webhook's ten seconds are over: it may as well be an order whose webhook came
    two hours late."""
    job_stack.order["date_created"] = rfc_2822(job_stack.clock() - 2 * HOUR_S)
    await job_stack.webhook()
    job_stack.clock.tick(60.0)

    entry = await job_stack.run_until_finished()

    assert (entry.status, entry.in_window, entry.made_window) == (Status.CREATED, False, False)
