"""Logs: one JSON object a line on stdout, or coloured lines on a terminal.

Every line of this product, of the web server and of the libraries takes the same way out. ``Event`` lists every
event name that the product itself uses.
"""

import logging
import sys
from enum import StrEnum
from typing import Any, Literal

import stamina.instrumentation
import structlog
from structlog.typing import EventDict, Processor, WrappedLogger


class Event(StrEnum):
    """The names of all events, by the part of the house that logs them."""

    # receiver
    RECEIVER_STARTED = "receiver_started"
    RECEIVER_STOPPED = "receiver_stopped"
    WEBHOOK_ACCEPTED = "webhook_accepted"
    WEBHOOK_DUPLICATE = "webhook_duplicate"
    WEBHOOK_IGNORED = "webhook_ignored"
    WEBHOOK_REFUSED = "webhook_refused"
    WEBHOOK_NOT_QUEUED = "webhook_not_queued"

    # workers
    WORKER_STARTED = "worker_started"
    WORKER_STOPPING = "worker_stopping"
    WORKER_STOPPED = "worker_stopped"
    REDIS_LOST = "redis_lost"

    LEASE_LOST = "lease_lost"

    # the life of an order
    ORDER_ENRICHED = "order_enriched"
    ORDER_SKIPPED = "order_skipped"
    ORDER_FAILED = "order_failed"
    ORDER_WAITING = "order_waiting"
    ORDER_RECOVERING = "order_recovering"
    ORDER_CRASHED = "order_crashed"
    VALUES_KEPT = "values_kept"
    FIELD_DROPPED = "field_dropped"
    CREDENTIALS_REFUSED = "credentials_refused"

    # BigCommerce
    UPSTREAM_CALL = "upstream_call"

    # one machine
    REDIS_STARTED = "redis_started"
    PROCESS_ENDED = "process_ended"
    INTERNAL_ERROR = "internal_error"


_FIRST = ("timestamp", "level", "event", "store", "order_id", "webhook_id")

# Their INFO lines hold whole URLs or repeat what our own events say better.
_QUIET = ("httpx", "httpcore", "arq.worker", "arq.connections", "uvicorn", "asyncio")


def configure(log_format: Literal["json", "console"], level: str, **always: Any) -> None:
    """Send every log line of this process to stdout; ``always`` is bound to each line."""
    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        _milliseconds,
    ]
    tail: list[Processor]
    if log_format == "json":
        tail = [
            structlog.processors.format_exc_info,
            _first_things_first,
            structlog.processors.JSONRenderer(ensure_ascii=False, default=str),
        ]
    else:
        tail = [structlog.dev.ConsoleRenderer(colors=sys.stdout.isatty())]
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=False,
    )
    structlog.contextvars.clear_contextvars()
    structlog.contextvars.bind_contextvars(**always)

    handler = logging.StreamHandler(sys.stdout)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[structlog.stdlib.ExtraAdder(), *shared],
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *tail],
        )
    )
    # What is tried again shows in our own events; a line of its own per pause would drown them.
    stamina.instrumentation.set_on_retry_hooks([])
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level)
    for name in _QUIET:
        logging.getLogger(name).setLevel(logging.WARNING)


def _first_things_first(_: WrappedLogger, __: str, event: EventDict) -> EventDict:
    """The keys that every line shares stand first, so that lines can be read one under the other."""
    event.pop("color_message", None)  # uvicorn's own copy of its text
    first: EventDict = {key: event[key] for key in _FIRST if key in event}
    first.update(event)
    return first


def _milliseconds(_: WrappedLogger, __: str, event: EventDict) -> EventDict:
    """Cut the ISO time stamp to milliseconds: ``2026-01-10T21:05:30.123Z``."""
    stamp: str = event["timestamp"]
    event["timestamp"] = stamp[:23].ljust(23, "0") + "Z" if "." in stamp else stamp
    return event
