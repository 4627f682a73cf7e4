"""A sandbox for tests of ``enrich preview``, and helpers that parse its output."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.fakes.cli import CommandResult
from tests.fakes.processes.threaded_sandbox import ServedSandbox, served_sandbox

ADA, CLEO, ZOE, GUEST = 101, 103, 199, 0

STORES = r"""
[bigcommerce]
api_url     = "{url}"
b2b_api_url = "{url}"
[stores.sandbox]
access_token  = "sandbox-access-token"
client_secret = "sandbox-client-secret"
{keys}
"""
RULES = r"""
[stores.sandbox.po_number]
from  = ["metafields.checkout.po_number", "order.customer_message"]
match = 'PO[\s#:]*([A-Z0-9-]+)'
[stores.sandbox.extra_fields]
"Cost Center" = { from = "metafields.checkout.cost_center", default = "UNASSIGNED" }
"Ship Window" = { from = "order.customer_message", match = 'ship:(\S+)' }
"Source"      = { value = "web" }
"Account No"  = { from = 'company.extraFields."ERP Account"', required = true }
"""
TOO_LONG = "a cost center that is longer than forty characters"
RECORD_EXISTS_S = 100_000
"""Seconds: long enough for B2B Edition's own record."""


@pytest.fixture(scope="module")
def served() -> Iterator[ServedSandbox]:
    """One sandbox for all tests here; ``sandbox`` is what they ask for."""
    with served_sandbox() as served:
        yield served


@pytest.fixture
def sandbox(folder: Path, served: ServedSandbox) -> ServedSandbox:
    """A sandbox without orders that ``enrich`` talks to."""
    served.reset()
    configure(folder, served)
    return served


@pytest.fixture(autouse=True)
def reads_only(served: ServedSandbox) -> Iterator[None]:
    """Fail a test that writes anything."""
    yield
    assert [operation for operation in served.calls() if not operation.startswith("Get ")] == []


def configure(folder: Path, sandbox: ServedSandbox, rules: str = RULES, keys: str = "") -> None:
    (folder / "stores.toml").write_text(STORES.format(url=sandbox.url, keys=keys) + rules)


def shown(ran: CommandResult) -> list[list[str]]:
    """The lines as their columns."""
    assert (ran.code, ran.err) == (0, "")
    return [re.split(r"  +", line.strip()) for line in ran.out.splitlines()]


def read(ran: CommandResult) -> Any:
    """The output as JSON."""
    assert (ran.code, ran.err) == (0, "")
    return json.loads(ran.out)


def outcome(ran: CommandResult) -> tuple[str, str | None]:
    result = read(ran)
    return result["outcome"], result["reason"]


def place_many(sandbox: ServedSandbox) -> list[int]:
    """Place five orders of different kinds; the newest is last."""
    return [
        sandbox.place(age=RECORD_EXISTS_S, metafields={"checkout": {"po_number": "PO A-1", "cost_center": "CC-1"}}),
        sandbox.place(CLEO, age=50_000, metafields={"checkout": {"cost_center": TOO_LONG}}),
        sandbox.place(GUEST, customer_message="PO G-1"),
        sandbox.place(ZOE, customer_message="PO Z-1"),
        sandbox.place(customer_message="PO A-2, ship:W05"),
    ]
