"""Wrong usage and failures of ``enrich preview``: each is one line."""

import re
from pathlib import Path

import pytest

from tests.fakes.cli import CommandResult, Enrich
from tests.fakes.processes.threaded_sandbox import ServedSandbox
from tests.fakes.stacks.preview import RECORD_EXISTS_S, outcome


@pytest.mark.parametrize(
    ("words", "line"),
    [
        ((), "ORDER: is missing. Name an order by its ID, or use --last 20 for the newest ones."),
        (
            ("1", "--last", "2"),
            "ORDER and --last: cannot be combined. Name one order, or use --last, --since or --until for several.",
        ),
        (
            ("--last", "2", "--document"),
            "--document and --last: cannot be combined. Name the order whose document you want.",
        ),
        (("1", "--document", "--try", "order.id"), "--document and --try: cannot be combined. Use one of them."),
        (("1", "--match", "x"), "--match: needs --try. The `match` of a rule is in the stores file."),
        (
            ("1", "--try", "ordr.id"),
            '--try: the order document has no "ordr", in ordr.id. Did you mean "order"?',
        ),
        (("1", "--try", ""), "--try: the expression is empty. For example: order.customer_message."),
        (("1", "--try", "order.id", "--match", "("), "--match: this is not a valid RE2 pattern: missing ): (."),
        (("one",), "enrich preview: Invalid value for 'ORDER': must be a valid integer"),
        (("0",), "enrich preview: Invalid value for 'ORDER': must be greater than or equal to 1"),
        (("--last", "251"), "enrich preview: Invalid value for '--last': must be less than or equal to 250"),
    ],
)
def test_misuse_is_one_line(enrich: Enrich, folder: Path, words: tuple[str, ...], line: str) -> None:
    ran = enrich("preview", *words)
    assert (ran.code, ran.out, ran.err.count("\n")) == (2, "", 1)
    assert ran.err.startswith(line)


@pytest.mark.parametrize("words", [(), ("--document",), ("--try", "metafields.a.b"), ("--json",)], ids=" ".join)
def test_an_unknown_order_is_one_line(enrich: Enrich, sandbox: ServedSandbox, words: tuple[str, ...]) -> None:
    line = (
        "order 999: was not found (Get an Order: 404). "
        "Run `enrich preview --last 20` to see the newest orders of sandbox.\n"
    )
    assert enrich("preview", "999", *words) == CommandResult(2, "", line)


@pytest.mark.parametrize("words", [("1",), ("1", "--document"), ("--last", "5")], ids=" ".join)
def test_a_token_that_is_refused_is_one_line(enrich: Enrich, sandbox: ServedSandbox, words: tuple[str, ...]) -> None:
    sandbox.run(sandbox.sandbox.faults(refuse_credentials=["sandbox"]))
    ran = enrich("preview", *words)
    assert (ran.code, ran.out) == (2, "")
    assert re.fullmatch(
        r"Get [A-Za-z ]+: 401: Unauthorized\. The credentials are not valid\. Run `enrich check` .* token\.\n", ran.err
    )


@pytest.mark.parametrize("last", [False, True])
def test_a_missing_scope_is_one_line_and_found_with_the_first_order(
    enrich: Enrich, sandbox: ServedSandbox, last: bool
) -> None:
    sandbox.run(sandbox.sandbox.put_store(missing_scopes=["b2b_read"]))
    orders = [sandbox.place(age=age) for age in range(12)]
    ran = enrich("preview", *(("--last", "12") if last else (str(orders[0]),)))
    assert (ran.code, ran.out) == (2, "")
    assert re.fullmatch(
        r"Get .*: 403: You don't have a required scope .+\. Run `enrich check` to see .+ token\.\n", ran.err
    )
    assert sandbox.calls().get("Get User Details by BigCommerce Customer ID", 0) <= 8


def test_redis_is_not_needed(enrich: Enrich, sandbox: ServedSandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REDIS_URL", "redis://127.0.0.1:1/0")
    order = sandbox.place(age=RECORD_EXISTS_S)
    assert outcome(enrich("preview", str(order), "--json")) == ("sent", None)
