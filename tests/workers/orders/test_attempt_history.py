"""Each attempt of an order is kept with its time, its calls and its result, in the order's entry."""

from service.orders.state.attempt_notes import KEPT, AttemptNote
from service.orders.state.order_entry import Entry, Status
from tests.fakes.stacks.job_stack import JobStack, failure
from tests.fakes.upstream import STORE_HASH


async def test_an_order_that_goes_well_has_its_create_and_its_verification(job_stack: JobStack) -> None:
    await job_stack.webhook()
    began = job_stack.clock()
    entry = await job_stack.run_until_finished()
    assert [(note.number, note.result) for note in entry.history] == [
        (1, "Create an Order was taken"),
        (0, "verified: the record shows what was sent"),
    ]
    assert entry.history[0].at == round(began, 3)
    assert sum(note.calls for note in entry.history) == entry.upstream_calls


async def test_each_try_of_an_order_has_its_own_result(job_stack: JobStack) -> None:
    job_stack.upstream.on("GET /v2/orders/1", failure(503, "Down for maintenance."))
    await job_stack.webhook()
    entry = await job_stack.run_until_finished(max_jobs=1000)
    first, *_, last = entry.history
    assert entry.status is Status.FAILED
    assert (first.number, last.number) == (1, entry.attempts)
    assert "Down for maintenance." in first.result
    assert len(entry.history) == KEPT, "two days of retries are kept in a bounded list"
    assert [note.number for note in entry.history[:3]] == [1, 2, entry.attempts - KEPT + 3]


async def test_a_retry_goes_on_with_the_history(job_stack: JobStack) -> None:
    await job_stack.webhook()
    before = await job_stack.run_until_finished()
    await job_stack.retry()
    after = await job_stack.run_until_finished()
    assert after.history[: len(before.history)] == before.history
    assert after.history[-1].number == after.attempts == 2


def test_notes_are_read_as_they_were_written_and_those_of_a_newer_version_too() -> None:
    note = AttemptNote(3, 1768078800.125, 412, 4, "failed: a\ud800b")
    entry = Entry(STORE_HASH, 1, history=[note])
    assert Entry.from_hash(STORE_HASH, 1, entry.to_hash()).history == [note]
    stored = {"status": "failed", "history": '[[3, 1.5, 412, 4, "failed", "of a newer version"]]'}
    assert Entry.from_hash(STORE_HASH, 1, stored).history == [AttemptNote(3, 1.5, 412, 4, "failed")]
