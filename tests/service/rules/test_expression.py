"""Which expressions are accepted, the messages for the others, and what each one makes the service fetch."""

from typing import Any

import pytest

from service.errors import ConfigError
from service.rules.expression import Expression, ExpressionError


def compiled(source: str) -> Expression:
    return Expression.compile(source, "place")


def problems(source: str) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        compiled(source)
    return [str(problem) for problem in caught.value.problems]


PARTS = (
    "order",
    "products",
    "metafields",
    "customer",
    "customer.attributes",
    "customer.form_fields",
    "customer.group",
    "user",
    "company",
    "cart",
    "quote",
    "record",
    "transactions",
)


def reads(source: str) -> str:
    """The parts of the document that are read, among those that decide what is fetched."""
    found = compiled(source).reads
    return " ".join(part for part in PARTS if tuple(part.split(".")) in found)


EVERYTHING = " ".join(PARTS)
CUSTOMER = "customer customer.attributes customer.form_fields customer.group"


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        # names in the document
        ("order.id", "order"),
        ("@.order.id", "order"),
        ('"order"."products"', "order"),
        ("user.email || company.name", "user company"),
        ("user && company.name", "user company"),
        ("!user", "user"),
        ("order.total > company.limit", "order company"),
        ("[order.id, user.email]", "order user"),
        ("{a: order.id, products: user.email}", "order user"),
        ("order.id | [metafields.a, user]", "order"),
        ("not_null(metafields.a.b, order.id)", "order metafields"),
        ("join(', ', [order.id, to_string(user.id)])", "order user"),
        ("[user][0].id", "user"),
        ("cart.metafields.checkout.po_number", "cart"),
        ("cart | metafields.checkout", "cart"),
        ("quote.extraFields.a || record.poNumber", "quote record"),
        ("transactions[?method=='offline'].offline.display_name | [0]", "transactions"),
        ("parse_json(metafields.a.b).quote", "metafields"),
        ("parse_json(quote.notes).record || cart", "cart quote"),
        # literals, and names evaluated on something else
        ("'customer'", ""),
        ('`{"user": 1}`.user', ""),
        ("order.[customer, user]", "order"),
        ("order.{user: company}", "order"),
        ("order | company.name", "order"),
        ("(order).company", "order"),
        ("order.products[*].user", "order"),
        ("products[*].customer.attributes", "products"),
        ("products[?user == company].metafields | [0].order", "products"),
        ("products[].user", "products"),
        ("products[1:2].user", "products"),
        ("products[-1].user", "products"),
        ("metafields.*.user", "metafields"),
        ("sort_by(products, &user)[0].company", "products"),
        ("map(&[user, @], products)", "products"),
        ("max_by(products, &company.x).name", "products"),
        ("order.items[?contains(tags, 'x')].user", "order"),
        ("order.length(user)", "order"),
        # the document is no list, so these find nothing
        ("[0].user", ""),
        ("[*].user", ""),
        ("[].user", ""),
        ("[?user].company", ""),
        ("[0:1].user", ""),
        # the customer's parts
        ("customer.email", "customer"),
        ("customer.attributes.Tier", "customer customer.attributes"),
        ('customer.form_fields."Cost Center" || order.id', "order customer customer.form_fields"),
        ("customer.group.name", "customer customer.group"),
        ("customer | [attributes.a, email]", "customer customer.attributes"),
        ("(customer || company).attributes", "customer customer.attributes company"),
        ("customer | attributes.Tier", "customer customer.attributes"),
        ("customer", CUSTOMER),
        ("[customer]", CUSTOMER),
        ("customer.*", CUSTOMER),
        ("to_string(customer)", CUSTOMER),
        ("customer == user", f"{CUSTOMER} user"),
        ("merge(customer, user).attributes", f"{CUSTOMER} user"),
        # the document itself
        ("@", EVERYTHING),
        ("*", EVERYTHING),
        ("*.id", EVERYTHING),
        ("[@]", EVERYTHING),
        ("[@][0].order.id", EVERYTHING),
        ("order || @", EVERYTHING),
        ("to_string(@)", EVERYTHING),
        ("values(@)[0]", EVERYTHING),
        ("@ | *", EVERYTHING),
        ("@ == `1`", EVERYTHING),
    ],
)
def test_only_what_an_expression_names_is_read(source: str, expected: str) -> None:
    assert reads(source) == expected


def test_unknown_syntax_reads_everything(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("jmespath.ast.literal", lambda value: {"type": "root", "value": value, "children": []})
    assert reads("'a text that the parser has not cached'") == EVERYTHING


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("order.my-field", "this is not JMESPath: Unknown token '-', at column 9 of order.my-field."),
        ("order.[", "this is not JMESPath: it ends too early, at column 8 of order.[."),
        ("order..id", "this is not JMESPath: Expecting: ['quoted_identifier', "),
        ("order id", "this is not JMESPath: Unexpected token: id, at column 7 of order id."),
        ("order.'x'", "this is not JMESPath: Expecting: "),
        ("order.a == 'x", "this is not JMESPath: Unclosed ' delimiter, at column 12 of order.a == 'x."),
        ("$.order", "this is not JMESPath: Unknown token $, at column 1 of $.order."),
        ("order.\nid b", "this is not JMESPath: Unexpected token: b, at column 11 of order. id b."),
        ('"order"(@)', "this is not JMESPath: Quoted identifier not allowed for function names."),
    ],
)
def test_a_syntax_error_shows_its_column_and_the_expression(source: str, message: str) -> None:
    (found,) = problems(source)
    assert found.startswith(f"place: {message}")
    assert "text in single quotes" in found


