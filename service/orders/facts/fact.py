"""Which facts of a store there are, and when observations become one. Pure.

What `enrich rehearse` measured holds at once. Of ordinary orders, three different ones must agree, because one odd
answer must not teach anything. The first contradiction sets a fact back to its default. All of it expires.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from statistics import median
from typing import Any, Literal, Self

EXPIRES_AFTER_S = 30 * 86_400.0
"""BigCommerce changes its platform without notice, but not every day: so long an observation counts."""

AGREEING = 3
"""So many different orders must agree."""

MOST_S = 1e9
"""No order is older, in seconds."""

MOST_KEPT = 9
"""Observations that are kept of one fact: enough for a median that a few odd ones do not move."""


RECORD_MARGIN_S = 5.0
"""From the earliest own record of the platform that was seen to the time by which all should be there."""

MAX_RECORD_WAIT_S = 60.0

LATE_WEBHOOK_S = 7.0
"""An order whose webhook is so late has three seconds for reading, Create and a retry."""


class Fact(StrEnum):
    """What is known of a store. Names that end in ``_s`` are seconds."""

    UPDATE_EXTRA_FIELDS = "update_extra_fields"
    """Update an Order with some of the extra fields: "merge" keeps the others, "replace" deletes them."""

    LIST_EXTRA_FIELDS = "list_extra_fields"
    """Rows of Get All Orders have their extra fields ("shown") or lack them ("missing")."""

    FIELD_NAME = "field_name"
    """A record names its extra fields by "fieldName" or by "label"."""

    DROPDOWN_OPTIONS = "dropdown_options_in"
    """Where the extra-field configs have a dropdown's options: the key, or "nowhere"."""

    API_ORDER_RECORD = "api_order_record"
    """An order made by API gets its record "by_itself", or "none" until somebody calls Create an Order."""

    CREATE_TAKEN_UNTIL = "create_taken_until_s"
    """The latest age of an order at which Create an Order was taken."""

    RECORD_THERE_FROM = "record_there_from_s"
    """The earliest age of an order at which somebody else's record was there already."""

    WEBHOOK_DELAY = "webhook_delay_s"
    """How old orders usually are when their webhook arrives."""


Measure = Literal["highest", "lowest", "usual"]
MEASURES: Mapping[Fact, Measure] = {
    Fact.CREATE_TAKEN_UNTIL: "highest",
    Fact.RECORD_THERE_FROM: "lowest",
    Fact.WEBHOOK_DELAY: "usual",
}
"""The facts that are numbers, and which of several observations counts. Of the extremes the third one does, so that
three orders have reached it."""

Source = Literal["rehearse", "orders"]
Value = str | float


@dataclass(frozen=True, slots=True)
class Observation:
    """One observation, at a time in Unix seconds. ``order_id`` is the order that showed it; None: no single one."""

    value: Value
    at: float
    source: Source
    order_id: int | None = None

    def to_list(self) -> list[Any]:
        """The observation as JSON."""
        return [self.value, round(self.at, 3), self.source, self.order_id]

    @classmethod
    def from_list(cls, stored: Sequence[Any]) -> Self:
        """Read what ``to_list`` wrote. Raises TypeError, ValueError or KeyError for anything else."""
        value, at, source, order_id = stored[:4]
        is_number = isinstance(value, int | float) and abs(value) < MOST_S
        if not (is_number or isinstance(value, str)) or source not in ("rehearse", "orders"):
            raise ValueError(stored)
        return cls(float(value) if is_number else value, float(at), source, order_id)


@dataclass(frozen=True, slots=True)
class Known:
    """A fact that holds: its value, when it was last observed, by what, and how many observations agree."""

    value: Value
    at: float
    source: Source
    agreeing: int


def add(fact: Fact, earlier: Iterable[Observation], new: Observation) -> list[Observation]:
    """The observations to keep of a fact after another one.

    What was rehearsed replaces everything. An order counts once. A different value drops those that it contradicts.
    """
    if new.source == "rehearse":
        return [new]
    fresh = _unexpired(earlier, new.at)
    others = [each for each in fresh if each.order_id is None or each.order_id != new.order_id]
    match MEASURES.get(fact):
        case None:
            return [*(each for each in others if each.value == new.value), new][-MOST_KEPT:]
        case "usual":
            return [*others, new][-MOST_KEPT:]
        case extreme:
            return _by_extreme(extreme, [*others, new])[:MOST_KEPT]


def known(fact: Fact, observations: Iterable[Observation], now: float) -> Known | None:
    """The fact, if these observations are enough to know it."""
    fresh = _unexpired(observations, now)
    is_rehearsed = any(each.source == "rehearse" for each in fresh)
    if not fresh or not (is_rehearsed or len(fresh) >= AGREEING):
        return None
    counted = [each.value for each in fresh for _ in range(AGREEING if each.source == "rehearse" else 1)]
    measure = MEASURES.get(fact)
    if measure is None:
        value = fresh[-1].value
    elif measure == "usual":
        value = median(float(each) for each in counted)
    else:
        value = sorted(counted, key=float, reverse=measure == "highest")[AGREEING - 1]
    last = max(each.at for each in fresh)
    return Known(value, last, "rehearse" if is_rehearsed else "orders", len(fresh))


def _unexpired(observations: Iterable[Observation], now: float) -> list[Observation]:
    return [each for each in observations if now - each.at < EXPIRES_AFTER_S]


def _by_extreme(measure: Measure, observations: Iterable[Observation]) -> list[Observation]:
    return sorted(observations, key=lambda each: float(each.value), reverse=measure == "highest")


@dataclass(frozen=True, slots=True)
class StoreFacts:
    """What is known of a store now. Each judgement that depends on a fact is one property here, with its default."""

    known: Mapping[Fact, Known] = field(default_factory=dict)

    def value(self, fact: Fact) -> Value | None:
        """The fact's value; None where it is not known."""
        found = self.known.get(fact)
        return None if found is None else found.value

    @property
    def writes_labels(self) -> bool:
        """Whether extra fields are sent by their label where the record does not tell. Default: by fieldName."""
        return self.value(Fact.FIELD_NAME) == "label"

    @property
    def lists_lack_extra_fields(self) -> bool:
        """Whether Get an Order is asked at once for records with extra fields. Default: a list is tried first."""
        return self.value(Fact.LIST_EXTRA_FIELDS) == "missing"

    @property
    def own_record_by_s(self) -> float:
        """By which age the platform's own record is there if it comes at all, so that none before says nothing.

        Default: 0, nothing is known. A fact never asks for more than a minute of waiting.
        """
        there_from_s = _seconds(self.value(Fact.RECORD_THERE_FROM))
        return 0.0 if there_from_s is None else min(there_from_s + RECORD_MARGIN_S, MAX_RECORD_WAIT_S)

    @property
    def webhooks_are_late(self) -> bool:
        """Whether webhooks usually leave little of the window. Default: they do not."""
        delay_s = _seconds(self.value(Fact.WEBHOOK_DELAY))
        return delay_s is not None and delay_s >= LATE_WEBHOOK_S


def _seconds(value: Value | None) -> float | None:
    return float(value) if isinstance(value, int | float) else None
