"""The preview of an order: its outcome, and the result of each rule."""

from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from service.bigcommerce.models import ExtraFieldConfig, Record
from service.configuration import load_configuration
from service.errors import EnrichError, TryAgain
from service.orders.document.loading import NoCompanyUser
from service.orders.document.partial_loader import LoadedOrder
from service.orders.preview import BY_HAND, Outcome, Preview, TriedExpression, preview, try_expression
from service.rules.expression import Expression
from service.rules.pattern import Pattern

CREATED = datetime(2026, 1, 10, 21, tzinfo=UTC).timestamp()
PO = 'po_number = "order.customer_message"'
NO_USER = {"user": NoCompanyUser("customer 7 is no Company user")}


def loaded(gaps: Mapping[str, EnrichError] | None = None, **order: Any) -> LoadedOrder:
    usual = {"id": 1, "customer_id": 7, "status_id": 11, "channel_id": 1, "customer_message": "PO1", "staff_notes": ""}
    usual["date_created"] = "Sat, 10 Jan 2026 21:00:00 +0000"
    document = {"order": usual | order, "user": {}, "company": {"extraFields": {}}, "metafields": {}}
    return LoadedOrder(1, document, gaps or {})


def previewed(
    folder: Path,
    keys: str,
    found: LoadedOrder,
    *known: ExtraFieldConfig,
    record: Record | None = None,
    now: float = CREATED + 3600.0,
    **written: list[str],
) -> Preview:
    path = folder / "stores.toml"
    path.write_text(f'[stores.abc123]\naccess_token = "t"\nclient_secret = "s"\n{keys}')
    return preview(load_configuration(path).stores["abc123"], found, list(known), record, written, now=now)


def config(name: str, **answer: Any) -> ExtraFieldConfig:
    return ExtraFieldConfig.model_validate({"fieldName": name, **answer})


def record(**answer: Any) -> Record:
    return Record.model_validate({"bcOrderId": 1, "companyId": 5, **answer})


BOTH = 'po_number = "order.customer_message"\n[stores.abc123.extra_fields]\n'


@pytest.mark.parametrize(
    ("keys", "found", "outcome", "reason"),
    [
        (PO, loaded(), Outcome.SENT, None),
        (PO, loaded({"user": TryAgain("Get X", "down", status=503)}), Outcome.UNREAD, "Get X: 503: down"),
        (PO, loaded(NO_USER), Outcome.SKIPPED, "not_a_company_user"),
        (PO, loaded(customer_message=""), Outcome.SKIPPED, "no_values"),
        (PO, loaded(NO_USER, customer_message=""), Outcome.SKIPPED, "no_values"),
        (f'{BOTH}A = "company.id"', loaded(NO_USER, customer_message=""), Outcome.SKIPPED, "not_a_company_user"),
        (f'{BOTH}A = {{ from = "order.staff_notes", required = true }}', loaded(), Outcome.WAITING, "value"),
        (f'{BOTH}A = {{ from = "order.staff_notes", required = true }}', loaded(NO_USER), Outcome.WAITING, "value"),
        (
            f'{BOTH}A = {{ from = "order.id", required = true }}',
            loaded(),
            Outcome.FAILED,
            "A: the store has no extra field of this name.",
        ),
        (f'incomplete_orders = "wait"\n{PO}', loaded(status_id=0), Outcome.WAITING, "incomplete"),
        (f'incomplete_orders = "skip"\n{PO}', loaded(status_id=0), Outcome.SKIPPED, "incomplete"),
        (PO, loaded(customer_id=0), Outcome.SKIPPED, "guest"),
    ],
)
def test_the_outcome_is_the_first_that_the_lifecycle_would_reach(
    tmp_path: Path, keys: str, found: LoadedOrder, outcome: Outcome, reason: str | None
) -> None:
    got = previewed(tmp_path, keys, found)
    assert (got.outcome, got.reason) == (outcome, reason)
    assert (got.payload is not None) is (outcome is Outcome.SENT or (outcome is Outcome.WAITING and reason != "value"))
    assert got.rule == ("A" if reason == "value" else None)


