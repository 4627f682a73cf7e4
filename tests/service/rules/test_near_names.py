"""Where an expression that gives nothing stops in real documents, and which names are near."""

import pytest

from service.rules.expression import Expression
from service.rules.near_names import find_stop, nearest_name

FIELDS = [{"name": "PO number", "value": "x"}, {"name": "Department", "value": "secret of a shopper"}]
ORDER = {"customer_message": "", "billing_address": {"form_fields": FIELDS, "company": None}, "id": 7}
DOCUMENTS = [
    {
        "order": ORDER,
        "metafields": {"checkout": {"po_number": "4711", "cost_center": None}},
        "products": [{"sku": "A", "brand": "b"}],
        "company": {"extraFields": {"ERP Account": ""}},
    },
    {"order": ORDER, "metafields": {"erp": {"id": "1"}}, "products": [], "company": {"extraFields": {}}},
]
NAMES = ("Department", "PO number")
SPACES = ("checkout", "erp")
KEYS = ("name", "value")
FORM = "order.billing_address.form_fields"
QUOTED = "text in double quotes"
CHECKOUT = "metafields.checkout"


@pytest.mark.parametrize(
    ("source", "owner", "name", "known", "near", "kind"),
    [
        ("metafields.chekout.po_number", "metafields", "chekout", SPACES, "checkout", "field"),
        (f"{CHECKOUT}.PONumber", CHECKOUT, "PONumber", ("cost_center", "po_number"), "po_number", "field"),
        ("metafields.b2b.po", "metafields", "b2b", SPACES, None, "field"),
        (f"{FORM}[?name=='PO Number'].value | [0]", f"{FORM}[].name", "PO Number", NAMES, "PO number", "text"),
        (f"{FORM}[?'PO Number'==name].value | [0]", f"{FORM}[].name", "PO Number", NAMES, "PO number", "text"),
        (f'{FORM}[?name=="PO number"].value', f"{FORM}[].name", "PO number", NAMES, "PO number", QUOTED),
        (f"{FORM}[?nam=='PO number'].value", f"{FORM}[]", "nam", KEYS, "name", "field"),
        (f"{FORM}[?value=='x' && name=='Dept'].value", f"{FORM}[].name", "Dept", NAMES, "Department", "text"),
        (f"{FORM}[?name=='PO number'].val | [0]", f"{FORM}[]", "val", KEYS, "value", "field"),
        (f"{FORM}.value", FORM, "value", KEYS, "value", "field of a list"),
        ("order.billing_adress.company", "order", "billing_adress", tuple(sorted(ORDER)), "billing_address", "field"),
        ('company.extraFields."ERP Acct"', "company.extraFields", "ERP Acct", ("ERP Account",), "ERP Account", "field"),
        ("products[*].skuu | [0]", "products[]", "skuu", ("brand", "sku"), "sku", "field"),
        ("products[].skuu", "products[]", "skuu", ("brand", "sku"), "sku", "field"),
        ("metafields.a.b || metafields.c.d", "metafields", "a", SPACES, None, "field"),
        ("to_string(metafields.a.b)", "metafields", "a", SPACES, None, "field"),
        ("not_null(metafields.a.b, metafields.c.d)", "metafields", "a", SPACES, None, "field"),
        ("metafields.*.po_nr", "metafields.*", "po_nr", ("cost_center", "id", "po_number"), "po_number", "field"),
    ],
)
def test_the_first_name_that_no_order_has(
    source: str, owner: str, name: str, known: tuple[str, ...], near: str | None, kind: str
) -> None:
    stop = find_stop(Expression.compile(source, "here"), DOCUMENTS)
    assert stop is not None
    assert (stop.owner, stop.name, stop.known, stop.near, stop.kind) == (owner, name, known, near, kind)


@pytest.mark.parametrize(
    "source",
    [
        "order.customer_message",
        "order.billing_address.company",
        "metafields.checkout.cost_center",
        "metafields.a.b || metafields.checkout.po_number",
        f"{FORM}[?name=='Department'].value | [0]",
        f"{FORM}[1].value",
        "products[0].sku",
        "parse_json(metafields.checkout.po_number)",
        "sort_by(products, &sku)[0].brand",
        "products[?starts_with(sku, 'A')] | [0].brand",
        "length(products) > `1`",
        "{a: order.id}",
    ],
)
def test_an_expression_whose_names_are_there_does_not_stop(source: str) -> None:
    assert find_stop(Expression.compile(source, "here"), DOCUMENTS) is None


def test_a_shoppers_text_is_never_among_the_names() -> None:
    stop = find_stop(Expression.compile(f"{FORM}[?value=='PO'].name", "here"), DOCUMENTS)
    assert stop is not None
    assert stop.known == ()


@pytest.mark.parametrize(
    ("name", "near"),
    [("po_number", "PO Number"), ("costcenter", "Cost-Center"), ("xyzzy", None), ("Cost Centre", "Cost-Center")],
)
def test_the_nearest_name_may_differ_in_case_and_signs(name: str, near: str | None) -> None:
    assert nearest_name(name, ["PO Number", "Cost-Center"]) == near
