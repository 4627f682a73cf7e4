"""The facts of all stores, kept in Redis. They are cheap: no call to Redis for each order.

A process reads a store's facts at most once a minute. It writes an observation only if that changes something, and of
what is not known yet at most one a minute. Without Redis the defaults hold, and nothing is learnt.
"""

import json
import time
from collections.abc import Callable, Mapping

from redis.asyncio import Redis
from redis.exceptions import RedisError

from service.orders.facts import lua
from service.orders.facts.fact import (
    EXPIRES_AFTER_S,
    MEASURES,
    Fact,
    Known,
    Observation,
    StoreFacts,
    Value,
    add,
    known,
)
from service.orders.state.keys import facts_key

READ_EVERY_S = 60.0
OBSERVE_EVERY_S = 60.0

RENEW_AFTER_S = 86_400.0
"""A fact that orders keep confirming is renewed once a day, so that it does not expire."""


class Facts:
    """Reads and observes facts. ``clock`` gives Unix seconds. Errors of Redis are never raised, except by ``keep``."""

    def __init__(self, redis: Redis, *, clock: Callable[[], float] = time.time) -> None:
        self._redis = redis
        self._clock = clock
        self._read: dict[str, tuple[float, StoreFacts]] = {}
        self._observed_at: dict[tuple[str, Fact], float] = {}

    async def of(self, store: str) -> StoreFacts:
        """What is known of the store: at most a minute old, the defaults where Redis does not answer."""
        now = self._clock()
        at, facts = self._read.get(store, (None, StoreFacts()))
        if at is None or not 0 <= now - at < READ_EVERY_S:
            try:
                stored = await self._redis.hgetall(facts_key(store))  # type: ignore[misc]
            except RedisError:
                stored = None
            if stored is not None:
                facts = _parse({_text(name): _text(raw) for name, raw in stored.items()}, now)
            self._read[store] = now, facts
        return facts

    async def observe(self, store: str, fact: Fact, value: Value, *, order_id: int | None = None) -> None:
        """Note what an answer about an ordinary order has shown."""
        if not self._is_due(store, fact) and not self._contradicts(store, fact, value):
            return
        if not _is_news(fact, value, (await self.of(store)).known.get(fact), self._clock()):
            return
        self._observed_at[store, fact] = self._clock()
        try:
            await self._add(store, fact, Observation(value, self._clock(), "orders", order_id))
        except RedisError:
            return

    async def keep(self, store: str, measured: Mapping[Fact, Value]) -> None:
        """Keep what was measured on purpose. Errors are Redis's own."""
        for fact, value in measured.items():
            await self._add(store, fact, Observation(value, self._clock(), "rehearse"))

    def _is_due(self, store: str, fact: Fact) -> bool:
        last = self._observed_at.get((store, fact))
        return last is None or not 0 <= self._clock() - last < OBSERVE_EVERY_S

    def _contradicts(self, store: str, fact: Fact, value: Value) -> bool:
        _, facts = self._read.get(store, (0.0, StoreFacts()))
        held = facts.value(fact)
        return fact not in MEASURES and held is not None and held != value

    async def _add(self, store: str, fact: Fact, observation: Observation) -> None:
        key = facts_key(store)
        for _ in range(2):  # if another process observes the same at this moment, one of the two is enough
            raw = await self._redis.hget(key, fact.value)  # type: ignore[misc]
            before = "" if raw is None else _text(raw)
            kept = add(fact, _observations(fact, before), observation)
            is_written = await lua.put_fact(
                self._redis,
                facts=key,
                fact=fact.value,
                before=before,
                after=json.dumps([each.to_list() for each in kept]),
                keep_ms=int(2 * EXPIRES_AFTER_S * 1000),
            )
            if is_written:
                break
        self._read.pop(store, None)


def _is_news(fact: Fact, value: Value, held: Known | None, now: float) -> bool:
    """Whether this observation may change what is known, or renews it."""
    if held is None:
        return True
    match MEASURES.get(fact):
        case None:
            return value != held.value or now - held.at >= RENEW_AFTER_S
        case "highest":
            return float(value) > float(held.value)
        case "lowest":
            return float(value) < float(held.value)
        case "usual":
            return True


def _parse(stored: Mapping[str, str], now: float) -> StoreFacts:
    """The facts of a store's hash. What another version wrote, and this one cannot read, is not known."""
    found = {fact: known(fact, _observations(fact, stored[fact.value]), now) for fact in Fact if fact.value in stored}
    return StoreFacts({fact: each for fact, each in found.items() if each is not None})


def _observations(fact: Fact, raw: str) -> list[Observation]:
    try:
        found = [Observation.from_list(each) for each in json.loads(raw)] if raw else []
    except (TypeError, ValueError, KeyError, RecursionError):
        return []
    return [each for each in found if isinstance(each.value, float if fact in MEASURES else str)]


def _text(raw: bytes | str) -> str:
    return raw.decode(errors="replace") if isinstance(raw, bytes) else raw
