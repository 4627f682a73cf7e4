"""A store's rules, evaluated on an order document."""

from typing import Any

import pytest
from pydantic import SecretStr

from service.errors import ConfigError
from service.rules import Evaluation, Needs, RuleSet, Trace, compile_rules
from service.rules.expression import Expression
from service.stores import Rule, Store

NOTHING: dict[str, Any] = {}


def rules(po_number: Any = None, /, **extra_fields: Any) -> RuleSet:
    return compile_rules(
        Store(
            hash="abc123",
            access_token=(SecretStr("t"),),
            client_secret=(SecretStr("s"),),
            po_number=None if po_number is None else Rule.model_validate(po_number),
            extra_fields={key: Rule.model_validate(rule) for key, rule in extra_fields.items()},
        )
    )


def value(rule: Any, document: dict[str, Any]) -> str | None:
    return rules(a=rule).evaluate(document).fields.get("a")


class TestCandidates:
    def test_the_first_that_gives_a_value_wins(self) -> None:
        sources = {"from": ["metafields.a.po", "order.note", "order.id"]}
        assert value(sources, {"order": {"note": " ", "id": 7}}) == "7"
        assert value(sources, {"order": {"note": "N", "id": 7}}) == "N"
        assert value(sources, {"order": {"id": 7}, "metafields": {"a": {"po": "M"}}}) == "M"

    def test_a_candidate_that_does_not_match_gives_no_value(self) -> None:
        rule = {"from": ["order.note", "order.reference"], "match": r"PO[\s#:]*([A-Z0-9-]+)"}
        assert value(rule, {"order": {"note": "leave at the door", "reference": "our PO: A-17"}}) == "A-17"
        assert value(rule, {"order": {"note": "leave at the door"}}) is None

    def test_a_match_is_trimmed_and_may_be_empty(self) -> None:
        assert value({"from": "order.note", "match": "PO:(.*)"}, {"order": {"note": "PO:  7  x "}}) == "7  x"
        assert value({"from": "order.note", "match": "PO:(.*)"}, {"order": {"note": "x PO: \n y"}}) is None

    def test_a_list_is_searched_as_joined_text(self) -> None:
        assert value({"from": "products[].sku", "match": "b, c"}, {"products": [{"sku": c} for c in "abc"]}) == "b, c"

    def test_text_that_cannot_be_encoded_is_searched(self) -> None:
        assert value({"from": "order.note", "match": "PO.*"}, {"order": {"note": "PO\ud800 7"}}) == "PO\ufffd 7"

    def test_a_failure_does_not_stop_the_next_candidate(self) -> None:
        evaluation = rules(a={"from": ["order", "abs(order.note)", "order.note"]}).evaluate({"order": {"note": "x"}})
        assert evaluation.fields == {"a": "x"}
        assert evaluation.errors == {}

    def test_failures_count_when_no_candidate_gave_a_value(self) -> None:
        evaluation = rules(a={"from": ["order", "abs(order.note)", "user.id"]}).evaluate({"order": {"note": "hunter2"}})
        assert evaluation.errors == {
            "a": "order: gives an object where text was expected; "
            "abs(order.note): abs() takes number, but was given string"
        }
        assert evaluation.fields == {}

    def test_a_failure_does_not_stop_other_rules(self) -> None:
        evaluation = rules("order", a="order", b="order.id").evaluate({"order": {"id": 1}})
        assert evaluation.fields == {"b": "1"}
        assert evaluation.errors.keys() == {"po_number", "a"}


class TestConstantsAndDefaults:
    def test_a_constant_needs_no_document(self) -> None:
        assert value({"value": " web "}, NOTHING) == "web"

    def test_a_default_is_used_when_nothing_gave_a_value(self) -> None:
        rule = {"from": "order.note", "default": " UNASSIGNED "}
        assert value(rule, NOTHING) == "UNASSIGNED"
        assert value(rule, {"order": {"note": "x"}}) == "x"

    def test_a_default_alone_is_a_constant(self) -> None:
        assert value({"default": "x"}, NOTHING) == "x"

    def test_a_default_is_used_after_errors_and_the_errors_are_reported(self) -> None:
        evaluation = rules(a={"from": "order", "default": "x"}).evaluate({"order": {}})
        assert evaluation.fields == {"a": "x"}
        assert evaluation.errors.keys() == {"a"}


class TestRequired:
    def test_a_required_rule_without_a_value_is_missing(self) -> None:
        required = {"from": "order.note", "required": True}
        assert rules(required, a=required, b="order.note").evaluate(NOTHING).missing == ("po_number", "a")

    def test_a_required_rule_with_an_error_is_missing(self) -> None:
        evaluation = rules(a={"from": "order", "required": True}).evaluate({"order": {}})
        assert evaluation.missing == ("a",)
        assert evaluation.errors.keys() == {"a"}

    def test_a_required_rule_with_a_value_is_not_missing(self) -> None:
        assert rules({"from": "order.id", "required": True}).evaluate({"order": {"id": 1}}).missing == ()
        assert rules({"from": "order.id", "required": True, "default": "x"}).evaluate(NOTHING).missing == ()

    def test_required_extra_fields_are_known_by_their_keys(self) -> None:
        required = {"from": "order.note", "required": True}
        assert rules(required, a=required, b="order.note", c=required).required == {"a", "c"}


