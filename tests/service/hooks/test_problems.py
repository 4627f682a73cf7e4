"""Finding the problems of webhooks, without a network."""

from typing import Any

import pytest
from pydantic import SecretStr

from service.bigcommerce.clients.hooks import COMPANY_CHANGED, Hook
from service.hooks import HookProblem, ProblemKind, find_problems, is_receiver
from tests.fakes.webhooks import a_configured_store

CREATED, UPDATED = "store/order/created", "store/order/updated"
OURS = "https://hooks.example.com/webhooks/bigcommerce"


def problems(headers: Any, expected: dict[str, list[str]]) -> list[HookProblem]:
    """The problems of a webhook with these headers, at a store that expects those."""
    secrets = {name: [SecretStr(value) for value in values] for name, values in expected.items()}
    document = {"id": 1, "scope": CREATED, "destination": OURS, "is_active": True, "headers": headers}
    return find_problems([Hook.of_document(document)], a_configured_store(webhook_headers=secrets), OURS, {})


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
    store = a_configured_store(webhook_headers={"X-Key": [SecretStr("k")]})
    assert find_problems([hook], store, OURS, {}) == [HookProblem(ProblemKind.HEADERS, CREATED)]


def test_headers_of_foreign_webhooks_are_not_checked() -> None:
    ours = Hook(1, CREATED, OURS, True, 0.0, {"X-Key": "k"})
    other = Hook(2, CREATED, "https://erp.example.com/in", True, 0.0)
    store = a_configured_store(webhook_headers={"X-Key": [SecretStr("k")]})
    assert find_problems([ours, other], store, OURS, {}) == [
        HookProblem(ProblemKind.FOREIGN, "https://erp.example.com/in")
    ]


def test_all_problems_are_found_the_worst_first() -> None:
    ours = Hook(1, CREATED, OURS, False, 0.0)
    other = Hook(2, CREATED, "https://erp.example.com/in", True, 0.0)
    store = a_configured_store(webhook_headers={"X-Key": [SecretStr("k")]}, incomplete_orders="wait")
    found = find_problems([other, ours], store, OURS, {"hooks.example.com": 130, "erp.example.com": 5})
    assert [problem.kind for problem in found] == [
        ProblemKind.MISSING,
        ProblemKind.INACTIVE,
        ProblemKind.HEADERS,
        ProblemKind.BLOCKED,
        ProblemKind.FOREIGN,
    ]


@pytest.mark.parametrize(
    ("hooks", "expected"),
    [
        ([], [(ProblemKind.MISSING, UPDATED), *((ProblemKind.MISSING, scope) for scope in COMPANY_CHANGED)]),
        ([(UPDATED, True, {"X-Key": "k"}), ("store/company/*", True, {"X-Key": "k"})], []),
        (
            [(UPDATED, False, {"X-Key": "k"}), ("store/company/*", True, {})],
            [(ProblemKind.INACTIVE, UPDATED), (ProblemKind.HEADERS, "store/company/*")],
        ),
    ],
)
def test_problems_of_optional_webhooks_block_no_delivery(
    hooks: list[tuple[str, bool, dict[str, str]]], expected: list[tuple[ProblemKind, str]]
) -> None:
    store = a_configured_store(po_number="order.id", follow="24h", webhook_headers={"X-Key": [SecretStr("k")]})
    listed = [Hook(1, CREATED, OURS, True, 0.0, {"X-Key": "k"})]
    listed += [Hook(2, scope, OURS, is_active, 0.0, headers) for scope, is_active, headers in hooks]

    found = find_problems(listed, store, OURS, {})

    assert found == [HookProblem(kind, what, is_optional=True) for kind, what in expected]
    assert not any(problem.blocks_delivery for problem in found)


def test_problems_of_a_wildcard_that_new_orders_need_block_delivery() -> None:
    store = a_configured_store(po_number="order.id", follow="24h")
    (inactive,) = find_problems([Hook(1, "store/*", OURS, False, 0.0)], store, OURS, {})
    assert inactive == HookProblem(ProblemKind.INACTIVE, "store/*")
    assert inactive.blocks_delivery


@pytest.mark.parametrize(
    ("scope", "destination", "is_foreign"),
    [
        (CREATED, "https://erp.example.com/in", True),
        ("store/*", "https://erp.example.com/in", True),
        (UPDATED, "https://erp.example.com/in", False),
        (UPDATED, "https://old.example.com/webhooks/bigcommerce", True),
    ],
)
def test_other_programs_may_hear_of_changes(scope: str, destination: str, is_foreign: bool) -> None:
    store = a_configured_store(po_number="order.id", follow="24h")
    hooks = [Hook(1, "store/*", OURS, True, 0.0), Hook(2, scope, destination, True, 0.0)]
    found = find_problems(hooks, store, OURS, {})
    assert found == ([HookProblem(ProblemKind.FOREIGN, destination)] if is_foreign else [])


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
