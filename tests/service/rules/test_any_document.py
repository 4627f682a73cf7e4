"""Property tests with any JSON document and any expression: no crash, clean text, and everything needed is fetched."""

from typing import Any

from hypothesis import example, given, settings
from hypothesis import strategies as st
from pydantic import SecretStr

from service.errors import ConfigError
from service.rules import Needs, RuleSet, compile_rules
from service.rules.expression import ROOTS, Expression
from service.stores import Rule, Store

NAMES = st.sampled_from([*ROOTS, "attributes", "form_fields", "group", "id", "note", "a"])
SCALARS = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(st.characters(codec=None) | st.sampled_from("\n\t\r\x00\ud800 "), max_size=6)
    | st.sampled_from([1e21, -0.0, 10**4000, "1e999", "9" * 5000])
)
VALUES = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=4), max_leaves=15
)
DOCUMENTS = st.fixed_dictionaries(
    {},
    optional={
        **dict.fromkeys(ROOTS, VALUES),
        "customer": st.dictionaries(NAMES, VALUES, max_size=4),
        "products": st.lists(st.dictionaries(NAMES, VALUES, max_size=3), max_size=3),
    },
)

FUNCTIONS = [
    *("abs", "avg", "ceil", "contains", "ends_with", "floor", "join", "keys", "length", "map", "max", "max_by"),
    *("merge", "min", "min_by", "not_null", "reverse", "sort", "sort_by", "starts_with", "sum", "to_array"),
    *("to_number", "to_string", "type", "values", "parse_json"),
]
SHAPES = [
    *("{0}.{1}", "({0}).{1}", "{0}.*", "{0}[]", "{0}[*]", "{0}[*].{1}", "{0}[0]", "{0}[-1]", "{0}[::2]", "{0}[::0]"),
    *("({0}) | ({1})", "({0}) || ({1})", "({0}) && ({1})", "({0}) == ({1})", "({0}) < ({1})", "!({0})", "&{0}"),
    *("{0}[?{1}]", "{0}[?{1}].id", "[{0}, {1}]", "{0}.[{1}]", "{{a: {0}, order: {1}}}", "[{0}][0].{1}"),
    *("sort_by({0}, &{1})", "max_by({0}, &{1})", "map(&{0}, {1})"),
    *(f"{name}({{0}})" for name in FUNCTIONS),
    *(f"{name}({{0}}, {{1}})" for name in FUNCTIONS),
]
SIMPLE = ["order.id", "order.note", "metafields.a.id", "customer.attributes.a", "products[].a", "*.a | []"]
EXPRESSIONS = st.sampled_from(SIMPLE) | st.recursive(
    st.sampled_from([*ROOTS, "@", "*", "'x'", "`1`", "`[1, {}]`", "customer.attributes", "order.id", "products[*].a"]),
    lambda inner: st.tuples(st.sampled_from(SHAPES), inner, inner).map(lambda parts: parts[0].format(*parts[1:])),
    max_leaves=6,
)
RULES = st.fixed_dictionaries(
    {"from": EXPRESSIONS | st.lists(EXPRESSIONS, min_size=1, max_size=3)},
    optional={
        "match": st.sampled_from([r"\d+", "(.*)", "(a)|b", "(?s).+", r"\W"]),
        "default": st.sampled_from(["x", " y\n", "\x00"]),
        "required": st.booleans(),
    },
)


def compiled(rule: dict[str, Any]) -> RuleSet | None:
    """The rule for a PO number and for a field; None when it is refused, which is allowed too."""
    store = Store(
        hash="a",
        access_token=(SecretStr("t"),),
        client_secret=(SecretStr("s"),),
        po_number=Rule.model_validate(rule),
        extra_fields={"field": Rule.model_validate(rule)},
    )
    try:
        return compile_rules(store)
    except ConfigError:
        return None


def fetched(document: dict[str, Any], needs: Needs) -> dict[str, Any]:
    """The document with only the parts that are needed."""
    wanted = {
        "order": True,
        "products": needs.consignments,
        "shipping_addresses": needs.consignments,
        "metafields": needs.metafields,
        "customer": needs.customer,
        "user": needs.user,
        "company": needs.company,
        "cart": needs.cart,
        "quote": needs.quote,
        "record": needs.record,
        "transactions": needs.transactions,
    }
    part = {root: value for root, value in document.items() if wanted[root]}
    if "customer" in part:
        kept = {"attributes": needs.customer_attributes, "form_fields": needs.customer_form_fields}
        kept["group"] = needs.customer_group
        part["customer"] = {name: value for name, value in part["customer"].items() if kept.get(name, True)}
    return part


@given(RULES, DOCUMENTS)
@example({"from": "to_number(order.a)"}, {"order": {"a": "9" * 5000}})
@example({"from": "to_string(&order)"}, {})
@settings(deadline=None)
def test_any_rule_on_any_document_gives_clean_text(rule: dict[str, Any], document: dict[str, Any]) -> None:
    if (rules := compiled(rule)) is None:
        return
    evaluation = rules.evaluate(document)
    assert evaluation.po_number is None or "\n" not in evaluation.po_number
    for text in filter(None, [evaluation.po_number, *evaluation.fields.values()]):
        assert text == text.strip() != ""
        text.encode()
    for trace in evaluation.traces:
        if trace.kind == "from" and isinstance(trace.raw, int | float) and not isinstance(trace.raw, bool):
            assert "match" in rule or set(trace.text or "-") <= set("0123456789.-")
    assert repr(rules.evaluate(document).fields) == repr(evaluation.fields)
    assert rules.evaluate(document).errors == evaluation.errors


@given(RULES, DOCUMENTS)
@example({"from": "(customer || order).attributes.a"}, {"customer": {"attributes": {"a": 1}}})
@example({"from": "[customer][0].attributes.a"}, {"customer": {"attributes": {"a": 1}}})
@example({"from": "values(@)[0].attributes.a"}, {"customer": {"attributes": {"a": 1}}})
@settings(deadline=None)
def test_parts_that_are_not_needed_do_not_change_the_result(rule: dict[str, Any], document: dict[str, Any]) -> None:
    if (rules := compiled(rule)) is None:
        return
    whole = rules.evaluate(document)
    part = rules.evaluate(fetched(document, rules.needs))
    assert (part.po_number, part.fields, part.errors) == (whole.po_number, whole.fields, whole.errors)


@given(st.text(max_size=20) | st.text("orde.[]*?@|&!<=>'`\"(){},:0-9 \n\\", max_size=20))
@settings(deadline=None)
def test_any_text_is_an_expression_or_refused(source: str) -> None:
    try:
        Expression.compile(source, "place")
    except ConfigError as error:
        shown = str(error)
        assert shown.startswith("place: ")
