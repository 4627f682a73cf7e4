"""An extra field is one field under its fieldName and under its label, and under a name that appears twice."""

from dataclasses import dataclass, field
from typing import Any

import httpx
import pytest

from service.orders.state.job_kinds import REVERIFY
from service.orders.state.order_entry import Entry, Status
from tests.fakes.stacks.job_stack import RECORD, JobStack

CONFIGS = "GET /api/v3/io/orders/extra-fields"
COST_CENTER = {"fieldName": "erp_cost_center", "labelName": "Cost Center"}
RULE = '"Cost Center" = { value = "CC-1" }'


@dataclass(frozen=True)
class Case:
    """A record that exists, and what an Update makes of it. ``label`` is what the rule and the field are called."""

    on_record: dict[str, str]
    sent: dict[str, str]
    kept: tuple[str, ...] = ()
    keys: str = ""
    configs: list[dict[str, Any]] = field(default_factory=lambda: [COST_CENTER])
    rule: str = RULE


OTHER = {"fieldName": "dept", "labelName": "Department"}
TWINS = [{"fieldName": "a", "labelName": "Same"}, {"fieldName": "b", "labelName": "Same"}]
CROSSED = [{"fieldName": "a", "labelName": "b"}, {"fieldName": "b", "labelName": "B"}]

CASES = {
    "theirs, by label, is kept": Case({"Cost Center": "CC-9"}, {"Cost Center": "CC-9"}, ("erp_cost_center",)),
    "theirs, by fieldName, is kept": Case(
        {"erp_cost_center": "CC-9"}, {"erp_cost_center": "CC-9"}, ("erp_cost_center",)
    ),
    "the same value, by label": Case({"Cost Center": "CC-1"}, {"Cost Center": "CC-1"}),
    "empty, by label": Case({"Cost Center": ""}, {"Cost Center": "CC-1"}),
    "empty by fieldName, theirs by label": Case(
        {"erp_cost_center": "", "Cost Center": "CC-9"}, {"Cost Center": "CC-9"}, ("erp_cost_center",)
    ),
    "theirs by label is replaced": Case(
        {"Cost Center": "CC-9"}, {"Cost Center": "CC-1"}, keys='existing_values = "replace"'
    ),
    "not there": Case({}, {"erp_cost_center": "CC-1"}),
    "not there, but others have their label": Case(
        {"Department": "D"}, {"Department": "D", "Cost Center": "CC-1"}, configs=[COST_CENTER, OTHER]
    ),
    "not there, and others have their fieldName": Case(
        {"dept": "D"}, {"dept": "D", "erp_cost_center": "CC-1"}, configs=[COST_CENTER, OTHER]
    ),
    "one label of two fields is no name": Case(
        {"Same": "x"}, {"Same": "x", "a": "1"}, configs=TWINS, rule='"a" = { value = "1" }'
    ),
    "a label that is another field's fieldName is no name": Case(
        {"b": "x"}, {"b": "x", "a": "1"}, configs=CROSSED, rule='"a" = { value = "1" }'
    ),
}


def set_up(job_stack: JobStack, configs: list[dict[str, Any]], rule: str = RULE, *, keys: str = "") -> None:
    del job_stack.order["staff_notes"]  # the field F has no value
    job_stack.configure(keys=keys, fields=rule)
    job_stack.upstream.on(CONFIGS, {"code": 200, "data": configs, "meta": {}})


async def run_late(job_stack: JobStack) -> Entry:
    """Run the order to its end; its webhook arrives after the window."""
    job_stack.clock.tick(60)
    await job_stack.webhook()
    return await job_stack.run_until_finished()


async def reverify(job_stack: JobStack) -> Entry:
    """Run all jobs, re-verification included."""
    while any(job_id.startswith(REVERIFY.function) for job_id in await job_stack.queued()):
        await job_stack.run_next()
        await job_stack.run_until_finished()
    return await job_stack.entry()


def bodies(job_stack: JobStack) -> list[dict[str, str]]:
    """The extra fields of each Update."""
    return [
        {row["fieldName"]: row["fieldValue"] for row in body.get("extraFields", [])}
        for body in job_stack.upstream.bodies(f"PUT {RECORD}")
    ]


@pytest.mark.parametrize("case", CASES.values(), ids=CASES.keys())
async def test_one_field_has_two_names(job_stack: JobStack, case: Case) -> None:
    set_up(job_stack, case.configs, case.rule, keys=case.keys)
    job_stack.record.make("", **case.on_record)

    entry = await run_late(job_stack)

    assert (entry.status, entry.verified, entry.kept) == (Status.UPDATED, True, list(case.kept))
    assert bodies(job_stack) == [case.sent]
    assert (await reverify(job_stack)).status is Status.UPDATED
    assert len(bodies(job_stack)) == 1


