"""Which rules gave a value is counted when an order is finished, and a rule that finds nothing any more is logged."""

import pytest
from structlog.testing import capture_logs

from service.logs import Event
from service.orders.state.order_entry import Status
from service.orders.state.per_store.rule_values import RuleCount
from tests.fakes.stacks.job_stack import JobStack
from tests.fakes.upstream import STORE_HASH
from workers.statistics_writer import write_statistics

EVENTS = (Event.RULE_WITHOUT_VALUES, Event.RULE_GIVES_VALUES)


def count_misses(job_stack: JobStack, orders: int) -> None:
    """So many orders before this one, for which no rule found a value."""
    fingerprints = job_stack.resources.configuration.stores[STORE_HASH].rules.fingerprints
    for _ in range(orders):
        job_stack.resources.rule_values.note(STORE_HASH, fingerprints, [])


async def finished(job_stack: JobStack) -> tuple[Status, str | None]:
    await job_stack.webhook()
    entry = await job_stack.run_until_finished()
    return entry.status, entry.reason


async def counts(job_stack: JobStack) -> dict[str, RuleCount]:
    await job_stack.resources.rule_values.write()
    return await job_stack.resources.rule_values.read(STORE_HASH)


async def test_an_order_counts_for_each_rule_that_searches(job_stack: JobStack) -> None:
    del job_stack.order["staff_notes"]
    job_stack.configure(fields='"Acc" = { value = "A-1" }')
    assert (await finished(job_stack))[0] is Status.CREATED
    assert await counts(job_stack) == {"po_number": RuleCount(1, 1, 0), "F": RuleCount(0, 0, 1)}


async def test_a_default_is_not_a_value_that_was_found(job_stack: JobStack) -> None:
    del job_stack.order["staff_notes"]
    job_stack.configure(fields='"Acc" = { from = "order.nothing", default = "A-1" }')
    assert (await finished(job_stack))[0] is Status.CREATED
    assert (await counts(job_stack))["Acc"] == RuleCount(0, 0, 1)


async def test_a_rule_that_finds_nothing_in_50_orders_is_logged_and_so_is_its_next_value(job_stack: JobStack) -> None:
    del job_stack.order["staff_notes"]
    count_misses(job_stack, 49)
    with capture_logs() as logs:
        await finished(job_stack)
        await write_statistics(job_stack.resources)
    assert [line for line in logs if line["event"] in EVENTS] == [
        {"event": "rule_without_values", "log_level": "warning", "store": STORE_HASH, "rule": "F", "orders": 50}
    ]
    job_stack.order["staff_notes"] = "fv"
    await job_stack.retry()
    with capture_logs() as logs:
        await job_stack.run_until_finished()
        await write_statistics(job_stack.resources)
    assert [line for line in logs if line["event"] in EVENTS] == [
        {"event": "rule_gives_values", "log_level": "info", "store": STORE_HASH, "rule": "F", "orders": 50}
    ]


async def test_an_order_without_any_value_counts(job_stack: JobStack) -> None:
    del job_stack.order["staff_notes"], job_stack.order["customer_message"]
    assert await finished(job_stack) == (Status.SKIPPED, "no_values")
    assert await counts(job_stack) == {"po_number": RuleCount(0, 0, 1), "F": RuleCount(0, 0, 1)}


@pytest.mark.parametrize("changes", [{"customer_id": 0}, {"status_id": 0}])
async def test_an_order_whose_rules_were_not_tried_does_not_count(
    job_stack: JobStack, changes: dict[str, object]
) -> None:
    job_stack.configure(keys='incomplete_orders = "skip"')
    job_stack.order.update(changes)
    assert (await finished(job_stack))[0] is Status.SKIPPED
    assert await counts(job_stack) == {}


async def test_a_retried_order_is_not_counted_again(job_stack: JobStack) -> None:
    del job_stack.order["staff_notes"]
    await finished(job_stack)
    await job_stack.retry()
    await job_stack.run_until_finished()
    assert (await counts(job_stack))["F"] == RuleCount(0, 0, 1)
