"""When a rule counts as one without values, and who is told that it begins or ceases to be one."""

import random

import pytest
from redis.asyncio import Redis
from redis.exceptions import ResponseError

from service.orders.state.keys import rule_values_key
from service.orders.state.per_store.rule_values import MAX_ORDERS, RuleChange, RuleCount, RuleValues
from service.redis.client import connect

RULES = {"po_number": "aaaa", "Cost Center": "bbbb"}


def after(count: RuleCount, outcomes: str) -> RuleCount:
    """The counts after these orders: ``x`` for a value, ``.`` for none."""
    for outcome in outcomes:
        count = count.after(found=outcome == "x")
    return count


@pytest.mark.parametrize(
    ("orders", "is_without"),
    [
        ("." * 49, False),
        ("." * 50, True),
        ("x" * 200 + "." * 49, False),
        ("x" * 200 + "." * 50, True),
        ("x" * 200 + "." * 50 + "x", False),
        # One order in 20 has a value: 100 in a row without one happen, 200 hardly.
        (("." * 19 + "x") * 10 + "." * 199, False),
        (("." * 19 + "x") * 10 + "." * 200, True),
        # After its first value in 60 orders, it takes ten times as many.
        ("." * 59 + "x" + "." * 599, False),
        ("." * 59 + "x" + "." * 600, True),
    ],
)
def test_a_rule_is_without_values_after_far_more_orders_than_its_share_explains(orders: str, is_without: bool) -> None:
    assert after(RuleCount(), orders).is_without_values is is_without


def test_a_rule_that_gives_values_now_and_then_is_not_told_of_once_its_share_is_known() -> None:
    chance, count = random.Random(7), RuleCount()
    for _ in range(500):
        for outcome in "." * chance.randrange(80) + "x":
            was, count = count, count.after(found=outcome == "x")
            assert not count.is_without_values or was.given < 5


async def outcomes(values: RuleValues, found: list[bool], *, is_first: bool = True) -> list[RuleChange]:
    changes = []
    for each in found:
        values.note("abc123", RULES, ["po_number"] * each + ["Cost Center"], is_first=is_first)
        changes += await values.write()
    return changes


@pytest.fixture
def redis(redis_url: str) -> Redis:
    return connect(redis_url)


async def test_who_begins_and_who_ceases_is_told_once(redis: Redis) -> None:
    async with redis:
        values = RuleValues(redis)
        assert await outcomes(values, [False] * 49) == []
        assert await outcomes(values, [False] * 3) == [RuleChange("abc123", "po_number", True, 50)]
        assert await values.without_values("abc123") == {"po_number": 52}
        assert await outcomes(values, [True, True]) == [RuleChange("abc123", "po_number", False, 52)]
        assert await values.without_values("abc123") == {}
        assert await values.read("abc123") == {
            "po_number": RuleCount(54, 2, 0),
            "Cost Center": RuleCount(54, 54, 0),
        }


async def test_redis_counts_as_the_model_does(redis: Redis) -> None:
    chance, model = random.Random(3), RuleCount()
    async with redis:
        values = RuleValues(redis)
        for _ in range(MAX_ORDERS + 200):
            found = chance.random() < 0.4
            values.note("abc123", {"a": "1"}, ["a"] * found)
            model = model.after(found=found)
            if chance.random() < 0.1:  # several orders together, as a worker does
                await values.write()
        await values.write()
        assert await values.read("abc123") == {"a": model}
    assert model.orders < MAX_ORDERS


async def test_an_order_that_ends_again_can_only_show_that_a_rule_gives_values(redis: Redis) -> None:
    async with redis:
        values = RuleValues(redis)
        await outcomes(values, [False] * 50)
        assert await outcomes(values, [False], is_first=False) == []
        assert (await values.read("abc123"))["po_number"].misses == 50
        assert await outcomes(values, [True], is_first=False) == [RuleChange("abc123", "po_number", False, 50)]


async def test_a_changed_rule_is_counted_anew_and_a_removed_one_forgotten(redis: Redis) -> None:
    async with redis:
        values = RuleValues(redis)
        await outcomes(values, [False] * 50)
        values.note("abc123", {"po_number": "changed"}, [])
        assert await values.write() == []
        assert await values.read("abc123") == {"po_number": RuleCount(0, 0, 1)}


async def test_a_store_whose_rules_are_all_constants_costs_no_call(redis: Redis) -> None:
    async with redis:
        values = RuleValues(redis)
        values.note("abc123", {}, [])
        assert await values.write() == []
        assert await redis.keys("*") == []


async def test_orders_that_are_written_together_are_told_of_as_one_by_one(redis: Redis) -> None:
    async with redis:
        values = RuleValues(redis)
        for found in [*[[]] * 51, ["po_number"], *[[]] * 10]:
            values.note("abc123", {"po_number": "aaaa"}, found)
        values.note("xyz789", {"po_number": "aaaa"}, [])
        assert await values.write() == [
            RuleChange("abc123", "po_number", True, 50),
            RuleChange("abc123", "po_number", False, 51),
        ]
        assert await values.write() == []
        assert await values.read("abc123") == {"po_number": RuleCount(52, 1, 10)}
        assert await values.read("xyz789") == {"po_number": RuleCount(0, 0, 1)}


async def test_what_was_noted_for_a_rule_before_it_changed_does_not_count(redis: Redis) -> None:
    async with redis:
        values = RuleValues(redis)
        values.note("abc123", RULES, [])
        values.note("abc123", RULES | {"po_number": "changed"}, [])
        await values.write()
        assert await values.read("abc123") == {"po_number": RuleCount(0, 0, 1), "Cost Center": RuleCount(0, 0, 2)}


async def test_what_redis_does_not_take_is_counted_once_it_does(redis: Redis) -> None:
    async with redis:
        values = RuleValues(redis)
        values.note("abc123", RULES, [])
        await redis.set(rule_values_key("abc123"), "not a hash")
        with pytest.raises(ResponseError):
            await values.write()
        await redis.delete(rule_values_key("abc123"))
        assert await values.write() == []
        assert (await values.read("abc123"))["po_number"] == RuleCount(0, 0, 1)
