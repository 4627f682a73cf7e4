"""Values by hand go before the rules, are written like any others, and cost nobody else's value."""

import itertools
import random

import pytest
from structlog.testing import capture_logs

from service.bigcommerce.clients.hooks import ORDER_UPDATED
from service.errors import ConfigError
from service.orders.by_hand import SetResult
from service.orders.state.order_entry import Entry, Status
from tests.fakes.stacks.by_hand import clear_by_hand, order_values, replace_by_hand, set_by_hand
from tests.fakes.stacks.job_stack import RECORD, JobStack

UPDATE, CREATE, GET_ORDER = f"PUT {RECORD}", "POST /api/v3/io/orders", "GET /v2/orders/1"


async def enriched(stack: JobStack, *, keys: str = "", fields: str = "") -> Entry:
    stack.configure(keys=keys, fields=fields)
    await stack.webhook()
    return await settle(stack)


async def settle(stack: JobStack) -> Entry:
    """Run all jobs that are due within two minutes."""
    until = stack.clock() + 120.0
    while (due := await stack.due_at()) is not None and due <= until:
        await stack.run_next()
    return await stack.entry()


def on_record(stack: JobStack) -> tuple[str | None, dict[str, str]]:
    return stack.record.po_number, stack.record.fields


async def test_values_of_a_finished_order_are_updated_and_verified_with_who_set_them(job_stack: JobStack) -> None:
    assert (await enriched(job_stack)).status is Status.CREATED
    with capture_logs() as logs:
        outcome = await set_by_hand(job_stack, po_number="4711-D")
        entry = await settle(job_stack)

    assert outcome.result is SetResult.QUEUED
    assert (entry.status, entry.verified, entry.source) == (Status.CREATED, True, "by_hand")
    assert on_record(job_stack) == ("4711-D", {"F": "fv"})
    assert entry.by_hand is not None
    assert {name: value.who for name, value in entry.by_hand.values.items()} == {"po_number": "ana"}
    (line,) = [line for line in logs if line["event"] == "order_enriched"]
    assert (line["source"], line["po_number"]) == ("by_hand", "4711-D")


async def test_values_of_a_finished_order_need_no_reading_of_the_order(job_stack: JobStack) -> None:
    await enriched(job_stack)
    read = job_stack.upstream.asked.count(GET_ORDER)
    await set_by_hand(job_stack, F="by hand")
    await settle(job_stack)

    assert on_record(job_stack) == ("PO1", {"F": "by hand"})
    assert job_stack.upstream.asked.count(GET_ORDER) == read


async def test_rules_that_have_changed_since_do_not_touch_the_other_values(job_stack: JobStack) -> None:
    await enriched(job_stack)
    path = job_stack.folder / "stores.toml"
    path.write_text(path.read_text().replace('po_number = "order.customer_message"', 'po_number = { value = "NEW" }'))
    job_stack.use(path)
    await set_by_hand(job_stack, F="by hand")
    await settle(job_stack)

    assert on_record(job_stack) == ("PO1", {"F": "by hand"})


async def test_failed_order_goes_on_with_the_value_that_was_missing(job_stack: JobStack) -> None:
    job_stack.order["customer_message"] = ""
    job_stack.configure(keys='follow = "0s"', fields="")
    path = job_stack.folder / "stores.toml"
    rule = 'po_number = { from = "order.customer_message", required = true }'
    path.write_text(path.read_text().replace('po_number = "order.customer_message"', rule))
    job_stack.use(path)
    await job_stack.webhook()
    entry = await settle(job_stack)
    assert (entry.status, entry.reason) == (Status.FAILED, "po_number")

    job_stack.record.make(Other="theirs")
    await set_by_hand(job_stack, po_number="4711-D")
    entry = await settle(job_stack)

    assert (entry.status, entry.verified) == (Status.UPDATED, True)
    assert on_record(job_stack) == ("4711-D", {"Other": "theirs", "F": "fv"})


async def test_order_that_waits_for_a_value_goes_at_once(job_stack: JobStack) -> None:
    job_stack.order["staff_notes"] = ""
    required = '"F" = { from = "order.staff_notes", required = true }'
    path = job_stack.folder / "stores.toml"
    path.write_text(path.read_text().replace('"F" = "order.staff_notes"', required))
    job_stack.use(path)
    await job_stack.webhook()
    await job_stack.run_next()
    assert (await job_stack.entry()).reason == "value"

    await set_by_hand(job_stack, F="by hand")
    await job_stack.run_next()

    assert on_record(job_stack) == ("PO1", {"F": "by hand"})
    entry = await settle(job_stack)
    assert (entry.status, entry.in_window) == (Status.CREATED, True)


