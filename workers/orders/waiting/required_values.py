"""An order whose required rule gave no value: nothing is sent, and the order waits for the value.

While it waits, it is attempted when something tells of a change, when its window closes, and then with growing pauses,
in case nothing tells. When the store's ``follow`` is over, it fails.
"""

from service.orders.create_window import Window
from service.orders.state.order_entry import Entry, Status
from service.orders.values.required import fails_at
from workers.backoff import retry_redis
from workers.orders.order_log import log_finished
from workers.orders.result_types import AwaitingRequired, Finished
from workers.resources import Resources

FIRST_PAUSE_S = 60.0
LONGEST_PAUSE_S = 900.0
"""The pause after an attempt is the time since the window closed, at least the first and at most the longest."""

CLOSED_S = 0.05
"""The attempt at the end of the window is due so much later: it must find the window closed."""


def without_value(rule: str, window: Window, *, now: float, follow_s: float) -> AwaitingRequired | Finished:
    """What becomes of an order without a value of this rule. ``now`` is on BigCommerce's clock."""
    left = fails_at(window, follow_s) - now
    if left <= 0:
        return Finished(Status.FAILED, rule)
    closed_for = now - window.closes_at
    if closed_for < 0:
        return AwaitingRequired(rule, CLOSED_S - closed_for, is_window_closed=False)
    # 1, 2, 4, 8 and then each 15 minutes: at each attempt but the last ones, the order has waited twice as long.
    pause = min(FIRST_PAUSE_S + closed_for, LONGEST_PAUSE_S)
    return AwaitingRequired(rule, min(pause, left + CLOSED_S), is_window_closed=True)


async def await_value(resources: Resources, entry: Entry, awaiting: AwaitingRequired) -> bool:
    """Let the order wait; False when something has just told of a change: begin a new attempt.

    Once its window has closed, the order counts as needing a person: that is logged and counted, once.
    """
    is_news = awaiting.is_window_closed and not entry.wait_logged
    entry.wait_logged |= is_news
    waits = await retry_redis(
        lambda: resources.transitions.await_value(entry, awaiting.rule, retry_in=awaiting.seconds)
    )
    if not waits:
        entry.wait_logged &= not is_news
    elif is_news:
        log_finished(entry)
        resources.metrics.orders.labels(entry.store, entry.status.value).inc()
    return waits
