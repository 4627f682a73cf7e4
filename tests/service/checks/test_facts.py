"""The facts of a store in ``enrich check``: one line each."""

from datetime import UTC, datetime

import pytest

from service.checks.facts import check_facts
from service.checks.findings import Finding, Level
from service.orders.facts.fact import LATE_WEBHOOK_S, MEASURES, Fact, Known, Value
from service.orders.facts.store_facts import Facts
from service.orders.facts.wording import origin, sentence
from service.redis.client import connect

CHOICES: dict[Fact, tuple[str, ...]] = {
    Fact.UPDATE_EXTRA_FIELDS: ("merge", "replace"),
    Fact.LIST_EXTRA_FIELDS: ("shown", "missing"),
    Fact.FIELD_NAME: ("fieldName", "label"),
    Fact.DROPDOWN_OPTIONS: ("listOfValues", "listOfValue", "valueConfig", "valueConfigs", "nowhere"),
    Fact.API_ORDER_RECORD: ("by_itself", "none"),
}


async def test_each_fact_is_a_line_that_is_no_problem(redis_url: str) -> None:
    async with connect(redis_url) as redis:
        await Facts(redis).keep("sandbox", {Fact.FIELD_NAME: "label", Fact.WEBHOOK_DELAY: 1.25})
        found = await check_facts(redis, "sandbox")
        assert await check_facts(redis, "other") == []
    today = datetime.now(UTC).strftime("%Y-%m-%d")
    how = f"(measured by `enrich rehearse`, last seen {today})."
    assert sorted(found, key=lambda finding: finding.subject) == [
        Finding(
            Level.OK,
            "sandbox",
            "fact field_name",
            f"records name their extra fields by label: they are written by label, too {how}",
        ),
        Finding(Level.OK, "sandbox", "fact webhook_delay_s", f"webhooks arrive about 1.2 s after the order {how}"),
    ]


async def test_webhooks_that_leave_little_of_the_window_are_a_warning(redis_url: str) -> None:
    async with connect(redis_url) as redis:
        await Facts(redis).keep("sandbox", {Fact.WEBHOOK_DELAY: LATE_WEBHOOK_S})
        await Facts(redis).keep("other", {Fact.WEBHOOK_DELAY: LATE_WEBHOOK_S - 0.5})
        (late,), (usual,) = [await check_facts(redis, store) for store in ("sandbox", "other")]

    assert (late.level, usual.level) == (Level.WARNING, Level.OK)
    assert late.message.endswith("That leaves little of the ten seconds.")
    assert late.cure


async def test_without_redis_there_is_no_line() -> None:
    assert await check_facts(None, "sandbox") == []


@pytest.mark.parametrize(
    ("fact", "value"),
    [(fact, value) for fact, values in CHOICES.items() for value in values] + [(fact, 2.0) for fact in MEASURES],
)
def test_every_value_of_every_fact_has_a_sentence(fact: Fact, value: Value) -> None:
    assert CHOICES.keys() | MEASURES.keys() == set(Fact)
    text = sentence(fact, value)
    assert str(fact) not in text
    assert "{" not in text


def test_what_orders_showed_says_how_many() -> None:
    known = Known("label", 1_768_078_800.0, "orders", 3)
    assert origin(known) == "seen by 3 orders, last on 2026-01-10"