class TestPoNumber:
    def test_a_po_number_is_one_line_and_a_field_keeps_its_lines(self) -> None:
        evaluation = rules("order.note", a="order.note").evaluate({"order": {"note": "PO 1\r\n\tfloor 2"}})
        assert (evaluation.po_number, evaluation.fields) == ("PO 1 floor 2", {"a": "PO 1\n\tfloor 2"})

    def test_an_extra_field_may_be_called_po_number(self) -> None:
        evaluation = rules("order.id", po_number="order.note").evaluate({"order": {"id": 1, "note": "x"}})
        assert (evaluation.po_number, evaluation.fields) == ("1", {"po_number": "x"})


def test_a_number_of_thousands_of_digits_becomes_text() -> None:
    document = {"order": {"id": 10**5000}}
    assert value("order.id", document) == "1" + "0" * 5000
    assert rules("to_string(order.id)").evaluate(document).errors.keys() == {"po_number"}


def test_nothing_found_is_an_empty_evaluation() -> None:
    assert rules("order.note", a="user.email").evaluate(NOTHING) == Evaluation(
        po_number=None,
        fields={},
        missing=(),
        errors={},
        traces=(Trace("po_number", None, "none", None, None), Trace("a", None, "none", None, None)),
    )


def test_traces_show_where_each_value_came_from() -> None:
    evaluation = rules(
        {"from": ["user.po", "order.note"], "match": r"\d+"},
        a={"value": "web"},
        b={"from": "user.x", "default": "-"},
        c="order.lines",
    ).evaluate({"order": {"note": "PO 17", "lines": ["x", "y"]}})
    assert evaluation.traces == (
        Trace("po_number", "order.note", "from", "PO 17", "17", place=1),
        Trace("a", None, "value", "web", "web"),
        Trace("b", None, "default", "-", "-", place=1),
        Trace("c", "order.lines", "from", ["x", "y"], "x, y"),
    )


NO_NEEDS = dict.fromkeys(
    (
        *("consignments", "metafields", "customer", "customer_attributes", "customer_form_fields", "user", "company"),
        *("customer_group", "cart", "quote", "record", "transactions"),
    ),
    False,
)


@pytest.mark.parametrize(
    ("source", "needed"),
    [
        ("order.customer_message", []),
        ("products[].sku", ["consignments"]),
        ("shipping_addresses[0].city", ["consignments"]),
        ("metafields.a.b", ["metafields"]),
        ("customer.email", ["customer"]),
        ("customer.attributes.a", ["customer", "customer_attributes"]),
        ("customer.form_fields.a", ["customer", "customer_form_fields"]),
        ("customer.group.name", ["customer", "customer_group"]),
        ("user.extraFields.a", ["user"]),
        ("cart.metafields.a.b", ["cart"]),
        ("quote.referenceNumber", ["quote"]),
        ("record.poNumber", ["record"]),
        ("transactions[0].method", ["transactions"]),
        ("company.extraFields.a", ["company"]),
        ("@", list(NO_NEEDS)),
    ],
)
def test_only_roots_that_the_rules_read_are_needed(source: str, needed: list[str]) -> None:
    namespaces = frozenset({"a"} if source == "metafields.a.b" else ())
    expected = Needs(**{**NO_NEEDS, **dict.fromkeys(needed, True)}, metafield_namespaces=namespaces)
    assert rules(source).needs == expected
    assert (
        rules({"value": "x"}, a="order.id", b=["order.id", source] and {"from": ["order.id", source]}).needs == expected
    )


@pytest.mark.parametrize(
    ("sources", "namespaces"),
    [
        (["order.id"], set()),
        (["metafields.a.b", "metafields.c.d", "metafields.a.e"], {"a", "c"}),
        (["metafields.a"], {"a"}),
        (["metafields.a.b", "metafields.*.d"], set()),
        (["metafields.a.b", "values(metafields)"], set()),
        (["metafields.a.b", "to_string(@)"], set()),
    ],
)
def test_namespaces_are_known_when_all_are_named(sources: list[str], namespaces: set[str]) -> None:
    assert rules({"from": sources}).needs.metafield_namespaces == namespaces


def test_all_rules_that_cannot_be_compiled_are_reported() -> None:
    with pytest.raises(ConfigError) as caught:
        rules({"from": ["ordr.id", "order.["], "match": "("}, a="zzz")
    assert [problem.place for problem in caught.value.problems] == [
        "stores.toml: [stores.abc123.po_number] from (item 1)",
        "stores.toml: [stores.abc123.po_number] from (item 2)",
        "stores.toml: [stores.abc123.po_number] match",
        "stores.toml: [stores.abc123.extra_fields.a] from",
    ]


@pytest.mark.parametrize(
    ("first", "second", "namespaces"),
    [
        ("metafields.a.x", "metafields.b.y", {"a", "b"}),
        ("metafields.a.x", "order.id", {"a"}),
        ("metafields.a.x", "metafields", set()),
        ("order.id", "cart.metafields.c.z", set()),
    ],
)
def test_needs_of_two_sets_of_rules_are_those_of_both(first: str, second: str, namespaces: set[str]) -> None:
    reads = [Expression.compile(text, "from").reads for text in (first, second)]
    both = Needs.of(reads[:1]) | Needs.of(reads[1:])
    assert both == Needs.of(reads)
    assert both.metafield_namespaces == namespaces
