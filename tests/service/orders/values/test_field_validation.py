"""Validation of extra fields against the store's configs."""

from typing import Any

import pytest

from service.bigcommerce.models import ExtraFieldConfig
from service.orders.values.field_validation import DroppedField, ValidatedFields, validate_fields


def config(name: str, **answer: Any) -> ExtraFieldConfig:
    return ExtraFieldConfig.model_validate({"fieldName": name, **answer})


TEXT = config("note", labelName="Note", fieldType=0, maximumLength=5)
LINES = config("lines", labelName="Lines", fieldType=1, numberOfRows=2, maximumLength=3)
NUMBER = config("floor", labelName="Floor", fieldType=2, maximumValue=12.5)
CHOICE = config("dock", labelName="Dock", fieldType=3, listOfValues=["North", "South ", "Ost", "ost"])
CONFIGS = [TEXT, LINES, NUMBER, CHOICE]


def reason(key: str, text: str, configs: list[ExtraFieldConfig] = CONFIGS) -> str:
    """Why the value is dropped."""
    validated = validate_fields({key: text}, (), configs)
    assert validated.fields == {}
    assert validated.refused is None
    ((dropped),) = validated.dropped
    assert dropped.name == key
    assert text not in dropped.reason
    return dropped.reason


@pytest.mark.parametrize(
    ("key", "text", "fields"),
    [
        ("note", "abcde", {"note": "abcde"}),
        ("Note", "abcde", {"note": "abcde"}),
        ("note", "äöüß\N{GRINNING FACE}", {"note": "äöüß\N{GRINNING FACE}"}),
        ("lines", "1\n2\n3\n4 and many more", {"lines": "1\n2\n3\n4 and many more"}),
        ("floor", "12.5", {"floor": "12.5"}),
        ("dock", "North", {"dock": "North"}),
        ("dock", "nORTH", {"dock": "North"}),
        ("dock", "South", {"dock": "South "}),
        ("dock", "ost", {"dock": "ost"}),
    ],
)
def test_a_valid_value_is_sent_under_its_field_name(key: str, text: str, fields: dict[str, str]) -> None:
    assert validate_fields({key: text}, (), CONFIGS) == ValidatedFields(fields, (), None)


@pytest.mark.parametrize(
    ("text", "number"),
    [("007", "7"), ("+7", "7"), (".5", "0.5"), ("1.", "1"), ("-0.50", "-0.5"), ("-0", "0"), ("0.10", "0.1")],
)
def test_a_number_is_sent_in_the_form_that_bigcommerce_returns(text: str, number: str) -> None:
    assert validate_fields({"floor": text}, (), CONFIGS).fields == {"floor": number}


def test_all_digits_of_a_number_are_kept() -> None:
    plain = [config("n", fieldType=2)]
    for number in ("12345678901234567890.123456789", "9" * 400):
        assert validate_fields({"n": number}, (), plain).fields == {"n": number}


def test_a_field_without_limits_accepts_anything() -> None:
    plain = [config("t", fieldType=0), config("n", fieldType=2)]
    assert validate_fields({"t": "x" * 100_000, "n": "9" * 400}, (), plain).dropped == ()


def test_text_that_is_too_long_is_dropped() -> None:
    assert reason("note", "abcdef") == "the text has 6 characters, the field takes 5."


@pytest.mark.parametrize("text", ["12,5", "1e3", "nan", "inf", "1_0", "٣", "3 m", "0x1", "-", "."])
def test_text_in_a_number_field_is_dropped(text: str) -> None:
    validated = validate_fields({"floor": text}, (), CONFIGS)
    assert validated == ValidatedFields(
        {}, (DroppedField("floor", "the text is not a number, and the field takes only numbers."),), None
    )


@pytest.mark.parametrize("text", ["12.51", "13", "9" * 400])
def test_a_number_above_the_maximum_is_dropped(text: str) -> None:
    assert reason("floor", text) == "the number is larger than 12.5, the field's maximum."


@pytest.mark.parametrize("text", ["West", "OST", "Nort"])
def test_a_value_that_is_not_one_option_is_dropped(text: str) -> None:
    assert reason("dock", text) == "the text is not one of the field's options."


def test_an_unknown_field_is_dropped_with_the_closest_name() -> None:
    assert reason("Flor", "1") == 'the store has no extra field of this name. Did you mean "Floor"?'
    assert reason("zzz", "1") == "the store has no extra field of this name."
    assert reason("note", "1", []) == "the store has no extra field of this name."


def test_an_ambiguous_label_is_dropped() -> None:
    twins = [config("a", labelName="Same"), config("b", labelName="Same")]
    assert reason("Same", "1", twins) == "several extra fields have this label; name one of a, b."


def test_a_config_that_is_listed_twice_is_one_field() -> None:
    assert validate_fields({"Note": "x"}, (), [TEXT, TEXT]).fields == {"note": "x"}


def test_a_field_name_goes_before_a_label() -> None:
    configs = [config("a", labelName="b"), config("b", labelName="a")]
    assert validate_fields({"a": "1", "b": "2"}, (), configs).fields == {"a": "1", "b": "2"}


def test_a_field_is_filled_once() -> None:
    assert validate_fields({"Note": "1", "note": "2"}, {"note"}, CONFIGS) == ValidatedFields(
        {"note": "1"}, (DroppedField("note", "another rule has filled the same field already."),), None
    )


def test_a_field_that_bigcommerce_requires_is_refused() -> None:
    required = config("note", isRequired=True, maximumLength=1)
    assert validate_fields({"note": "xy"}, (), [required]) == ValidatedFields(
        {}, (), DroppedField("note", "the text has 2 characters, the field takes 1.")
    )
    twins = [config("a", labelName="Same"), config("b", labelName="Same", isRequired=True)]
    refused = validate_fields({"Same": "1"}, (), twins).refused
    assert refused is not None
    assert refused.name == "Same"


@pytest.mark.parametrize(("key", "text"), [("Note", "abcdef"), ("floor", "x"), ("dock", "x"), ("zzz", "x")])
def test_a_field_that_its_rule_requires_is_refused(key: str, text: str) -> None:
    validated = validate_fields({key: text, "lines": "x"}, {key}, CONFIGS)
    assert validated.refused is not None
    assert (validated.refused.name, validated.dropped, validated.fields) == (key, (), {"lines": "x"})


def test_the_first_refusal_is_the_reason_and_further_ones_are_dropped() -> None:
    validated = validate_fields({"note": "abcdef", "floor": "x"}, {"note", "floor"}, CONFIGS)
    assert validated.refused is not None
    assert (validated.refused.name, [dropped.name for dropped in validated.dropped]) == ("note", ["floor"])
