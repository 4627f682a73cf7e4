"""How one look at an order can end."""

from dataclasses import dataclass

from service.orders.entry import Status


@dataclass(frozen=True, slots=True)
class Ended:
    """The order has its outcome."""

    status: Status
    reason: str | None = None
    verified: bool | None = None


@dataclass(frozen=True, slots=True)
class Later:
    """The order needs another look, in ``seconds`` or, where that is None, after the next growing pause."""

    trouble: str
    seconds: float | None = None


@dataclass(frozen=True, slots=True)
class Parked:
    """The order is incomplete, and the store wants it enriched only when its status changes."""


Verdict = Ended | Later | Parked