@pytest.mark.parametrize("moment", range(3), ids=["queued", "before the write", "written, not verified"])
async def test_order_in_progress_does_not_finish_without_the_values(job_stack: JobStack, moment: int) -> None:
    """An attempt that began before reads the values of the rules: it goes on, but cannot be the last one."""
    await job_stack.webhook()
    transitions, save = job_stack.resources.transitions, job_stack.resources.transitions.save_before_write

    async def set_meanwhile(entry: Entry) -> bool:
        transitions.save_before_write = save  # type: ignore[method-assign]
        assert (await set_by_hand(job_stack, po_number="4711-D")).result is SetResult.IN_PROGRESS
        return await save(entry)

    if moment == 1:
        transitions.save_before_write = set_meanwhile  # type: ignore[method-assign]
    if moment == 2:
        await job_stack.run_next()
    if moment != 1:
        assert (await set_by_hand(job_stack, po_number="4711-D")).result is SetResult.IN_PROGRESS
    with capture_logs() as logs:
        entry = await settle(job_stack)

    assert on_record(job_stack) == ("4711-D", {"F": "fv"})
    assert (entry.verified, entry.source, entry.po_number) == (True, "by_hand", "4711-D")
    assert [line["po_number"] for line in logs if line["event"] == "order_enriched"] == ["4711-D"]


async def test_later_change_never_replaces_a_value_by_hand(job_stack: JobStack) -> None:
    await enriched(job_stack)
    await set_by_hand(job_stack, po_number="4711-D")
    await settle(job_stack)
    job_stack.order |= {"customer_message": "PO2", "staff_notes": "changed"}
    await job_stack.event(ORDER_UPDATED)
    await settle(job_stack)

    assert on_record(job_stack) == ("4711-D", {"F": "changed"})


async def test_retry_keeps_the_value_by_hand_and_clear_lets_the_rules_decide(job_stack: JobStack) -> None:
    await enriched(job_stack)
    await set_by_hand(job_stack, po_number="4711-D")
    await settle(job_stack)
    await job_stack.retry()
    await settle(job_stack)
    assert on_record(job_stack) == ("4711-D", {"F": "fv"})

    await clear_by_hand(job_stack)
    entry = await settle(job_stack)

    assert on_record(job_stack) == ("PO1", {"F": "fv"})
    assert (entry.status, entry.verified, entry.values_by_hand) == (Status.CREATED, True, {})


async def test_an_order_that_cannot_have_values_ends_as_before(job_stack: JobStack) -> None:
    """Once, not again and again: its attempt has known the values, though it did not get as far as using them."""
    job_stack.order["customer_id"] = 0
    await enriched(job_stack)
    attempts = (await job_stack.entry()).attempts
    await set_by_hand(job_stack, po_number="4711-D")
    entry = await settle(job_stack)

    assert (entry.status, entry.reason, entry.attempts) == (Status.SKIPPED, "guest", attempts + 1)


async def test_values_set_during_an_attempt_outlast_another_that_fails_before_it_uses_them(job_stack: JobStack) -> None:
    await enriched(job_stack)
    job_stack.record.po_number = ""
    job_stack.upstream.on(UPDATE, (503, {}))
    job_stack.order["customer_message"] = "PO2"
    job_stack.clock.tick(10.0)
    await job_stack.event(ORDER_UPDATED)
    while (await job_stack.entry()).status.is_final:
        await job_stack.run_next()
    await job_stack.run_next()  # a later change is on its way to the record
    assert (await set_by_hand(job_stack, F="by hand")).result is SetResult.IN_PROGRESS
    job_stack.upstream.on(GET_ORDER, (503, {}), (503, {}), lambda _: job_stack.order)
    job_stack.upstream.on(UPDATE, job_stack.record.update)
    await settle(job_stack)
    entry = await job_stack.run_until_finished()

    assert on_record(job_stack) == ("PO2", {"F": "by hand"})
    assert entry.verified is True


async def test_values_set_one_after_the_other_add_up(job_stack: JobStack) -> None:
    await enriched(job_stack)
    await set_by_hand(job_stack, po_number="A")
    await set_by_hand(job_stack, F="by hand")
    entry = await settle(job_stack)

    assert entry.values_by_hand == {"po_number": "A", "F": "by hand"}
    assert on_record(job_stack) == ("A", {"F": "by hand"})


async def test_somebody_elses_value_stays_and_is_named(job_stack: JobStack) -> None:
    await enriched(job_stack)
    job_stack.record.po_number = "THEIRS"
    await set_by_hand(job_stack, po_number="4711-D")
    entry = await settle(job_stack)

    assert on_record(job_stack) == ("THEIRS", {"F": "fv"})
    assert entry.kept == ["po_number"]


async def test_replace_holds_for_one_write(job_stack: JobStack) -> None:
    await enriched(job_stack)
    job_stack.record.po_number = "THEIRS"
    await replace_by_hand(job_stack, po_number="4711-D")
    await settle(job_stack)
    assert on_record(job_stack)[0] == "4711-D"

    job_stack.record.po_number = "THEIRS AGAIN"
    await job_stack.retry()
    entry = await settle(job_stack)

    assert on_record(job_stack)[0] == "THEIRS AGAIN"
    assert entry.kept == ["po_number"]


