"""How often each rule of a store has given a value lately: a typo in an expression is no error of any single order.

A rule may well find a value only now and then. So a rule counts as one without values only when it has found none in
far more orders in a row than its own share of values explains.

``note`` only collects; ``write`` adds what was collected to the counts in Redis, and tells who begins or ceases to be
without values. What a killed process had collected, a few seconds' orders, is not counted. ``without_values`` says who
is without now.
"""

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass

from redis.asyncio import Redis
from redis.exceptions import RedisError

from service.orders.state import lua
from service.orders.state.keys import rule_values_key

MIN_MISSES = 50
"""At least so many orders in a row without a value are needed, whatever the rule's share of values."""

MISSES_PER_VALUE = 10
"""And ten times as many as usually pass between two values: by chance, that happens once in 20,000 (e to the -10)."""

MAX_ORDERS = 1000
"""At so many counted orders the counts are halved, so that the share of values is about lately."""

_KEEP_MS = 90 * 86_400_000


@dataclass(frozen=True, slots=True)
class RuleCount:
    """A rule's orders up to its last value, how many of them it had ``given`` one, and the ``misses`` since then."""

    orders: int = 0
    given: int = 0
    misses: int = 0

    @property
    def is_without_values(self) -> bool:
        """Whether the rule most likely finds nothing any more, or never did."""
        usual_gap = self.orders / self.given if self.given else 0.0
        return self.misses >= max(MIN_MISSES, MISSES_PER_VALUE * usual_gap)

    def after(self, *, found: bool) -> "RuleCount":
        """The counts after one more order."""
        if not found:
            return RuleCount(self.orders, self.given, self.misses + 1)
        orders, given = self.orders + self.misses + 1, self.given + 1
        return RuleCount(orders // 2, (given + 1) // 2) if orders >= MAX_ORDERS else RuleCount(orders, given)


@dataclass(frozen=True, slots=True)
class RuleChange:
    """A rule that begins (``begins``) or ceases to be one without values, after so many orders without one."""

    store: str
    rule: str
    begins: bool
    orders: int


class RuleValues:
    """The counts of all stores' rules. Errors are Redis's own."""

    def __init__(self, redis: Redis) -> None:
        self._redis = redis
        self._noted: dict[str, dict[str, tuple[str, str]]] = {}
        """By store and rule: its fingerprint, and a character for each order (``note_rule_values.lua``)."""

    def note(
        self, store: str, fingerprints: Mapping[str, str], found: Collection[str], *, is_first: bool = True
    ) -> None:
        """Note an order that is finished. ``found`` are the rules that gave a value.

        ``fingerprints`` are all rules that count, each with a hash of what it searches with: a changed rule begins
        anew. An order that was counted before (not ``is_first``) can only show that a rule does give values.
        """
        if not fingerprints:
            return
        noted, miss = self._noted.get(store, {}), "0" if is_first else "-"
        self._noted[store] = {
            name: (hashed, _of_same(noted.get(name), hashed) + ("1" if name in found else miss))
            for name, hashed in fingerprints.items()
        }

    async def write(self) -> list[RuleChange]:
        """Count the orders that were noted; the answer is who changes. What Redis did not take is kept."""
        changes: list[RuleChange] = []
        for store in list(self._noted):
            changes += await self._write(store)
        return changes

    async def _write(self, store: str) -> list[RuleChange]:
        noted = self._noted.pop(store)
        try:
            answer = await lua.note_rule_values(
                self._redis,
                counts=rule_values_key(store),
                most=MAX_ORDERS,
                keep_ms=_KEEP_MS,
                rules={name: f"{hashed} {orders}" for name, (hashed, orders) in noted.items()},
            )
        except RedisError:
            self._noted.setdefault(store, noted)  # newer orders count more
            raise
        before = {name: _counts(text.split()) for name, text in zip(answer[::2], answer[1::2], strict=True)}
        return [change for name, count in before.items() for change in _changes(store, name, count, noted[name][1])]

    async def read(self, store: str) -> dict[str, RuleCount]:
        """The counts of the store's rules."""
        stored = await self._redis.hgetall(rule_values_key(store))  # type: ignore[misc]
        return parse_rule_counts({name.decode(): text.decode() for name, text in stored.items()})

    async def without_values(self, store: str) -> dict[str, int]:
        """The rules that find nothing now, each with the number of orders since its last value."""
        return {name: count.misses for name, count in (await self.read(store)).items() if count.is_without_values}


def parse_rule_counts(stored: Mapping[str, str]) -> dict[str, RuleCount]:
    """The counts in a store's hash."""
    return {name: _counts(text.split()[1:]) for name, text in stored.items()}


def _counts(texts: list[str]) -> RuleCount:
    orders, given, misses = map(int, texts)
    return RuleCount(orders, given, misses)


def _of_same(noted: tuple[str, str] | None, fingerprint: str) -> str:
    """The orders that were noted for the rule as it is now."""
    return noted[1] if noted and noted[0] == fingerprint else ""


def _changes(store: str, rule: str, count: RuleCount, orders: str) -> Iterator[RuleChange]:
    for found in orders.replace("-", ""):
        before, count = count, count.after(found=found == "1")
        if before.is_without_values != count.is_without_values:
            yield RuleChange(store, rule, count.is_without_values, count.misses or before.misses)
