"""Retries of finished orders by an admin."""

from collections import Counter

from structlog.testing import capture_logs

from service.orders.state.order_entry import Status
from tests.fakes.stacks.job_stack import ACCOUNT, RECORD, JobStack


async def test_retry_sees_what_the_admin_has_fixed(job_stack: JobStack) -> None:
    job_stack.configure(
        fields=ACCOUNT.replace("'company", "{ from = 'company").replace("'\n", "', required = true }\n")
    )
    job_stack.company_has({})
    await job_stack.webhook()
    await job_stack.run_next()
    waiting = await job_stack.entry()
    assert (waiting.status, waiting.rule) == (Status.WAITING, "Acc")

    job_stack.company_has({"ERP": "E1"})
    job_stack.record.make()
    job_stack.clock.tick(30.0)  # the earlier reads are still cached
    await job_stack.retry()

    assert (await job_stack.run_until_finished()).status is Status.UPDATED
    assert job_stack.record.fields == {"F": "fv", "Acc": "E1"}


async def test_data_cached_by_a_retry_is_used_by_its_next_attempt(job_stack: JobStack) -> None:
    job_stack.configure(fields=ACCOUNT)
    job_stack.record.make(Acc="E1", F="fv", po_number="PO1")
    await job_stack.webhook()
    assert (await job_stack.run_until_finished()).status is Status.UNCHANGED

    job_stack.clock.tick(30.0)
    asked_before = len(job_stack.upstream.asked)
    job_stack.upstream.on(f"GET {RECORD}", (503, {}), (503, {}), job_stack.record.read)
    await job_stack.retry()
    job_stack.clock.tick(0.01)
    assert (await job_stack.run_until_finished()).status is Status.UNCHANGED

    asked = Counter(job_stack.upstream.asked[asked_before:])
    assert asked[f"GET {RECORD}"] == 3
    assert asked["GET /api/v3/io/companies/12"] == 1
    assert "GET /api/v3/io/users/customer/7" not in asked, "the record has shown the order's Company"


async def test_retry_reads_the_customer_again(job_stack: JobStack) -> None:
    await job_stack.cache.remember_no_company_user(job_stack.order["customer_id"])
    await job_stack.webhook()
    assert (await job_stack.run_until_finished()).reason == "not_a_company_user"

    job_stack.record.make()
    await job_stack.retry()

    assert (await job_stack.run_until_finished()).status is Status.UPDATED


async def test_retry_resets_the_verification_checks(job_stack: JobStack) -> None:
    job_stack.record.make()
    job_stack.upstream.on(f"PUT {RECORD}", {"code": 200, "data": {}})  # accepts the write, but does not store it
    job_stack.clock.tick(60)
    await job_stack.webhook()
    assert (await job_stack.run_until_finished()).reason == "not_persisted"

    job_stack.upstream.on(f"PUT {RECORD}", job_stack.record.update)
    await job_stack.retry()
    entry = await job_stack.run_until_finished()

    assert (entry.status, entry.verified, entry.checks, entry.repaired) == (Status.UPDATED, True, 0, False)


async def test_retry_resets_dropped_fields(job_stack: JobStack) -> None:
    configs = {"code": 200, "data": [{"fieldName": "Other"}], "meta": {}}
    job_stack.upstream.on("GET /api/v3/io/orders/extra-fields", configs)
    await job_stack.webhook()
    assert set((await job_stack.run_until_finished()).dropped) == {"F"}

    configs["data"] = [{"fieldName": "F"}]
    await job_stack.retry()

    entry = await job_stack.run_until_finished()
    assert (entry.status, entry.dropped, job_stack.record.fields) == (Status.CREATED, {}, {"F": "fv"})


async def test_retry_logs_its_own_times(job_stack: JobStack) -> None:
    await job_stack.webhook()
    await job_stack.run_until_finished()
    job_stack.clock.tick(3600)
    await job_stack.retry()
    with capture_logs() as logs:
        await job_stack.run_until_finished()

    (line,) = [line for line in logs if line["event"] == "order_enriched"]
    assert 0 <= line["queue_ms"] < 1000
    assert 0 <= line["duration_ms"] < 10_000


async def test_retry_before_reverification_is_not_finished_by_it(job_stack: JobStack) -> None:
    await job_stack.webhook()
    await job_stack.run_until_finished()
    job_stack.order["customer_message"] = "PO2"
    job_stack.clock.tick(20.0)
    await job_stack.retry()
    job_stack.upstream.on("GET /v2/orders/1", *[503] * 5, lambda _: job_stack.order)

    entry = await job_stack.run_until_finished()

    assert (entry.status, job_stack.record.po_number) == (Status.CREATED, "PO2")
