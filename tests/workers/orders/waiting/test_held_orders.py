"""While nothing may be written for a store, nothing is, on any way; afterwards no order is lost."""

from collections.abc import Awaitable, Callable

import httpx
import pytest
from structlog.testing import capture_logs

from service.bigcommerce import Api, Budget
from service.bigcommerce.clients.hooks import ORDER_UPDATED
from service.orders.state.order_entry import Entry, Status
from tests.fakes.stacks.by_hand import set_by_hand
from tests.fakes.stacks.job_stack import ORDER, RECORD, JobStack
from tests.fakes.upstream import STORE_HASH

CREATE, UPDATE = "POST /api/v3/io/orders", f"PUT {RECORD}"


def writes(stack: JobStack) -> list[str]:
    """Every call that is no GET, to either API."""
    return [call for call in stack.upstream.asked if not call.startswith("GET ")]


async def pause(stack: JobStack) -> None:
    assert await stack.resources.pauses.begin(STORE_HASH, "ana")


async def resume(stack: JobStack) -> int:
    assert await stack.resources.pauses.end(STORE_HASH)
    return await stack.resources.held.release(STORE_HASH)


async def settle(stack: JobStack, seconds: float = 300.0) -> Entry:
    """Run all jobs that are due within this time."""
    until = stack.clock() + seconds
    while (due := await stack.due_at()) is not None and due <= until:
        await stack.run_next()
    return await stack.entry()


@pytest.mark.parametrize("gate", ["off", "paused"])
async def test_orders_that_may_not_be_written_take_no_calls_of_the_quota(job_stack: JobStack, gate: str) -> None:
    """Else a pause would leave nothing for the orders that come after it."""
    transport = job_stack.resources.transport
    budget = transport._budget = Budget(job_stack.redis, clock=job_stack.clock)
    if gate == "off":
        job_stack.configure(keys='writes = "off"')
    else:
        await pause(job_stack)
    await job_stack.webhook()
    await settle(job_stack)

    calls = sum("/api/v3/io/" in call for call in job_stack.upstream.asked)
    left = await budget.left(STORE_HASH, Api.B2B)
    assert left is not None
    assert left.limit - left.left == calls


async def test_paused_store_shows_what_would_be_sent_and_writes_after_the_resume(job_stack: JobStack) -> None:
    await pause(job_stack)
    await job_stack.webhook()
    with capture_logs() as logs:
        entry = await settle(job_stack)

    assert writes(job_stack) == []
    assert (entry.status, entry.reason) == (Status.WAITING, "writes_off")
    assert (entry.po_number, entry.fields, entry.sent, entry.written) == ("PO1", {"F": "fv"}, None, {})
    assert [(line["log_level"], line["po_number"]) for line in logs if line["event"] == "order_held"] == [
        ("info", "PO1")
    ]
    assert await job_stack.queued() == []

    job_stack.record.make(Other="theirs")
    assert await resume(job_stack) == 1
    entry = await settle(job_stack)

    assert (entry.status, entry.verified) == (Status.UPDATED, True)
    assert (job_stack.record.po_number, job_stack.record.fields) == ("PO1", {"Other": "theirs", "F": "fv"})
    assert await job_stack.resources.held.count(STORE_HASH) == 0


async def test_resume_inside_the_window_still_creates(job_stack: JobStack) -> None:
    await pause(job_stack)
    await job_stack.webhook()
    await job_stack.run_next()
    await resume(job_stack)
    entry = await settle(job_stack)

    assert (entry.status, entry.in_window) == (Status.CREATED, True)


async def test_what_changes_during_the_pause_is_read_after_it(job_stack: JobStack) -> None:
    await pause(job_stack)
    await job_stack.webhook()
    await settle(job_stack)
    job_stack.order["customer_message"] = "PO2"
    job_stack.record.make()
    await resume(job_stack)
    await settle(job_stack)

    assert job_stack.record.po_number == "PO2"


async def test_pause_during_an_attempt_holds_its_write(job_stack: JobStack) -> None:
    """The pause comes after the values were resolved: the save before the write finds it."""
    await job_stack.webhook()
    transitions, save = job_stack.resources.transitions, job_stack.resources.transitions.save_before_write

    async def pause_first(entry: Entry) -> bool:
        await pause(job_stack)
        return await save(entry)

    transitions.save_before_write = pause_first  # type: ignore[method-assign]
    entry = await settle(job_stack)

    assert writes(job_stack) == []
    assert (entry.reason, entry.sent, entry.written) == ("writes_off", None, {})


async def test_pause_while_a_create_is_being_retried_holds_it(job_stack: JobStack) -> None:
    transitions, save = job_stack.resources.transitions, job_stack.resources.transitions.save_before_write

    async def pause_afterwards(entry: Entry) -> bool:
        may_write = await save(entry)
        await pause(job_stack)
        return may_write

    transitions.save_before_write = pause_afterwards  # type: ignore[method-assign]
    job_stack.upstream.on(CREATE, httpx.ConnectError("no connection"))  # nothing was sent: it is tried again
    await job_stack.webhook()
    entry = await settle(job_stack)

    assert writes(job_stack) == [CREATE]
    assert (entry.status, entry.reason, entry.sent, entry.written) == (Status.WAITING, "writes_off", None, {})


