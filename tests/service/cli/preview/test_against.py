"""``enrich preview --against``, ranges of dates, and CSV."""

import csv
import io
import json
from pathlib import Path

import pytest

from tests.fakes.cli import CommandResult, Enrich
from tests.fakes.processes.threaded_sandbox import ServedSandbox
from tests.fakes.stacks.preview import RECORD_EXISTS_S, RULES, STORES, place_many, read, shown

DAY = 86_400


@pytest.fixture
def changed(folder: Path, sandbox: ServedSandbox) -> Path:
    """A stores file whose PO rule reads another metafield, and which has another default."""
    rules = RULES.replace("metafields.checkout.po_number", "metafields.erp.po_number")
    path = folder / "stores.new.toml"
    path.write_text(STORES.format(url=sandbox.url, keys="") + rules.replace("UNASSIGNED", "NONE"))
    return path


def rows(ran: CommandResult) -> list[dict[str, str]]:
    assert (ran.code, ran.err) == (0, "")
    return list(csv.DictReader(io.StringIO(ran.out, newline="")))


def test_old_is_shown_beside_new_and_differences_come_first(
    enrich: Enrich, sandbox: ServedSandbox, changed: Path
) -> None:
    ids = [str(order) for order in place_many(sandbox)]
    changed.write_text(changed.read_text().replace("NONE", "UNASSIGNED"))
    head, *lines, said = shown(enrich("preview", "--last", "20", "--against", str(changed)))

    assert head == ["ORDER", "CREATED (UTC)", "CUSTOMER", "VALUE", "OLD", "NEW"]
    assert [(order, *rest) for order, _, *rest in lines] == [
        (ids[0], "101", "PO NUMBER", "A-1", "—"),
        (ids[4], "101", "no difference", "A-2", "A-2"),
        (ids[3], "199", "no difference", *["skipped: not_a_company_user"] * 2),
        (ids[2], "guest", "no difference", *["skipped: guest"] * 2),
        (ids[1], "103", "no difference", "sent", "sent"),
    ]
    assert said == ["1 of 5 orders differs: PO NUMBER on 1."]


def test_each_changed_value_has_a_row_and_a_changed_outcome_too(
    enrich: Enrich, sandbox: ServedSandbox, changed: Path
) -> None:
    order = sandbox.place(age=RECORD_EXISTS_S, metafields={"checkout": {"po_number": "PO A-1"}})
    changed.write_text(changed.read_text().replace("match = 'PO", "required = true\nmatch = 'PO"))
    ran = enrich("preview", str(order), "--against", str(changed))

    _, first, *more, said = shown(ran)
    assert first[3:] == ["outcome", "sent", "failed: po_number"]
    assert ["PO NUMBER", "A-1", "—"] in more
    assert ["Source", "web", "—"] in more
    assert said[0].endswith(" outcome on 1. 1 would fail.")


def test_each_order_is_read_once_for_both_files(enrich: Enrich, sandbox: ServedSandbox, changed: Path) -> None:
    place_many(sandbox)
    enrich("preview", "--last", "20", "--against", str(changed))
    assert sandbox.calls() == {
        "Get All Orders": 1,
        "Get All Order Metafields": 1,
        "Get Order Extra Field Configs": 1,
        "Get User Details by BigCommerce Customer ID": 3,
        "Get Company Details": 2,
    }


def test_what_only_the_other_rules_need_is_read_too(enrich: Enrich, sandbox: ServedSandbox, changed: Path) -> None:
    sandbox.place(metafields={"erp": {"po_number": "PO E-1"}})
    (found,) = read(enrich("preview", "--last", "5", "--against", str(changed), "--json"))
    assert (found["differs"], found["old"]["outcome"]) == (True, "sent")
    assert found["changes"] == [
        {"name": "po_number", "old": None, "new": "E-1"},
        {"name": "Cost Center", "old": "UNASSIGNED", "new": "NONE"},
    ]


def test_a_comparison_as_csv_has_two_columns_for_each_value(
    enrich: Enrich, sandbox: ServedSandbox, changed: Path
) -> None:
    sandbox.place(customer_message="PO A-2")
    (row,) = rows(enrich("preview", "--last", "5", "--against", str(changed), "--csv"))
    assert (row["differs"], row["old outcome"], row["old po_number"], row["new po_number"]) == (
        "true",
        "sent",
        "A-2",
        "A-2",
    )
    assert (row["old Cost Center"], row["new Cost Center"]) == ("UNASSIGNED", "NONE")


@pytest.mark.parametrize(
    ("words", "wanted"),
    [
        (("--since", "3d"), [2, 1]),
        (("--since", "3d", "--until", "1d"), [1]),
        (("--until", "1d"), [1, 0]),
        (("--until", "1d", "--last", "1"), [1]),
    ],
)
def test_orders_are_chosen_by_when_they_were_placed(
    enrich: Enrich, sandbox: ServedSandbox, words: tuple[str, ...], wanted: list[int]
) -> None:
    ids = [sandbox.place(age=age * DAY) for age in (4, 2, 0)]
    ran = enrich("preview", *words, "--json")
    assert ran.code == 0
    assert [order["order_id"] for order in json.loads(ran.out)] == [ids[number] for number in wanted]


def test_a_range_with_more_orders_than_are_shown_says_so(enrich: Enrich, sandbox: ServedSandbox) -> None:
    for _ in range(3):
        sandbox.place()
    ran = enrich("preview", "--since", "1d", "--last", "2")
    assert ran.err == "Only the newest 2 orders of this time are shown; there may be more.\n"


def test_previews_and_tried_expressions_as_csv(enrich: Enrich, sandbox: ServedSandbox) -> None:
    order = sandbox.place(customer_message="PO =1+1")
    (row,) = rows(enrich("preview", "--last", "5", "--csv"))
    assert (row["order_id"], row["outcome"], row["Source"]) == (str(order), "sent", "web")
    (row,) = rows(enrich("preview", "--last", "5", "--try", "order.customer_message", "--match", "=.*", "--csv"))
    assert (row["raw"], row["text"], row["value"]) == ('"PO =1+1"', "PO =1+1", "'=1+1")


@pytest.mark.parametrize(
    ("words", "line"),
    [
        ("--last 5 --against nowhere.toml", "nowhere.toml: the stores file does not exist."),
        ("--last 5 --against other.toml", 'other.toml: has no [stores.sandbox]. Did you mean "sandbox2"?'),
        ("--last 5 --against other.toml --try order.id", "--against: compares rules. Leave out --document and --try."),
        ("1 --csv", "--csv: is for tables of several orders. Use --last 20, or --json for one order."),
        ("--last 5 --json --csv", "--json and --csv: cannot be combined."),
        ("99999 --against stores.toml", "order 99999: was not found."),
    ],
)
def test_misuse_is_one_line_with_the_cure(
    enrich: Enrich, sandbox: ServedSandbox, folder: Path, words: str, line: str
) -> None:
    text = (folder / "stores.toml").read_text().replace("stores.sandbox", "stores.sandbox2")
    (folder / "other.toml").write_text(text)
    ran = enrich("preview", *words.split())
    assert (ran.code, ran.out, ran.err.count("\n")) == (2, "", 1)
    assert ran.err.startswith(line)
