"""How long a store's list of orders may wait for its next reading.

A store that had an order in the last day is read every minute. Elsewhere the interval doubles up to five minutes, as
long as everything that is known says that webhooks arrive. At the first sign of trouble it is a minute again. (A new
order's webhook makes the next reading due within a minute at once: ``enqueue_order.lua``.)
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from service.orders.state.queue import RECONCILED_WITHIN_S

ACTIVE_S = RECONCILED_WITHIN_S
"""The interval of a store that had an order lately, and of one where webhooks may not arrive."""

QUIET_S = 300.0
"""The longest interval: so long an order may stay unknown in a store that had none for a day."""

LATELY_S = 86_400.0
"""For so long after an order the next one must be found within a minute, and a new store is watched as closely."""

HOOKS_CHECKED_WITHIN_S = 5_400.0
"""The webhooks are known to be active for so long after the hook monitor saw it: three of its longest intervals."""

Trouble = Literal["recent order", "polling", "webhook problem", "webhooks unchecked", "lost webhook", "orders wait"]
"""Why a store is read every minute."""


@dataclass(frozen=True, slots=True)
class Evidence:
    """What is known of a store's webhooks. Times are seconds since the epoch, on our clock; None: never."""

    now: float
    last_order_at: float | None
    """When an order of the store was last seen for the first time, or when the store was new."""
    webhook_at: float | None = None
    """When the webhook of a new order last arrived in time."""
    late_at: float | None = None
    """When one last arrived after its order's window."""
    untold_at: float | None = None
    """When an order was last found whose webhook had not arrived."""
    is_polled: bool = False
    has_hook_problem: bool = False
    hooks_checked_at: float | None = None
    orders_wait: bool = False
    """Whether orders are held, or wait for their status: reading the list is what lets them continue."""

    def troubles(self) -> Iterator[Trouble]:
        """Everything that speaks for reading the list every minute."""
        last_order_at = max(self.last_order_at or 0.0, self.webhook_at or 0.0, self.late_at or 0.0)
        if self.last_order_at is None or self.now - last_order_at <= LATELY_S:
            yield "recent order"
        if self.is_polled:
            yield "polling"
        if self.has_hook_problem:
            yield "webhook problem"
        if self.hooks_checked_at is None or self.now - self.hooks_checked_at > HOOKS_CHECKED_WITHIN_S:
            yield "webhooks unchecked"
        if max(self.untold_at or 0.0, self.late_at or 0.0) > (self.webhook_at or 0.0):
            yield "lost webhook"
        if self.orders_wait:
            yield "orders wait"

    @property
    def are_webhooks_proven(self) -> bool:
        """Whether nothing speaks for reading the list every minute."""
        return not any(self.troubles())


def next_interval_s(
    evidence: Evidence, previous_s: float | None, *, shortest_s: float = ACTIVE_S, longest_s: float = QUIET_S
) -> float:
    """The seconds until the list is read again, after ``previous_s``; None for a store that was never read.

    ``longest_s`` does not make an interval shorter than ``shortest_s``.
    """
    if previous_s is None or not evidence.are_webhooks_proven:
        return shortest_s
    return max(shortest_s, min(2.0 * previous_s, longest_s))