async def test_a_pause_that_ends_before_the_order_is_held_lets_it_go_on(job_stack: JobStack) -> None:
    await pause(job_stack)
    await job_stack.webhook()
    transitions, hold = job_stack.resources.transitions, job_stack.resources.transitions.hold

    async def resume_first(entry: Entry, *, writes_off: bool) -> bool:
        if await job_stack.resources.pauses.read(STORE_HASH):
            await resume(job_stack)
        return await hold(entry, writes_off=writes_off)

    transitions.hold = resume_first  # type: ignore[method-assign]
    entry = await settle(job_stack)

    assert (entry.status, entry.verified) == (Status.CREATED, True)


# ── every way to a write ──────────────────────────────────────────────────────────────────────────────────────────────

Way = Callable[[JobStack], Awaitable[None]]


async def create(stack: JobStack) -> None:
    await pause(stack)
    await stack.webhook()


async def update_after_the_window(stack: JobStack) -> None:
    await pause(stack)
    stack.clock.tick(60.0)
    stack.record.make()
    await stack.webhook()


async def late_create(stack: JobStack) -> None:
    await pause(stack)
    stack.clock.tick(600.0)
    await stack.webhook()


async def merge(stack: JobStack) -> None:
    stack.configure(keys='strategy = "merge"')
    await pause(stack)
    await stack.webhook()
    stack.record.make()


async def enriched(stack: JobStack) -> None:
    await stack.webhook()
    entry = await settle(stack)
    assert entry.status is Status.CREATED
    stack.upstream.requests.clear()


async def follow(stack: JobStack) -> None:
    await enriched(stack)
    await pause(stack)
    stack.order["customer_message"] = "PO2"
    stack.clock.tick(10.0)
    await stack.event(ORDER_UPDATED)


async def by_hand(stack: JobStack) -> None:
    await enriched(stack)
    await pause(stack)
    await set_by_hand(stack, po_number="4711-D")


async def retry(stack: JobStack) -> None:
    await enriched(stack)
    await pause(stack)
    stack.record.make()
    await stack.retry()


async def repair_after_verification(stack: JobStack) -> None:
    await stack.webhook()
    await stack.run_next()
    stack.record.make()  # the platform writes over it
    stack.upstream.requests.clear()
    await pause(stack)


async def repair_after_reverification(stack: JobStack) -> None:
    await stack.webhook()
    await stack.run_until_finished()
    stack.upstream.requests.clear()
    stack.record.make()
    await pause(stack)


WAYS: list[Way] = [
    create,
    update_after_the_window,
    late_create,
    merge,
    follow,
    by_hand,
    retry,
    repair_after_verification,
    repair_after_reverification,
]


@pytest.mark.parametrize("way", WAYS, ids=lambda way: way.__name__)
async def test_no_way_to_a_write_is_open_while_the_store_is_paused(job_stack: JobStack, way: Way) -> None:
    await way(job_stack)
    entry = await settle(job_stack, 900.0)

    assert writes(job_stack) == []
    assert (entry.status, entry.reason) == (Status.WAITING, "writes_off")

    assert await resume(job_stack) == 1
    entry = await settle(job_stack, 900.0)

    assert len(writes(job_stack)) == 1
    assert (entry.status.is_written, entry.verified) == (True, True)
    values = {"po_number": entry.po_number, **entry.fields}
    assert {"po_number": job_stack.record.po_number, **job_stack.record.fields} == values


async def test_changes_of_an_order_whose_earlier_change_is_held_are_not_lost(job_stack: JobStack) -> None:
    await follow(job_stack)
    await settle(job_stack, 30.0)
    job_stack.order["customer_message"] = "PO3"
    job_stack.clock.tick(10.0)
    await job_stack.event(ORDER_UPDATED)
    await settle(job_stack, 180.0)
    await resume(job_stack)
    await settle(job_stack, 180.0)

    assert job_stack.record.po_number == "PO3"


# ── writes = "off" ────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_store_with_writes_off_holds_its_orders_until_the_file_says_on(job_stack: JobStack) -> None:
    job_stack.configure(keys='writes = "off"')
    await job_stack.webhook()
    entry = await settle(job_stack)
    assert (writes(job_stack), entry.reason, entry.po_number) == ([], "writes_off", "PO1")

    job_stack.configure()
    assert await job_stack.resources.held.release(STORE_HASH) == 1
    job_stack.record.make()
    entry = await settle(job_stack)

    assert (entry.status, entry.verified, job_stack.record.po_number) == (Status.UPDATED, True, "PO1")


async def test_held_order_outlives_the_time_that_finished_orders_are_kept(job_stack: JobStack) -> None:
    await create(job_stack)
    await settle(job_stack)

    assert await job_stack.redis.ttl(f"enrich:order:{STORE_HASH}:{ORDER}") == -1


async def test_orders_are_not_released_while_the_pause_lasts(job_stack: JobStack) -> None:
    await create(job_stack)
    await settle(job_stack)

    assert await job_stack.resources.held.release(STORE_HASH) == 0
    assert await job_stack.resources.held.count(STORE_HASH) == 1


async def test_order_that_was_retried_meanwhile_is_not_released_twice(job_stack: JobStack) -> None:
    await create(job_stack)
    await settle(job_stack)
    await job_stack.retry()
    await job_stack.resources.pauses.end(STORE_HASH)
    queued = await job_stack.queued()
    await job_stack.resources.held.release(STORE_HASH)

    assert await job_stack.queued() == queued
    assert (await settle(job_stack)).status is Status.CREATED
