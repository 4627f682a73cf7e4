"""Rules that somebody is still writing cannot stall or fill the console."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from service.rules import compile_rules
from service.rules.limited import LimitedEvaluator
from service.rules.rule_evaluation import RuleSet
from service.stores import Store

DOCUMENTS: list[dict[str, Any]] = [
    {"order": {"id": 1, "customer_message": " PO-1 ", "list": [1, 2]}},
    {"order": {"id": 2, "customer_message": "", "list": {}}},
]
# Twice as much with each step: text of 2 to the power of 26 items.
SLOW = "order.id | " + "[@, @] | " * 26 + "to_string(@)"
# Sixteen times as much with each step: what is beyond the limit at last was not slow to make.
LARGE = "order.customer_message | " + ("join(@, [''" + ", ''" * 16 + "]) | ") * 8 + "length(@)"
LONG = "order.customer_message | " + "join(@, ['', '', '']) | " * 18 + "@"


def rules(**fields: Any) -> RuleSet:
    store = Store.model_validate(
        {
            "hash": "abc123",
            "access_token": "t",
            "client_secret": "s",
            "po_number": "order.customer_message",
            "extra_fields": fields,
        },
        context=None,
    )
    return compile_rules(store)


@pytest.fixture
async def evaluator() -> AsyncIterator[LimitedEvaluator]:
    made = LimitedEvaluator()
    yield made
    await made.close()


async def test_it_gives_what_rules_give_here(evaluator: LimitedEvaluator) -> None:
    some = rules(
        A={"from": ["order.list", "order.id"]}, B={"from": "order.nothing", "default": "x"}, C={"value": "\ud800é"}
    )
    found = await evaluator.evaluate(some, DOCUMENTS)
    for document, evaluation in zip(DOCUMENTS, found, strict=True):
        here = some.evaluate(document)
        assert (evaluation.po_number, evaluation.fields, evaluation.errors, evaluation.missing) == (
            here.po_number,
            here.fields,
            here.errors,
            here.missing,
        )
        assert [(each.source, each.kind, each.place) for each in evaluation.traces] == [
            (each.source, each.kind, each.place) for each in here.traces
        ]
    assert await evaluator.evaluate(some, []) == []


async def test_a_rule_beyond_a_limit_is_an_error_of_that_rule(evaluator: LimitedEvaluator) -> None:
    some = rules(Slow=SLOW, Large={"from": LARGE, "default": "x"}, Long=LONG, Last="order.id")
    one, two = await evaluator.evaluate(some, DOCUMENTS)
    assert one.po_number == "PO-1"
    assert one.fields == {"Large": "x", "Last": "1"}
    assert two.fields == {"Large": "0", "Last": "2"}
    assert one.errors["Slow"] == two.errors["Slow"] == "took longer than 1 s for these orders"
    assert "cannot be evaluated for this order (MemoryError)" in one.errors["Large"]
    assert one.errors["Long"] == "gives more than 64 KiB of text"


async def test_a_caller_that_gives_up_leaves_nothing_behind(evaluator: LimitedEvaluator) -> None:
    some = rules(A="order.id")
    await evaluator.evaluate(some, DOCUMENTS)
    task = asyncio.create_task(evaluator.evaluate(some, DOCUMENTS * 50))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    (found, _) = await evaluator.evaluate(some, DOCUMENTS)
    assert found.fields == {"A": "1"}


async def test_its_process_can_be_started_before_it_is_needed(evaluator: LimitedEvaluator) -> None:
    evaluator.start_ahead()
    evaluator.start_ahead()
    await evaluator.evaluate(rules(), DOCUMENTS)
    process = evaluator._process
    evaluator.start_ahead()
    await evaluator.evaluate(rules(), DOCUMENTS)
    assert evaluator._process is process


async def test_a_process_that_is_being_started_is_ended_too() -> None:
    made = LimitedEvaluator()
    made.start_ahead()
    await made.close()
    assert made._process is None
