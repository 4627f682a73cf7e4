"""When observations become a fact, and when they no longer are one."""

import pytest

from service.orders.facts.fact import AGREEING, EXPIRES_AFTER_S, Fact, Known, Observation, Source, Value, add, known

NOW = 1_768_078_800.0
CHOICE = Fact.FIELD_NAME


def learnt(fact: Fact, *values: Value, source: Source = "orders", first_order: int = 1) -> list[Observation]:
    """The observations after these values, each of another order, a minute apart."""
    kept: list[Observation] = []
    for number, value in enumerate(values):
        kept = add(fact, kept, Observation(value, NOW + 60 * number, source, first_order + number))
    return kept


def value_of(fact: Fact, observations: list[Observation], now: float = NOW + 600) -> Value | None:
    found = known(fact, observations, now)
    return None if found is None else found.value


@pytest.mark.parametrize(
    ("values", "value"),
    [
        ((), None),
        (("label",), None),
        (("label", "label"), None),
        (("label", "label", "label"), "label"),
        (("label", "label", "fieldName"), None),
        (("label", "fieldName", "label", "label"), None),
        (("label", "label", "label", "fieldName"), None),
        (("label", "label", "label", "fieldName", "label", "label"), None),
        (("fieldName", "label", "label", "label"), "label"),
        (("label", "label", "label", "fieldName", "fieldName", "fieldName"), "fieldName"),
    ],
)
def test_three_orders_that_agree_make_a_fact_and_one_that_does_not_ends_it(
    values: tuple[str, ...], value: str | None
) -> None:
    assert value_of(CHOICE, learnt(CHOICE, *values)) == value


def test_one_order_counts_once_however_often_it_is_seen() -> None:
    kept: list[Observation] = []
    for at in range(10):
        kept = add(CHOICE, kept, Observation("label", NOW + at, "orders", 1))
    assert value_of(CHOICE, kept) is None


def test_what_was_rehearsed_holds_at_once_and_replaces_what_orders_showed() -> None:
    kept = add(CHOICE, learnt(CHOICE, "label", "label", "label"), Observation("fieldName", NOW + 300, "rehearse"))
    assert known(CHOICE, kept, NOW + 300) == Known("fieldName", NOW + 300, "rehearse", 1)


def test_an_order_that_contradicts_a_rehearsal_ends_the_fact() -> None:
    kept = learnt(CHOICE, "label", source="rehearse")
    assert value_of(CHOICE, kept) == "label"
    assert value_of(CHOICE, add(CHOICE, kept, Observation("fieldName", NOW + 60, "orders", 7))) is None


@pytest.mark.parametrize("source", ["orders", "rehearse"])
def test_a_fact_expires_after_thirty_days(source: Source) -> None:
    kept = learnt(CHOICE, *["label"] * AGREEING, source=source)
    last = kept[-1].at
    first_needed = kept[0].at if source == "orders" else last
    assert value_of(CHOICE, kept, first_needed + EXPIRES_AFTER_S - 1) == "label"
    assert value_of(CHOICE, kept, first_needed + EXPIRES_AFTER_S) is None


def test_what_is_expired_does_not_agree_with_what_is_new() -> None:
    old = learnt(CHOICE, "label", "label")
    kept = add(CHOICE, old, Observation("label", NOW + EXPIRES_AFTER_S + 120, "orders", 9))
    assert [each.order_id for each in kept] == [9]


@pytest.mark.parametrize(
    ("fact", "values", "value"),
    [
        (Fact.CREATE_TAKEN_UNTIL, (2.0, 9.0), None),
        (Fact.CREATE_TAKEN_UNTIL, (2.0, 9.0, 8.0), 2.0),
        (Fact.CREATE_TAKEN_UNTIL, (2.0, 9.0, 8.0, 7.5), 7.5),
        (Fact.CREATE_TAKEN_UNTIL, (2.0, 2.1, 2.2, 3600.0), 2.1),
        (Fact.RECORD_THERE_FROM, (5.0, 0.4, 6.0), 6.0),
        (Fact.RECORD_THERE_FROM, (5.0, 0.4, 6.0, 0.5, 0.6), 0.6),
        (Fact.WEBHOOK_DELAY, (1.0, 1.2), None),
        (Fact.WEBHOOK_DELAY, (1.0, 1.2, 600.0), 1.2),
    ],
)
def test_a_number_needs_three_orders_that_reach_it(fact: Fact, values: tuple[float, ...], value: float | None) -> None:
    assert value_of(fact, learnt(fact, *values)) == value


def test_a_rehearsed_extreme_counts_as_three() -> None:
    kept = learnt(Fact.CREATE_TAKEN_UNTIL, 15.0, source="rehearse")
    kept = add(Fact.CREATE_TAKEN_UNTIL, kept, Observation(9.0, NOW + 60, "orders", 7))
    assert value_of(Fact.CREATE_TAKEN_UNTIL, kept) == 15.0