async def test_replace_that_was_not_needed_is_not_kept_for_later(job_stack: JobStack) -> None:
    await enriched(job_stack)
    await replace_by_hand(job_stack, po_number="PO1")  # the record shows it already
    await settle(job_stack)
    job_stack.record.po_number = "THEIRS"
    await job_stack.retry()
    await settle(job_stack)

    assert on_record(job_stack)[0] == "THEIRS"


async def test_replace_covers_only_what_it_was_said_for(job_stack: JobStack) -> None:
    await enriched(job_stack)
    await set_by_hand(job_stack, F="by hand")
    await settle(job_stack)
    job_stack.record.make("THEIRS", F="theirs")
    await replace_by_hand(job_stack, po_number="4711-D")
    await settle(job_stack)

    assert on_record(job_stack) == ("4711-D", {"F": "theirs"})


async def test_what_is_wrong_with_values_is_said_at_once_and_nothing_is_done(job_stack: JobStack) -> None:
    configs = [
        {"fieldName": "F", "fieldType": 0, "labelName": "Cost Center", "maximumLength": "3"},
        {"fieldName": "N", "fieldType": 2, "labelName": "Number"},
    ]
    job_stack.upstream.on("GET /api/v3/io/orders/extra-fields", {"code": 200, "data": configs, "meta": {}})
    await enriched(job_stack)
    before = await job_stack.entry()
    with pytest.raises(ConfigError) as error:
        await order_values(job_stack).set(
            1, {"po_number": " ", "Cost Centre": "x", "N": "many", "F": "long"}, who="ana"
        )

    assert [str(problem).partition(":")[0] for problem in error.value.problems] == [
        "--po",
        '--field "Cost Centre"',
        '--field "N"',
        '--field "F"',
    ]
    assert "Cost Center" in str(error.value)  # did you mean
    assert await job_stack.entry() == before
    with pytest.raises(ConfigError, match="order 999: is unknown in store abc123"):
        await order_values(job_stack).set(999, {"po_number": "A"}, who="ana")
    with pytest.raises(ConfigError, match="nothing to clear"):
        await clear_by_hand(job_stack)


async def test_a_field_may_be_named_by_its_label(job_stack: JobStack) -> None:
    configs = [{"fieldName": "F", "fieldType": 0, "labelName": "Cost Center"}]
    job_stack.upstream.on("GET /api/v3/io/orders/extra-fields", {"code": 200, "data": configs, "meta": {}})
    await enriched(job_stack)
    await order_values(job_stack).set(1, {"Cost Center": "by hand"}, who="ana")
    await settle(job_stack)

    assert on_record(job_stack)[1] == {"F": "by hand"}


class Course:
    """Staff, another app and people with the command act on one order, in any sequence. Each value has one author."""

    def __init__(self, stack: JobStack, seed: int) -> None:
        self._stack = stack
        self._chance = random.Random(seed)
        self._numbers = itertools.count()
        self.theirs: dict[str, str] = {}

    @property
    def shown(self) -> dict[str, str | None]:
        return {"po_number": self._stack.record.po_number, **self._stack.record.fields}

    async def step(self) -> None:
        act = self._chance.choice([self._app, self._hand, self._hand, self._replace, self._staff, self._retry])
        await act(self._chance.choice(["po_number", "F"]))
        if self._chance.random() < 0.7:
            await settle(self._stack)

    async def _app(self, name: str) -> None:
        text = self.theirs[name] = f"theirs {next(self._numbers)}"
        if name == "po_number":
            self._stack.record.po_number = text
        else:
            self._stack.record.fields[name] = text

    async def _hand(self, name: str) -> None:
        await set_by_hand(self._stack, **{name: f"hand {next(self._numbers)}"})

    async def _replace(self, name: str) -> None:
        await replace_by_hand(self._stack, **{name: f"hand {next(self._numbers)}"})
        await settle(self._stack)
        self.theirs.pop(name, None)

    async def _staff(self, name: str) -> None:
        field = {"po_number": "customer_message", "F": "staff_notes"}[name]
        self._stack.order[field] = f"rule {next(self._numbers)}"
        self._stack.clock.tick(10.0)
        await self._stack.event(ORDER_UPDATED)

    async def _retry(self, _: str) -> None:
        await self._stack.retry()


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("existing_values", ["keep", "replace"])
async def test_no_course_of_events_costs_somebody_elses_value_without_replace(
    job_stack: JobStack, seed: int, existing_values: str
) -> None:
    await enriched(job_stack, keys=f'existing_values = "{existing_values}"')
    course = Course(job_stack, seed)
    for _ in range(8):
        await course.step()
        assert course.shown | course.theirs == course.shown
    entry = await settle(job_stack)

    assert entry.status.is_final
    assert course.shown | entry.values_by_hand | course.theirs == course.shown
