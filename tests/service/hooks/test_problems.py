"""Finding the problems of webhooks, without a network."""

from typing import Any

import pytest
from pydantic import SecretStr

from service.bigcommerce.clients.hooks import Hook
from service.hooks import HookProblem, ProblemKind, find_problems, is_receiver
from tests.fakes.webhooks import a_store

CREATED = "store/order/created"
OURS = "https://hooks.example.com/webhooks/bigcommerce"


def problems(headers: Any, expected: dict[str, list[str]]) -> list[HookProblem]:
    """The problems of a webhook with these headers, at a store that expects those."""
    secrets = {name: [SecretStr(value) for value in values] for name, values in expected.items()}
    document = {"id": 1, "scope": CREATED, "destination": OURS, "is_active": True, "headers": headers}
    return find_problems([Hook.of_document(document)], a_store(webhook_headers=secrets), OURS, {})


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        (None, {}),
        ({"X-Other": "o"}, {}),
        ({"X-Key": "k"}, {"X-Key": ["k"]}),
        ({"x-KEY": "k"}, {"X-Key": ["k"]}),
        ({"X-Key": "old"}, {"X-Key": ["new", "old"]}),
        ({"X-Key": "k", "X-Second": "s", "X-Other": "o"}, {"X-Key": ["k"], "X-Second": ["s"]}),
    ],
)
def test_headers_with_an_accepted_secret_each_are_no_problem(headers: Any, expected: Any) -> None:
    assert problems(headers, expected) == []


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        (None, {"X-Key": ["k"]}),
        ({}, {"X-Key": ["k"]}),
        ([], {"X-Key": ["k"]}),
        ({"X-Key": None}, {"X-Key": ["k"]}),
        ({"X-Key": "K"}, {"X-Key": ["k"]}),
        ({"X-Other": "k"}, {"X-Key": ["k"]}),
        ({"X-Key": "older"}, {"X-Key": ["new", "old"]}),
        ({"X-Key": "k"}, {"X-Key": ["k"], "X-Second": ["s"]}),
    ],
)
def test_headers_that_the_receiver_would_refuse_block_delivery(headers: Any, expected: Any) -> None:
    (problem,) = problems(headers, expected)
    assert problem == HookProblem(ProblemKind.HEADERS, CREATED)
    assert problem.blocks_delivery


def test_a_list_without_headers_is_a_header_problem() -> None:
    hook = Hook.of_document({"scope": CREATED, "destination": OURS})
    store = a_store(webhook_headers={"X-Key": [SecretStr("k")]})
    assert find_problems([hook], store, OURS, {}) == [HookProblem(ProblemKind.HEADERS, CREATED)]


def test_headers_of_foreign_webhooks_are_not_checked() -> None:
    ours = Hook(1, CREATED, OURS, True, 0.0, {"X-Key": "k"})
    other = Hook(2, CREATED, "https://erp.example.com/in", True, 0.0)
    store = a_store(webhook_headers={"X-Key": [SecretStr("k")]})
    assert find_problems([ours, other], store, OURS, {}) == [
        HookProblem(ProblemKind.FOREIGN, "https://erp.example.com/in")
    ]


def test_all_problems_are_found_the_worst_first() -> None:
    ours = Hook(1, CREATED, OURS, False, 0.0)
    other = Hook(2, CREATED, "https://erp.example.com/in", True, 0.0)
    store = a_store(webhook_headers={"X-Key": [SecretStr("k")]}, incomplete_orders="wait")
    found = find_problems([other, ours], store, OURS, {"hooks.example.com": 130, "erp.example.com": 5})
    assert [problem.kind for problem in found] == [
        ProblemKind.MISSING,
        ProblemKind.INACTIVE,
        ProblemKind.HEADERS,
        ProblemKind.BLOCKED,
        ProblemKind.FOREIGN,
    ]


@pytest.mark.parametrize(
    ("destination", "expected"),
    [
        (OURS, True),
        (f"{OURS}/?key=k", True),
        ("https://hooks.example.com/behind/webhooks/bigcommerce", True),
        ("https://hooks.example.com/webhooks", False),
    ],
)
def test_a_receiver_is_recognized_by_its_path(destination: str, expected: bool) -> None:
    assert is_receiver(destination) is expected
