"""Facts in Redis: read seldom, written seldom, never in the way of an order."""

from typing import Any

import pytest
from arq import ArqRedis
from redis.exceptions import ConnectionError as RedisConnectionError

from service.orders.facts.fact import EXPIRES_AFTER_S, Fact, StoreFacts
from service.orders.facts.store_facts import OBSERVE_EVERY_S, READ_EVERY_S, RENEW_AFTER_S, Facts
from service.orders.state.keys import facts_key
from tests.fakes.sandbox import StillClock

STORE = "abc123"


class CountingRedis:
    """Counts the commands of facts on their way to Redis."""

    def __init__(self, redis: ArqRedis) -> None:
        self._redis = redis
        self.commands: list[str] = []

    def __getattr__(self, name: str) -> Any:
        self.commands.append(name)
        return getattr(self._redis, name)


@pytest.fixture
def clock() -> StillClock:
    return StillClock()


async def observe(facts: Facts, clock: StillClock, *values: str, first_order: int = 1) -> None:
    """Observe these names, a minute apart."""
    for number, value in enumerate(values):
        await facts.observe(STORE, Fact.FIELD_NAME, value, order_id=first_order + number)
        clock.tick(OBSERVE_EVERY_S)


async def test_a_store_without_observations_has_the_defaults(redis: ArqRedis) -> None:
    facts = await Facts(redis).of(STORE)
    assert facts == StoreFacts()
    assert not facts.writes_labels
    assert not facts.lists_lack_extra_fields


async def test_three_orders_teach_all_processes(redis: ArqRedis, clock: StillClock) -> None:
    await observe(Facts(redis, clock=clock), clock, "label", "label")
    assert not (await Facts(redis, clock=clock).of(STORE)).writes_labels

    await observe(Facts(redis, clock=clock), clock, "label", first_order=3)

    assert (await Facts(redis, clock=clock).of(STORE)).writes_labels
    assert not (await Facts(redis, clock=clock).of("other")).writes_labels


async def test_a_contradiction_is_written_at_once(redis: ArqRedis, clock: StillClock) -> None:
    facts = Facts(redis, clock=clock)
    await observe(facts, clock, "label", "label", "label")
    assert (await facts.of(STORE)).writes_labels

    await facts.observe(STORE, Fact.FIELD_NAME, "fieldName", order_id=4)

    assert not (await facts.of(STORE)).writes_labels
    assert not (await Facts(redis, clock=clock).of(STORE)).writes_labels


async def test_orders_that_agree_with_a_fact_cost_redis_nothing(redis: ArqRedis, clock: StillClock) -> None:
    counting = CountingRedis(redis)
    facts = Facts(counting, clock=clock)  # type: ignore[arg-type]
    await observe(facts, clock, "label", "label", "label")
    await facts.of(STORE)
    counting.commands.clear()

    for order_id in range(100, 200):
        await facts.observe(STORE, Fact.FIELD_NAME, "label", order_id=order_id)

    assert counting.commands == []


async def test_of_what_is_not_known_one_observation_a_minute_is_written(redis: ArqRedis, clock: StillClock) -> None:
    facts = Facts(redis, clock=clock)
    for order_id in range(1, 50):
        await facts.observe(STORE, Fact.FIELD_NAME, "label", order_id=order_id)
        clock.tick(OBSERVE_EVERY_S / 49)
    assert not (await facts.of(STORE)).writes_labels


async def test_a_store_is_read_once_a_minute(redis: ArqRedis, clock: StillClock) -> None:
    counting = CountingRedis(redis)
    facts = Facts(counting, clock=clock)  # type: ignore[arg-type]
    for _ in range(100):
        await facts.of(STORE)
    clock.tick(READ_EVERY_S)
    await facts.of(STORE)
    assert counting.commands == ["hgetall", "hgetall"]


async def test_a_fact_that_orders_confirm_is_renewed(redis: ArqRedis, clock: StillClock) -> None:
    facts = Facts(redis, clock=clock)
    await facts.keep(STORE, {Fact.FIELD_NAME: "label"})
    for day in range(40):
        await facts.observe(STORE, Fact.FIELD_NAME, "label", order_id=day)
        clock.tick(RENEW_AFTER_S)
    assert (await facts.of(STORE)).writes_labels
    clock.tick(EXPIRES_AFTER_S)
    assert not (await facts.of(STORE)).writes_labels


async def test_the_facts_of_a_store_that_is_gone_expire_in_redis(redis: ArqRedis) -> None:
    await Facts(redis).keep(STORE, {Fact.FIELD_NAME: "label", Fact.CREATE_TAKEN_UNTIL: 15.0})
    assert 0 < await redis.pttl(facts_key(STORE)) <= 2 * EXPIRES_AFTER_S * 1000
    assert (await Facts(redis).of(STORE)).value(Fact.CREATE_TAKEN_UNTIL) == 15.0


@pytest.mark.parametrize("raw", ["", "null", "7", "{}", '[["label"]]', '[[{}, 1, "orders", 1]]', "[[1, 2"])
async def test_what_another_version_wrote_is_unknown(redis: ArqRedis, raw: str) -> None:
    await redis.hset(facts_key(STORE), Fact.FIELD_NAME.value, raw)  # type: ignore[misc]
    facts = Facts(redis)
    assert await facts.of(STORE) == StoreFacts()
    await facts.keep(STORE, {Fact.FIELD_NAME: "label"})


@pytest.mark.parametrize("value", ['"label"', "1e400", "-1e12", "NaN", "null", "[]", "9" * 400])
async def test_a_number_that_is_none_is_unknown(redis: ArqRedis, value: str) -> None:
    raw = f'[[{value}, {{now}}, "rehearse", null]]'.replace("{now}", "9e9")
    await redis.hset(facts_key(STORE), Fact.CREATE_TAKEN_UNTIL.value, raw)  # type: ignore[misc]
    assert await Facts(redis).of(STORE) == StoreFacts()


async def test_another_process_that_writes_meanwhile_loses_nothing(redis: ArqRedis, clock: StillClock) -> None:
    class Racing(CountingRedis):
        """Another process observes the same between a read and its write, once."""

        async def hget(self, key: str, name: str) -> Any:
            raw = await self._redis.hget(key, name)  # type: ignore[misc]
            if "raced" not in self.commands:
                self.commands.append("raced")
                await Facts(self._redis, clock=clock).observe(STORE, Fact.FIELD_NAME, "label", order_id=1)
            return raw

    await Facts(Racing(redis), clock=clock).observe(STORE, Fact.FIELD_NAME, "label", order_id=2)  # type: ignore[arg-type]
    await Facts(redis, clock=clock).observe(STORE, Fact.FIELD_NAME, "label", order_id=3)
    assert (await Facts(redis, clock=clock).of(STORE)).writes_labels


async def test_without_redis_the_last_facts_hold_and_nothing_is_raised(
    redis: ArqRedis, clock: StillClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    facts = Facts(redis, clock=clock)
    await facts.keep(STORE, {Fact.FIELD_NAME: "label"})
    await facts.of(STORE)

    async def fail(*_: object, **__: object) -> None:
        raise RedisConnectionError("gone")

    monkeypatch.setattr(redis, "hgetall", fail)
    monkeypatch.setattr(redis, "hget", fail)
    clock.tick(READ_EVERY_S)

    assert (await facts.of(STORE)).writes_labels
    await facts.observe(STORE, Fact.FIELD_NAME, "fieldName", order_id=1)
