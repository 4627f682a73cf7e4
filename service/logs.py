"""Logs: one JSON object a line on stdout, or coloured lines on a terminal.

Every line of this product, of the web server and of the libraries takes the same way out. ``Event`` lists every
event name that the product itself uses.
"""

import contextlib
import io
import logging
import sys
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any, Literal, TextIO

import stamina.instrumentation
import structlog
from structlog.typing import EventDict, Processor, WrappedLogger


class Event(StrEnum):
    """The names of all events, by the part of the house that logs them."""

    # receiver and workers
    STORES_RELOADED = "stores_reloaded"
    STORES_NOT_RELOADED = "stores_not_reloaded"

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
    WAKEUPS_UNAVAILABLE = "wakeups_unavailable"
    METRICS_NOT_SERVED = "metrics_not_served"
    TRACING_OFF = "tracing_off"
    REDIS_LOST = "redis_lost"
    REDIS_BACK = "redis_back"
    REDIS_UNUSABLE = "redis_unusable"

    LEASE_LOST = "lease_lost"
    JOB_REQUEUED = "job_requeued"
    JOB_CRASHED = "job_crashed"
    JOB_UNREADABLE = "job_unreadable"

    # the life of an order
    ORDER_ENRICHED = "order_enriched"
    ORDER_SKIPPED = "order_skipped"
    ORDER_FAILED = "order_failed"
    ORDER_WAITING = "order_waiting"
    ORDER_RECOVERING = "order_recovering"
    VALUES_KEPT = "values_kept"
    FIELD_DROPPED = "field_dropped"
    VALUES_LOST = "values_lost"
    CHECK_POSTPONED = "check_postponed"
    ORDER_PARKED = "order_parked"
    CREDENTIALS_REFUSED = "credentials_refused"
    CREDENTIALS_ACCEPTED = "credentials_accepted"

    # what is done for a store again and again
    PERIODIC_TASK_POSTPONED = "periodic_task_postponed"
    ORDERS_FOUND = "orders_found"
    POLLING_STARTED = "polling_started"
    POLLING_ENDED = "polling_ended"
    HOOK_MISSING = "hook_missing"
    HOOK_FOREIGN = "hook_foreign"
    HOOK_REACTIVATED = "hook_reactivated"
    HOOK_NOT_REACTIVATED = "hook_not_reactivated"
    HOOK_HEADERS_DIFFER = "hook_headers_differ"
    HOOK_BLOCKED = "hook_blocked"
    HOOK_IDLE = "hook_idle"
    HOOK_OK = "hook_ok"

    # BigCommerce
    UPSTREAM_CALL = "upstream_call"
    QUOTA_SPENT = "quota_spent"

    # one machine
    REDIS_STARTED = "redis_started"
    REDIS_NOT_STARTED = "redis_not_started"
    PROCESS_ENDED = "process_ended"
    INTERNAL_ERROR = "internal_error"

    # sandbox
    SANDBOX_STARTED = "sandbox_started"
    SANDBOX_WEBHOOK_NOT_ACKNOWLEDGED = "sandbox_webhook_not_acknowledged"
    SANDBOX_HOOK_DEACTIVATED = "sandbox_hook_deactivated"
    SANDBOX_DOMAIN_BLOCKED = "sandbox_domain_blocked"


_FIRST = ("timestamp", "level", "event", "store", "order_id", "webhook_id")

# Their INFO lines hold whole URLs or repeat what our own events say better.
_QUIET = ("httpx", "httpcore", "arq.worker", "arq.connections", "uvicorn", "asyncio")


def configure(
    log_format: Literal["json", "console"], level: str, *, stream: TextIO | None = None, **always: Any
) -> None:
    """Send every log line of this process to ``stream``, stdout by default; ``always`` is bound to each line."""
    stream = stream or sys.stdout
    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        _stamp,
    ]
    tail: list[Processor]
    if log_format == "json":
        tail = [
            structlog.processors.format_exc_info,
            _first_things_first,
            structlog.processors.JSONRenderer(ensure_ascii=False, default=str),
        ]
    else:
        # Its own way to show an exception would print the variables, with all that an order holds.
        plain = structlog.dev.plain_traceback
        tail = [structlog.dev.ConsoleRenderer(colors=stream.isatty(), exception_formatter=plain)]
    out = _Out(stream)
    structlog.configure(
        # Ours go straight out: the libraries' way, through logging, costs more than twice as much a line.
        processors=[*shared, *tail],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=lambda *_: out,
        cache_logger_on_first_use=False,
    )
    structlog.contextvars.clear_contextvars()
    structlog.contextvars.bind_contextvars(**always)

    if isinstance(stream, io.TextIOWrapper):
        # No line is lost to a character: half a surrogate pair, which UTF-8 cannot write, becomes its JSON escape.
        stream.reconfigure(encoding="utf-8", errors="backslashreplace")
    handler = _Lines(out)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[structlog.stdlib.ExtraAdder(), *shared],
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, _drop_colours, *tail],
        )
    )
    # What is tried again shows in our own events; a line of its own per pause would drown them.
    stamina.instrumentation.set_on_retry_hooks([])
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level)
    for name in _QUIET:
        logging.getLogger(name).setLevel(logging.WARNING)


class _Out:
    """Where all lines end, a line at a time."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, line: str) -> None:
        # A reader that has gone away (``| head``) is no error worth a traceback a line.
        with contextlib.suppress(BrokenPipeError):
            self._stream.write(f"{line}\n")
            self._stream.flush()

    debug = info = warning = error = critical = write


class _Lines(logging.Handler):
    """The libraries' lines."""

    def __init__(self, out: _Out) -> None:
        super().__init__()
        self._out = out

    def emit(self, record: logging.LogRecord) -> None:
        try:
            self._out.write(self.format(record))
        except Exception:
            self.handleError(record)


def _stamp(_: WrappedLogger, __: str, event: EventDict) -> EventDict:
    """``2026-01-10T21:05:30.123Z``."""
    event["timestamp"] = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    return event


def _drop_colours(_: WrappedLogger, __: str, event: EventDict) -> EventDict:
    """Take out uvicorn's second copy of its text, the coloured one."""
    event.pop("color_message", None)
    return event


def _first_things_first(_: WrappedLogger, __: str, event: EventDict) -> EventDict:
    """The keys that every line shares stand first, so that lines can be read one under the other."""
    first: EventDict = {key: event[key] for key in _FIRST if key in event}
    first.update(event)
    return first
