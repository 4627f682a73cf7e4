"""Log lines of an order: one canonical line when it finishes, a short one when it is retried later."""

import structlog

from service.logs import Event
from service.orders.create_window import WINDOW_LENGTH_S
from service.orders.state.order_entry import Entry, Stage, Status
from service.orders.state.transitions import WRITES_OFF
from workers.orders.result_types import RetryLater

log = structlog.get_logger()


def log_finished(entry: Entry) -> None:
    """Log the canonical line of an order that is finished, or that waits for a person."""
    age = entry.create_age
    line = {
        "outcome": entry.status.value,
        "verified": entry.verified,
        "reason": entry.reason,
        "po_number": entry.po_number,
        "fields": sorted(entry.fields),
        "kept": entry.kept,
        "age_ms": _ms(age),
        "margin_ms": _ms(WINDOW_LENGTH_S - age) if age is not None else None,
        "in_window": entry.in_window,
        "via": entry.via,
        "comment_not_kept": entry.comment_not_kept,
        "source": entry.source,
        "attempts": entry.attempts,
        "upstream_calls": entry.upstream_calls,
        "queue_ms": _between(entry, Stage.QUEUED, entry.times.get(Stage.PICKED_UP)),
        "duration_ms": _between(entry, Stage.PICKED_UP, entry.ended_at),
    }
    match entry.status:
        case Status.FAILED:
            log.error(Event.ORDER_FAILED, **line)
        case Status.SKIPPED:
            log.info(Event.ORDER_SKIPPED, **line)
        case Status.WAITING if entry.reason == WRITES_OFF:
            log.info(Event.ORDER_HELD, **line)
        case Status.WAITING:
            log.warning(Event.ORDER_WAITING, rule=entry.rule, **line)
        case _:
            log.info(Event.ORDER_ENRICHED, **line)


def log_retry_later(entry: Entry, later: RetryLater, delay: float) -> None:
    """Log why the order is not finished, and when the next attempt is due (``delay`` in seconds)."""
    log.info(Event.ORDER_RECOVERING, trouble=later.trouble, retry_in_ms=_ms(delay), attempts=entry.attempts)


def _between(entry: Entry, start: Stage, end: float | None) -> int | None:
    began = entry.times.get(start)
    # Redis stamps both; its clock may be set in between.
    return None if began is None or end is None else _ms(max(0.0, end - began))


def _ms(seconds: float | None) -> int | None:
    return None if seconds is None else round(seconds * 1000)
