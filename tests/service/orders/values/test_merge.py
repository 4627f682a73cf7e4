from typing import Any

from service.bigcommerce.models import Record, Values
from service.orders.state.order_entry import Sent
from service.orders.values.field_names import FieldNames
from service.orders.values.merge import lost_carried, lost_values, merge, same, shows_all


def record(po_number: str = "", **extra_fields: Any) -> Record:
    fields = [{"fieldName": name, "fieldValue": value} for name, value in extra_fields.items()]
    return Record.model_validate({"bcOrderId": 250, "poNumber": po_number, "extraFields": fields})


def test_a_record_with_the_wanted_values_needs_no_update() -> None:
    merged = merge(record("A-1", Centre="7"), Values("A-1", {"Centre": "7"}), {}, "keep")

    assert merged.values is None
    assert merged.kept == ()


def test_empty_values_are_filled() -> None:
    merged = merge(record(), Values("A-1", {"Centre": "7"}), {}, "keep")

    assert merged.values == Values("A-1", {"Centre": "7"})


def test_what_a_buyer_typed_is_kept() -> None:
    merged = merge(record("BUYER-9"), Values("A-1", {"Centre": "7"}), {}, "keep")

    assert merged.values == Values(None, {"Centre": "7"})
    assert merged.kept == ("po_number",)


def test_a_record_with_only_values_of_others_needs_no_update() -> None:
    merged = merge(record("BUYER-9", Centre="8"), Values("A-1", {"Centre": "7"}), {}, "keep")

    assert merged.values is None
    assert merged.kept == ("po_number", "Centre")


def test_replace_overwrites() -> None:
    merged = merge(record("BUYER-9", Centre="8"), Values("A-1", {"Centre": "7"}), {}, "replace")

    assert merged.values == Values("A-1", {"Centre": "7"})
    assert merged.kept == ()


def test_a_value_that_we_sent_earlier_is_ours_to_change() -> None:
    written = {"po_number": ["A-0", "A-1"], "Centre": ["7"]}

    merged = merge(record("A-0", Centre="7"), Values("A-2", {"Centre": "8"}), written, "keep")

    assert merged.values == Values("A-2", {"Centre": "8"})


def test_a_value_of_an_undocumented_type_is_kept_and_carried_unchanged() -> None:
    there = record("", Centre=["a", "b"], Theirs={"x": 1})

    merged = merge(there, Values("A-1", {"Centre": "7"}), {}, "keep")

    assert merged.values == Values("A-1", {}, {"Centre": ["a", "b"], "Theirs": {"x": 1}})
    assert merged.kept == ("Centre",)


def test_empty_and_left_out_fields_are_not_carried() -> None:
    merged = merge(record("", Empty="", Bad="x", Good="y"), Values("A-1", {}), {}, "keep", leave_out={"Bad"})

    assert merged.values == Values("A-1", {}, {"Good": "y"})


def test_an_update_carries_the_other_fields_of_the_record() -> None:
    merged = merge(record("A-1", Theirs="x"), Values("A-1", {"Centre": "7"}), {}, "keep")

    assert merged.values == Values(None, {"Centre": "7"}, {"Theirs": "x"})


def test_an_update_of_the_po_alone_carries_the_fields() -> None:
    merged = merge(record("", Theirs="x"), Values("A-1", {}), {}, "keep")

    assert merged.values == Values("A-1", {}, {"Theirs": "x"})


def test_what_an_update_lost_is_restored_where_the_record_has_nothing() -> None:
    there = record("A-1", Centre="7", Changed="new", Number="5")
    names = FieldNames({"number": "Number"})
    restore = {"Lost": "x", "Bad": "y", "Changed": "old", "Centre": "6", "number": "5"}

    merged = merge(there, Values("A-1", {"Centre": "7"}), {}, "keep", names=names, restore=restore, leave_out={"Bad"})

    assert merged.values == Values(None, {}, {"Centre": "7", "Changed": "new", "Number": "5", "Lost": "x"})


def test_defaults_fill_empty_fields_of_a_necessary_update() -> None:
    wanted, defaults = Values("A-1", {}), {"Empty": "d", "Full": "d", "New": "d"}

    merged = merge(record("", Empty="", Full="x"), wanted, {}, "replace", defaults=defaults)

    assert merged.values == Values("A-1", {"Empty": "d", "New": "d"}, {"Full": "x"})
    assert merge(record("A-1"), wanted, {}, "replace", defaults=defaults).values is None


def test_an_empty_wanted_value_needs_no_update() -> None:
    assert merge(record(), Values("", {"Centre": ""}), {}, "keep").values is None


def test_sent_and_carried_values_are_found_by_label() -> None:
    sent = Sent("update", None, {"cc": "7"}, carried={"dept": "D"}, labels={"cc": "Centre", "dept": "Department"})

    assert shows_all(record(Centre="7", Department="D"), sent)
    assert lost_values(record(Centre="8", Department="E"), sent) == [], "changed is not lost"
    assert lost_carried(record(Centre="7"), sent) == ["dept"]
    assert lost_values(record(Centre="7"), sent) == []
    assert lost_values(record(Department="D"), sent) == ["cc"]


def test_numbers_in_another_form_are_equal() -> None:
    assert same("5.50", "5.5")
    assert same(" 5 ", "5")
    assert not same("007", "7")
    assert not same("1e3", "1000")
    assert not same("5.50", "5.5", exact=True)
    assert same("line\nline", "line\r\nline")


def test_a_record_holds_the_sent_values_only_if_it_shows_all() -> None:
    sent = Sent("create", "A-1", {"Centre": "7"})

    assert shows_all(record("A-1", Centre="7", Theirs="x"), sent)
    assert not shows_all(record("A-1"), sent)
    assert not shows_all(record("", Centre="7"), sent)
    assert shows_all(record("", Centre="7"), Sent("update", None, {"Centre": "7"}))


def test_only_what_a_person_asks_to_replace_is_written_over_somebody_elses_value() -> None:
    names = FieldNames({"Centre": "Cost Center"})
    wanted = Values("A-1", {"Centre": "7", "Other": "8"})
    theirs = record("BUYER-9", Centre="1", Other="2")
    merged = merge(theirs, wanted, {}, "keep", names=names, settled=["Centre"], replace=["Cost Center"])

    assert merged.values is not None
    assert (merged.values.po_number, merged.values.extra_fields) == (None, {"Centre": "7"})
    assert merged.kept == ("po_number", "Other")


def test_replace_takes_nothing_off_the_record() -> None:
    merged = merge(record("BUYER-9"), Values("", {}), {}, "replace", replace=["po_number"])

    assert (merged.values, merged.kept) == (None, ("po_number",))