@pytest.mark.parametrize(
    ("follow", "age_s", "outcome", "reason"),
    [
        ("24h", 86_399.0, Outcome.WAITING, "value"),
        ("24h", 86_400.0, Outcome.FAILED, "po_number"),
        ("0s", 9.9, Outcome.WAITING, "value"),
        ("0s", 10.0, Outcome.FAILED, "po_number"),
    ],
)
def test_without_a_required_value_an_order_waits_until_the_end_of_follow(
    tmp_path: Path, follow: str, age_s: float, outcome: Outcome, reason: str
) -> None:
    keys = f'follow = "{follow}"\npo_number = {{ from = "order.staff_notes", required = true }}'
    got = previewed(tmp_path, keys, loaded(), now=CREATED + age_s)
    assert (got.outcome, got.reason, got.payload) == (outcome, reason, None)


def test_a_waiting_order_without_values_has_no_payload(tmp_path: Path) -> None:
    got = previewed(tmp_path, f'incomplete_orders = "wait"\n{PO}', loaded(status_id=0, customer_message=""))
    assert (got.outcome, got.payload) == (Outcome.WAITING, None)


def test_an_order_that_would_fail_sends_none_of_its_values(tmp_path: Path) -> None:
    keys = f'{BOTH}A = {{ from = "order.id", required = true }}'
    got = previewed(tmp_path, keys, loaded(), record=record())
    assert (got.values.body(), got.payload, got.merged) == ({}, None, None)
    assert [result.sent for result in got.results] == ["PO1", None]


def test_each_rule_has_a_result(tmp_path: Path) -> None:
    keys = f"""{BOTH}
        "By Label" = "order.id"
        long = {{ from = "order.customer_message" }}
        broken = {{ from = "order", default = "std" }}
        none = {{ from = "order.staff_notes" }}
        lost = {{ from = "length(order.id)" }}
    """
    known = [config(name) for name in ("broken", "none", "lost")]
    got = previewed(
        tmp_path, keys, loaded(), config("f1", labelName="By Label"), config("long", maximumLength=2), *known
    )
    results = {
        result.trace.name: (result.trace.kind, result.field, result.sent, result.dropped) for result in got.results
    }
    assert results == {
        "po_number": ("from", "poNumber", "PO1", None),
        "By Label": ("from", "f1", "1", None),
        "long": ("from", None, None, "the text has 3 characters, the field takes 2."),
        "broken": ("default", "broken", "std", None),
        "none": ("none", None, None, None),
        "lost": ("none", None, None, None),
    }
    assert {result.trace.name for result in got.results if result.error} == {"broken", "lost"}


def test_required_fields_that_no_rule_fills_are_listed(tmp_path: Path) -> None:
    keys = f'{BOTH}A = "order.id"\nB = "order.staff_notes"'
    required = {"isRequired": True}
    got = previewed(tmp_path, keys, loaded(), *(config(name, **required) for name in "ABC"))
    assert got.unfilled == ("B", "C")


def test_a_required_field_with_a_default_is_filled(tmp_path: Path) -> None:
    got = previewed(tmp_path, f'{BOTH}A = "order.id"', loaded(), config("B", isRequired=True, defaultValue="web"))
    assert got.unfilled == ()


def test_a_value_on_the_record_counts_under_its_label(tmp_path: Path) -> None:
    shown = record(poNumber="PO1", extraFields=[{"fieldName": "Label", "fieldValue": "theirs"}])
    got = previewed(tmp_path, f'{BOTH}A = "order.id"', loaded(), config("A", labelName="Label"), record=shown)
    assert got.merged
    assert (got.merged.values, got.merged.kept) == (None, ("A",))


