"""What the log says of an order: one canonical line when it ends, a short one when it needs another look."""

import structlog

from service.logs import Event
from service.orders.create_window import LENGTH_S
from service.orders.state.entry import Entry, Stage, Status
from workers.results import RetryLater

log = structlog.get_logger()


def log_finished(entry: Entry) -> None:
    """The canonical line: everything that is worth knowing of an order that has ended."""
    age = entry.create_age
    line = {
        "outcome": entry.status.value,
        "verified": entry.verified,
        "reason": entry.reason,
        "po_number": entry.po_number,
        "fields": sorted(entry.fields),
        "kept": entry.kept,
        "age_ms": _ms(age),
        "margin_ms": _ms(LENGTH_S - age) if age is not None else None,
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
        case _:
            log.info(Event.ORDER_ENRICHED, **line)


def log_retry_later(entry: Entry, later: RetryLater, pause: float) -> None:
    """The order did not end; why, and when it is looked at again."""
    log.info(Event.ORDER_RECOVERING, trouble=later.trouble, retry_in_ms=_ms(pause), attempts=entry.attempts)


def _between(entry: Entry, start: Stage, end: float | None) -> int | None:
    begun = entry.times.get(start)
    return None if begun is None or end is None else _ms(end - begun)


def _ms(seconds: float | None) -> int | None:
    return None if seconds is None else round(seconds * 1000)
