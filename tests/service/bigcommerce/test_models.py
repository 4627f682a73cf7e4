from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.bigcommerce.models import ExtraFieldConfig, FieldType, Page, Record, Values

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)
RECORD_KEYS = ["bcOrderId", "poNumber", "extraFields", "companyId", "isInvoiceOrder", "createdAt", "updatedAt"]
RECORD_KEYS += ["referenceNumber", "extraInfo"]
CONFIG_KEYS = ["fieldName", "labelName", "fieldType", "isRequired", "maximumLength", "maximumValue", "listOfValues"]
CONFIG_KEYS += ["listOfValue", "valueConfig", "valueConfigs", "defaultValue", "isUnique"]


def test_record_is_parsed_as_documented() -> None:
    record = Record.model_validate(
        {
            "id": 99,
            "bcOrderId": 123,
            "poNumber": "PO-1",
            "companyId": 7,
            "isInvoiceOrder": 1,
            "extraFields": [{"fieldName": "Cost Center", "fieldValue": "A"}],
            "createdAt": 1744735719,
            "updatedAt": 1744735734,
        }
    )
    assert record == Record(
        order_id=123,
        po_number="PO-1",
        company_id=7,
        is_invoice_order=True,
        extra_fields={"Cost Center": "A"},
        created_at=1744735719,
        updated_at=1744735734,
    )


def test_record_is_parsed_as_seen_in_the_wild() -> None:
    record = Record.model_validate(
        {"bcOrderId": "123", "poNumber": None, "extraInfo": {}, "extraFields": [], "isInvoiceOrder": "0"}
    )
    assert record == Record(order_id=123, extra_fields={})
    assert record.has_extra_fields


def test_empty_answer_is_an_empty_record() -> None:
    record = Record.model_validate({})
    assert (record.order_id, record.po_number, record.extra_fields, record.company_id) == (0, "", {}, None)
    assert record.of_order(5).order_id == 5


def test_b2b_editions_own_id_is_never_used_as_the_orders() -> None:
    assert Record.model_validate({"id": 99}).order_id == 0


def test_record_keeps_its_own_id() -> None:
    assert Record(order_id=4).of_order(5).order_id == 4


@pytest.mark.parametrize("answer", [{}, {"extraFields": None}])
def test_record_knows_when_the_answer_omitted_the_extra_fields(answer: dict[str, Any]) -> None:
    assert not Record.model_validate(answer).has_extra_fields


@pytest.mark.parametrize(
    ("value", "text"),
    [(None, ""), ("a", "a"), (5, "5"), (5.0, "5"), (0.1, "0.1"), (1e21, "1" + "0" * 21), (True, "true"), ([], "")],
)
def test_extra_field_value_is_text(value: Any, text: str) -> None:
    record = Record.model_validate({"extraFields": [{"fieldName": "a", "fieldValue": value}]})
    assert record.extra_fields == {"a": text}


@pytest.mark.parametrize(
    ("values", "shown", "repeated"),
    [
        (["a", "b"], "a", (("F", "b"),)),
        (["", "b"], "b", ()),
        (["a", "", None], "a", ()),
        (["a", "a"], "a", ()),
        (["a", "b", "b", "a"], "a", (("F", "b"),)),
        ([5, "5"], "5", ()),
        ([["x"], "b"], ["x"], (("F", "b"),)),
    ],
)
def test_no_value_of_a_repeated_name_gets_lost(values: list[Any], shown: Any, repeated: tuple[Any, ...]) -> None:
    record = Record.model_validate({"extraFields": [{"fieldName": "F", "fieldValue": value} for value in values]})
    assert (record.extra_fields, record.repeated_fields) == ({"F": shown}, repeated)


@pytest.mark.parametrize("flag", [1, "1", True, "true", "TRUE", "A_1"])
def test_a_flag_has_several_forms(flag: Any) -> None:
    assert Record.model_validate({"isInvoiceOrder": flag}).is_invoice_order


@pytest.mark.parametrize("flag", [0, "0", False, "false", "A_0", "", None, [], 2])
def test_anything_else_is_no_flag(flag: Any) -> None:
    assert not Record.model_validate({"isInvoiceOrder": flag}).is_invoice_order


def test_reference_number_and_extra_info_can_be_read() -> None:
    extra_info = {"addressExtraFields": {"shippingAddressExtraFields": [{"fieldName": "Dock", "fieldValue": "4"}]}}
    record = Record.model_validate({"referenceNumber": 4711, "extraInfo": extra_info})
    assert (record.reference_number, record.extra_info) == ("4711", extra_info)
    nothings: list[Any] = [None, [], "x", 5]
    for nothing in nothings:
        record = Record.model_validate({"referenceNumber": None, "extraInfo": nothing})
        assert (record.reference_number, record.extra_info) == ("", {})


@given(st.dictionaries(st.sampled_from(RECORD_KEYS), JSON))
def test_any_record_can_be_parsed(answer: dict[str, Any]) -> None:
    assert isinstance(Record.model_validate(answer).po_number, str)