@pytest.mark.parametrize(
    ("existing", "update", "kept"),
    [
        ({"poNumber": "PO1"}, None, ()),
        ({"poNumber": None}, {"poNumber": "PO1"}, ()),
        ({"poNumber": "buyer's"}, None, ("po_number",)),
        ({"poNumber": "ours, earlier"}, {"poNumber": "PO1"}, ()),
    ],
)
def test_an_existing_record_shows_what_an_update_would_send(
    tmp_path: Path, existing: dict[str, Any], update: dict[str, Any] | None, kept: tuple[str, ...]
) -> None:
    got = previewed(tmp_path, PO, loaded(), record=record(**existing), po_number=["ours, earlier"])
    assert got.merged
    assert (got.merged.values and got.merged.values.body(), got.merged.kept) == (update, kept)


def test_the_payment_of_an_invoice_is_skipped(tmp_path: Path) -> None:
    got = previewed(tmp_path, PO, loaded(), record=record(isInvoiceOrder=1))
    assert (got.outcome, got.reason, got.merged) == (Outcome.SKIPPED, "invoice_payment", None)


@pytest.mark.parametrize(
    ("source", "pattern", "tried"),
    [
        ("order.customer_message", None, TriedExpression("PO1", "PO1", "PO1", None)),
        ("order.customer_message", r"PO(\d)", TriedExpression("PO1", "PO1", "1", None)),
        ("order.customer_message", "X", TriedExpression("PO1", "PO1", None, None)),
        ("order.[id, status_id]", None, TriedExpression([1, 11], "1, 11", "1, 11", None)),
        ("order.staff_notes", None, TriedExpression("", None, None, None)),
        (
            "company",
            None,
            TriedExpression({"extraFields": {}}, None, None, "company: gives an object where text was expected"),
        ),
        (
            "abs(order.customer_message)",
            None,
            TriedExpression(None, None, None, "abs(order.customer_message): abs() takes number, but was given string"),
        ),
    ],
)
def test_an_expression_is_evaluated_like_a_rule(source: str, pattern: str | None, tried: TriedExpression) -> None:
    compiled = Pattern.compile(pattern, "--match") if pattern else None
    assert try_expression(Expression.compile(source, "--try"), compiled, loaded().document) == tried


@pytest.mark.parametrize(
    ("written", "po_number", "field"),
    [({}, "B-1", "CC-9"), ({"po_number": ["A-1", "B-1"]}, None, "CC-9"), ({"Cost Center": ["CC-9"]}, "B-1", None)],
)
def test_rules_do_not_read_our_own_values_on_the_record(
    tmp_path: Path, written: dict[str, list[str]], po_number: str | None, field: str | None
) -> None:
    found = loaded()
    found.document["record"] = {"poNumber": "B-1", "extraFields": {"Cost Center": "CC-9"}, "referenceNumber": "55-A"}
    rules = (
        'po_number = "record.poNumber"\n[stores.abc123.extra_fields]\n'
        """A = 'record.extraFields."Cost Center"'\nB = "record.referenceNumber"\n"""
    )
    shown = previewed(tmp_path, rules, found, config("A"), config("B"), record=None, now=CREATED, **written)
    assert [result.sent for result in shown.results] == [po_number, field, "55-A"]


def test_values_by_hand_go_before_the_rules_and_the_rules_say_so(tmp_path: Path) -> None:
    path = tmp_path / "stores.toml"
    rules = f'{BOTH}"Cost Center" = "order.staff_notes"\nG = {{ value = "g" }}'
    path.write_text(f'[stores.abc123]\naccess_token = "t"\nclient_secret = "s"\n{rules}')
    configured = load_configuration(path).stores["abc123"]
    configs = [config("F", labelName="Cost Center"), config("G")]
    by_hand = {"po_number": "4711-D", "F": "by hand"}
    shown = preview(configured, loaded(staff_notes="x"), configs, now=CREATED, by_hand=by_hand)

    assert (shown.outcome, shown.values.po_number, shown.values.extra_fields) == (
        Outcome.SENT,
        "4711-D",
        {"F": "by hand", "G": "g"},
    )
    assert [(result.trace.name, result.sent, result.dropped) for result in shown.results] == [
        ("po_number", None, BY_HAND),
        ("Cost Center", None, BY_HAND),
        ("G", "g", None),
    ]