def show_labels(job_stack: JobStack, labels: dict[str, str]) -> None:
    """B2B Edition shows these fields by their label, however they were written."""

    def read(request: httpx.Request) -> Any:
        answer = job_stack.record.read(request)
        if isinstance(answer, dict):
            for row in answer["data"]["extraFields"]:
                row["fieldName"] = labels.get(row["fieldName"], row["fieldName"])
        return answer

    job_stack.upstream.on(f"GET {RECORD}", read)


async def test_what_was_sent_by_field_name_is_verified_by_label(job_stack: JobStack) -> None:
    set_up(job_stack, [COST_CENTER])
    show_labels(job_stack, {"erp_cost_center": "Cost Center"})
    await job_stack.webhook()

    entry = await job_stack.run_until_finished()

    assert (entry.status, entry.verified) == (Status.CREATED, True)
    assert (await reverify(job_stack)).status is Status.CREATED
    assert job_stack.record.fields == {"erp_cost_center": "CC-1"}
    assert bodies(job_stack) == []


async def test_ours_under_its_label_is_ours_to_change(job_stack: JobStack) -> None:
    set_up(job_stack, [COST_CENTER])
    show_labels(job_stack, {"erp_cost_center": "Cost Center"})
    await job_stack.webhook()
    await job_stack.run_until_finished()
    job_stack.configure(fields=RULE.replace("CC-1", "CC-2"))
    await job_stack.retry()

    entry = await job_stack.run_until_finished()

    assert (entry.status, entry.kept, bodies(job_stack)) == (Status.CREATED, [], [{"Cost Center": "CC-2"}])


REPEATED: dict[str, tuple[list[str], list[str], list[str]]] = {
    "one of two is empty": (["CC-9", ""], ["CC-9"], ["erp_cost_center"]),
    "the first is empty": (["", "CC-9"], ["CC-9"], ["erp_cost_center"]),
    "both are theirs": (["CC-8", "CC-9"], ["CC-8", "CC-9"], ["erp_cost_center"]),
    "one is ours": (["CC-9", "CC-1"], ["CC-9", "CC-1"], []),
    "both are the same": (["CC-9", "CC-9"], ["CC-9"], ["erp_cost_center"]),
    "both are empty": (["", ""], ["CC-1"], []),
}


@pytest.mark.parametrize(("shown", "sent", "kept"), REPEATED.values(), ids=REPEATED.keys())
async def test_a_name_that_appears_twice(
    job_stack: JobStack, shown: list[str], sent: list[str], kept: list[str]
) -> None:
    set_up(job_stack, [COST_CENTER])
    job_stack.record.make("")

    def read(request: httpx.Request) -> Any:
        answer = job_stack.record.read(request)
        if not job_stack.upstream.bodies(f"PUT {RECORD}"):
            rows = [{"fieldName": "erp_cost_center", "fieldValue": value} for value in shown]
            answer["data"]["extraFields"] = rows
        return answer

    job_stack.upstream.on(f"GET {RECORD}", read)
    entry = await run_late(job_stack)

    assert (entry.status, entry.verified, entry.kept) == (Status.UPDATED, True, kept)
    (body,) = job_stack.upstream.bodies(f"PUT {RECORD}")
    assert [row["fieldValue"] for row in body["extraFields"]] == sent


@pytest.mark.parametrize("flag", [1, "1", True, "true", "A_1"])
async def test_nothing_is_written_on_an_invoice_payment(job_stack: JobStack, flag: Any) -> None:
    job_stack.record.make("")

    def read(request: httpx.Request) -> Any:
        answer = job_stack.record.read(request)
        answer["data"]["isInvoiceOrder"] = flag
        return answer

    job_stack.upstream.on(f"GET {RECORD}", read)
    entry = await run_late(job_stack)

    assert (entry.status, entry.reason) == (Status.SKIPPED, "invoice_payment")
    assert bodies(job_stack) == []


@pytest.mark.parametrize("flag", [0, "0", False, "A_0", None, ""])
async def test_an_order_that_pays_no_invoice_is_enriched(job_stack: JobStack, flag: Any) -> None:
    job_stack.record.make("")

    def read(request: httpx.Request) -> Any:
        answer = job_stack.record.read(request)
        answer["data"]["isInvoiceOrder"] = flag
        return answer

    job_stack.upstream.on(f"GET {RECORD}", read)

    assert (await run_late(job_stack)).status is Status.UPDATED
