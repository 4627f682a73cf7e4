"""The breaker: orders are parked while credentials are refused, and released by a probe."""

from structlog.testing import capture_logs

from service.orders.state.keys import parked_key
from service.orders.state.order_entry import Entry, Status
from service.orders.state.per_store.credentials_breaker import LONGEST_PROBE_S
from tests.fakes.stacks.job_stack import ORDER, JobStack
from tests.fakes.upstream import STORE_HASH


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
    transitions, note = job_stack.resources.transitions, job_stack.resources.transitions.save_before_write

    async def save_too_late(entry: Entry) -> bool:
        await transitions.begin_attempt(STORE_HASH, ORDER)
        return await note(entry)

    job_stack.upstream.on("GET /v2/orders/1", 401)
    await job_stack.webhook()
    await job_stack.run_next()
    transitions.save_before_write = save_too_late  # type: ignore[method-assign]
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