@pytest.mark.parametrize("source", ["", " \n"])
def test_an_empty_expression_is_refused(source: str) -> None:
    assert problems(source) == ["place: the expression is empty. For example: order.customer_message."]


def test_a_number_of_thousands_of_digits_is_refused() -> None:
    assert problems(f"order[{'9' * 5000}]")[0].startswith("place: this is not JMESPath: order[999")


@pytest.mark.parametrize("source", ["(" * 5000 + "order" + ")" * 5000, " | ".join(["order"] * 5000)])
def test_endless_nesting_is_refused(source: str) -> None:
    assert problems(source) == ["place: the expression is nested too deeply. Make it simpler."]


def test_an_unknown_root_is_refused_with_the_closest_one() -> None:
    assert problems("ordr.id || customers.email || ordr.x") == [
        'place: the order document has no "ordr", in ordr.id || customers.email || ordr.x. Did you mean "order"?',
        'place: the order document has no "customers", in ordr.id || customers.email || ordr.x. '
        'Did you mean "customer"?',
    ]


def test_an_unknown_root_unlike_any_other_is_refused_with_all_roots() -> None:
    assert problems("zzz") == [
        'place: the order document has no "zzz", in zzz. '
        "It has order, products, shipping_addresses, metafields, customer, user, company, cart, quote, record, "
        "transactions."
    ]


@pytest.mark.parametrize(
    ("source", "name"),
    [
        ("carts.metafields.a.b", "cart"),
        ("quotes.referenceNumber", "quote"),
        ("transaction[0].method", "transactions"),
        ("records.poNumber", "record"),
        ("cart.metafield.a.b", "metafields"),
        ("pars_json(order.a)", "parse_json"),
    ],
)
def test_a_wrong_name_of_a_source_is_refused_with_the_closest_one(source: str, name: str) -> None:
    (found,) = problems(source)
    assert found.endswith(f'Did you mean "{name}"?')


def test_the_cart_has_only_metafields() -> None:
    assert problems("cart.id || cart.*") == ['place: the cart has no "id", in cart.id || cart.*. It has metafields.']


def test_an_unknown_function_is_refused_anywhere_in_an_expression() -> None:
    assert problems("order.items[?lenght(a) > `1`].b") == [
        'place: there is no function lenght(), in order.items[?lenght(a) > `1`].b. Did you mean "length"?'
    ]
    assert "there is no function foo()" in problems("map(&foo(@), products)")[0]


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("length()", "length() takes 1 argument, but has 0"),
        ("length(order, user)", "length() takes 1 argument, but has 2"),
        ("join(order.x)", "join() takes 2 arguments, but has 1"),
        ("not_null()", "not_null() takes at least 1 argument, but has 0"),
    ],
)
def test_a_wrong_number_of_arguments_is_refused(source: str, message: str) -> None:
    assert message in problems(source)[0]


@pytest.mark.parametrize(
    "source", ["&order", "to_string(&order)", "[&order]", "not_null(order.a, &order)", "map(user, &a)"]
)
def test_an_expression_reference_outside_an_argument_is_refused(source: str) -> None:
    assert problems(source)[0] == (
        f"place: an & is used where no function takes an expression, in {source}. "
        "Use & only in an argument of map(), sort_by(), min_by() and max_by()."
    )


def test_a_variadic_function_is_accepted() -> None:
    assert compiled("not_null(order.a, order.b, order.c)").search({"order": {"c": 3}}) == 3


def test_a_literal_in_the_old_syntax_is_accepted() -> None:
    assert compiled("order.a[?name == `PO Number`].value | [0]").search(
        {"order": {"a": [{"name": "PO Number", "value": 1}]}}
    )


DEEP: dict[str, Any] = {}
for _ in range(100_000):
    DEEP = {"order": DEEP}


@pytest.mark.parametrize(
    ("source", "document", "message"),
    [
        (
            "join(', ', order.a)",
            {"order": {"a": "hunter2"}},
            "join() takes array-string, but was given string",
        ),
        ("join(', ', order.a)", {"order": {"a": ["x", {}]}}, "join() takes array-string, but was given object"),
        ("abs(order.a)", {"order": {}}, "abs() takes number, but was given null"),
        ("order.a < order.b", {"order": {"a": 1, "b": "hunter2"}}, "cannot be evaluated for this order (TypeError)"),
        ("order.a[::0]", {"order": {"a": [1]}}, "cannot be evaluated for this order (ValueError)"),
        ("ceil(order.a)", {"order": {"a": float("inf")}}, "cannot be evaluated for this order (OverflowError)"),
        ("to_string(order)", DEEP, "the order is nested too deeply"),
    ],
)
def test_an_evaluation_error_gives_the_reason_and_nothing_from_the_order(
    source: str, document: dict[str, Any], message: str
) -> None:
    with pytest.raises(ExpressionError) as caught:
        compiled(source).search(document)
    assert str(caught.value) == message
    assert caught.value.__suppress_context__