def test_config_is_parsed_as_documented() -> None:
    config = ExtraFieldConfig.model_validate(
        {
            "fieldName": "Cost Center",
            "labelName": "Cost center",
            "fieldType": 3,
            "isRequired": True,
            "maximumLength": 100,
            "maximumValue": 1000,
            "listOfValues": ["A", "B"],
            "defaultValue": "A",
        }
    )
    assert config == ExtraFieldConfig(
        field_name="Cost Center",
        label="Cost center",
        type=FieldType.DROPDOWN,
        required=True,
        maximum_length=100,
        maximum_value=1000.0,
        options=("A", "B"),
        options_in="listOfValues",
        default="A",
    )


def test_nulls_and_empty_texts_in_a_config_are_no_limits() -> None:
    config = ExtraFieldConfig.model_validate(
        {
            "fieldName": "a",
            "labelName": None,
            "fieldType": "2",
            "isRequired": None,
            "maximumLength": "",
            "maximumValue": "12.5",
            "listOfValues": None,
            "defaultValue": None,
        }
    )
    assert config == ExtraFieldConfig(field_name="a", type=FieldType.NUMBER, maximum_value=12.5)


@pytest.mark.parametrize("kind", [9, "text", None, [], True])
def test_field_of_an_unknown_type_is_text(kind: Any) -> None:
    assert ExtraFieldConfig.model_validate({"fieldType": kind}).type is FieldType.TEXT


@pytest.mark.parametrize(
    ("answer", "options"),
    [
        ({"listOfValues": ["A"]}, ("A",)),
        ({"listOfValue": ["A", None, ""]}, ("A",)),
        ({"listOfValues": [], "listOfValue": ["A"]}, ("A",)),
        ({"valueConfig": {"listOfValue": ["A"]}}, ("A",)),
        ({"valueConfigs": [None, {"listOfValues": [1, 2]}]}, ("1", "2")),
        ({"listOfValues": ["A"], "valueConfig": {"listOfValue": ["B"]}}, ("A",)),
        ({"listOfValues": "A", "valueConfig": "B"}, ()),
        ({}, ()),
    ],
)
def test_options_are_the_first_list_that_is_not_empty(answer: dict[str, Any], options: tuple[str, ...]) -> None:
    assert ExtraFieldConfig.model_validate(answer).options == options


def test_limits_and_the_default_may_be_nested_and_text() -> None:
    nested = {"maximumLength": "100", "maximumValue": "12.5", "defaultValue": "A", "label": "no label", "unique": True}
    config = ExtraFieldConfig.model_validate({"maximumLength": "", "defaultValue": None, "valueConfig": nested})
    assert config == ExtraFieldConfig(maximum_length=100, maximum_value=12.5, default="A")


def test_a_config_survives_the_cache() -> None:
    config = ExtraFieldConfig.model_validate(
        {"fieldName": "a", "fieldType": 3, "listOfValue": ["A"], "defaultValue": "A", "isUnique": True}
    )
    assert ExtraFieldConfig.model_validate(config.model_dump(mode="json")) == config


def test_maximum_length_of_zero_is_no_limit() -> None:
    assert ExtraFieldConfig.model_validate({"maximumLength": 0}).maximum_length is None


@given(st.dictionaries(st.sampled_from(CONFIG_KEYS), JSON))
def test_any_config_can_be_parsed(answer: dict[str, Any]) -> None:
    assert isinstance(ExtraFieldConfig.model_validate(answer).type, FieldType)


@pytest.mark.parametrize(
    ("values", "body"),
    [
        (Values("PO-1", {}), {"poNumber": "PO-1"}),
        (Values("", {}), {"poNumber": ""}),
        (Values(None, {"a": "b"}), {"extraFields": [{"fieldName": "a", "fieldValue": "b"}]}),
        (
            Values(None, {"a": "b"}, {"c": "d"}, (("c", "e"),), {"a": "A"}),
            {
                "extraFields": [
                    {"fieldName": "c", "fieldValue": "d"},
                    {"fieldName": "A", "fieldValue": "b"},
                    {"fieldName": "c", "fieldValue": "e"},
                ]
            },
        ),
    ],
)
def test_body_holds_only_the_given_values(values: Values, body: dict[str, Any]) -> None:
    assert values.body() == body


@pytest.mark.parametrize(
    ("items", "total", "offset", "next_offset"),
    [
        (2, 5, 0, 2),
        (1, 5, 4, None),
        (2, 4, 2, None),
        (1, 5, 2, 3),  # the API gave fewer than were asked for
        (0, 5, 2, None),  # an empty page is the last
        (2, 1, 0, 2),  # a total that cannot be right
        (2, None, 2, 4),
        (1, None, 2, None),
    ],
)
def test_page_knows_the_offset_of_the_next(items: int, total: int | None, offset: int, next_offset: int) -> None:
    assert Page.of(["x"] * items, total=total, limit=2, offset=offset).next_offset == next_offset
