"""The values of other programs that an Update sends along are verified, too, and put back once when they are lost."""

from typing import Any

import httpx
import pytest
from structlog.testing import capture_logs

from service.orders.state.job_kinds import REVERIFY
from service.orders.state.order_entry import Entry, Status
from tests.fakes.stacks.job_stack import RECORD, JobStack, failure

UPDATE = f"PUT {RECORD}"
THEIRS: dict[str, Any] = {"createdBy": "portal", "Tags": ["a", "b"]}


@pytest.fixture
def late(job_stack: JobStack) -> JobStack:
    """An order with a record that another program has filled."""
    job_stack.record.make("", **THEIRS)
    job_stack.clock.tick(60)
    return job_stack


async def run_all(job_stack: JobStack) -> Entry:
    """Run all jobs, re-verification included."""
    entry = await job_stack.run_until_finished()
    while any(job_id.startswith(REVERIFY.function) for job_id in await job_stack.queued()):
        await job_stack.run_next()
        entry = await job_stack.run_until_finished()
    return entry


def lose(job_stack: JobStack, *names: str, times: int = 1) -> None:
    """So many Updates do not write these fields, and delete them."""
    left = [times]

    def update(request: httpx.Request) -> Any:
        answer = job_stack.record.update(request)
        if left[0]:
            left[0] -= 1
            for name in names:
                del job_stack.record.fields[name]
        return answer

    job_stack.upstream.on(UPDATE, update)


async def test_what_an_update_carries_is_verified(late: JobStack) -> None:
    await late.webhook()

    entry = await run_all(late)

    assert (entry.status, entry.verified, len(late.upstream.bodies(UPDATE))) == (Status.UPDATED, True, 1)
    assert late.record.fields == {**THEIRS, "F": "fv"}


@pytest.mark.parametrize("lost", [["createdBy"], ["Tags"], ["createdBy", "Tags"], ["createdBy", "F"]], ids=str)
async def test_a_carried_value_that_our_update_loses_is_put_back(late: JobStack, lost: list[str]) -> None:
    lose(late, *lost)
    await late.webhook()

    entry = await run_all(late)

    assert (entry.status, entry.verified, entry.repaired) == (Status.UPDATED, True, True)
    assert late.record.fields == {**THEIRS, "F": "fv"}
    assert len(late.upstream.bodies(UPDATE)) == 2


async def test_a_carried_value_that_is_lost_after_verification_is_put_back(late: JobStack) -> None:
    await late.webhook()
    await late.run_until_finished()
    late.record.fields = {"F": "fv"}

    with capture_logs() as logs:
        entry = await run_all(late)

    assert (entry.status, entry.verified) == (Status.UPDATED, True)
    assert late.record.fields == {**THEIRS, "F": "fv"}
    assert [line for line in logs if line["event"] == "values_lost"]


async def test_a_carried_value_is_put_back_only_once(late: JobStack) -> None:
    lose(late, "createdBy", times=9)
    await late.webhook()

    with capture_logs() as logs:
        entry = await run_all(late)

    assert (entry.status, entry.verified) == (Status.UPDATED, True), "our own values are there"
    assert len(late.upstream.bodies(UPDATE)) == 2
    lines = [line["carried"] for line in logs if line["event"] == "values_lost"]
    assert lines == [["createdBy"]]


async def test_a_carried_value_is_put_back_when_the_answer_got_lost(late: JobStack) -> None:
    answers: list[Any] = [httpx.ReadTimeout("lost")]

    def update(request: httpx.Request) -> Any:
        answer = late.record.update(request)
        if answers:
            del late.record.fields["createdBy"]
        return answers.pop() if answers else answer

    late.upstream.on(UPDATE, update)
    await late.webhook()

    entry = await run_all(late)

    assert (entry.status, entry.verified) == (Status.UPDATED, True)
    assert late.record.fields == {**THEIRS, "F": "fv"}


def lose_all_then_refuse(late: JobStack, field: str) -> None:
    """The first Update loses everything, and later ones with this field are refused."""
    first = [True]

    def update(request: httpx.Request) -> Any:
        if not first and f'"{field}"'.encode() in request.content:
            return failure(400, f"{field} is not allowed any more")
        answer = late.record.update(request)
        if first:
            first.pop()
            late.record.make("")
        return answer

    late.upstream.on(UPDATE, update)


async def test_a_field_that_is_refused_while_it_is_put_back_costs_nothing_else(late: JobStack) -> None:
    lose_all_then_refuse(late, "createdBy")
    await late.webhook()

    entry = await run_all(late)

    assert (entry.status, entry.verified) == (Status.UPDATED, True)
    assert (late.record.po_number, late.record.fields) == ("PO1", {"Tags": ["a", "b"], "F": "fv"})


async def test_our_field_that_is_refused_while_it_is_put_back_is_dropped(late: JobStack) -> None:
    lose_all_then_refuse(late, "F")
    await late.webhook()

    entry = await run_all(late)

    assert (entry.status, entry.verified, list(entry.dropped)) == (Status.UPDATED, True, ["F"])
    assert (late.record.po_number, late.record.fields) == ("PO1", THEIRS)


async def test_a_carried_value_that_was_changed_stays_changed(late: JobStack) -> None:
    await late.webhook()
    await late.run_until_finished()
    late.record.fields["createdBy"] = "clerk"

    await run_all(late)

    assert late.record.fields["createdBy"] == "clerk"
    assert len(late.upstream.bodies(UPDATE)) == 1


async def test_a_retry_by_hand_does_not_bring_back_what_others_have_deleted(late: JobStack) -> None:
    await late.webhook()
    await run_all(late)
    late.record.fields = {"F": "old"}
    await late.retry()

    await run_all(late)

    assert "createdBy" not in late.record.fields


async def test_a_carried_value_may_come_back_under_its_label(job_stack: JobStack) -> None:
    configs = [{"fieldName": "F"}, {"fieldName": "dept", "labelName": "Department"}]
    job_stack.upstream.on("GET /api/v3/io/orders/extra-fields", {"code": 200, "data": configs, "meta": {}})
    job_stack.record.make("", dept="D")

    def update(request: httpx.Request) -> Any:
        answer = job_stack.record.update(request)
        job_stack.record.fields["Department"] = job_stack.record.fields.pop("dept")
        return answer

    job_stack.upstream.on(UPDATE, update)
    job_stack.clock.tick(60)
    await job_stack.webhook()

    entry = await run_all(job_stack)

    assert (entry.status, entry.verified, entry.repaired) == (Status.UPDATED, True, False)
