"""Logs: one JSON object per line on stdout, or coloured lines on a terminal.

Lines of this product, of the web server and of the libraries all have this form. ``Event`` lists every event name
that the product itself uses. Logging never raises and never blocks: see ``service.logs.writer``.
"""

import atexit
import io
import json
import logging
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any, Literal, TextIO

import stamina.instrumentation
import structlog
from structlog.typing import EventDict, Processor, WrappedLogger

from service.logs.events import CANONICAL, Event
from service.logs.writer import LogWriter

__all__ = ["Event", "configure", "lines_dropped"]

_FIRST = ("timestamp", "level", "event", "store", "order_id", "webhook_id")

# Their INFO lines hold whole URLs or repeat what our own events say better.
_QUIET = ("httpx", "httpcore", "arq.worker", "arq.connections", "uvicorn", "asyncio")

_writer: LogWriter | None = None


def configure(log_format: Literal["json", "console"], level: str, *, stream: TextIO | None = None) -> None:
    """Send every log line of this process to ``stream``, stdout by default."""
    stream = stream or sys.stdout
    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        _add_timestamp,
    ]
    render: list[Processor]
    if log_format == "json":
        render = [
            structlog.processors.format_exc_info,
            _shared_keys_first,
            structlog.processors.JSONRenderer(ensure_ascii=False, default=_text),
        ]
    else:
        # Its default would print the variables of an exception's frames, with all that an order holds.
        plain = structlog.dev.plain_traceback
        render = [structlog.dev.ConsoleRenderer(colors=stream.isatty(), exception_formatter=plain)]
    if isinstance(stream, io.TextIOWrapper):
        # UTF-8 cannot encode half a surrogate pair: write its escape instead of failing.
        stream.reconfigure(encoding="utf-8", errors="backslashreplace")
    output = _Output(_open(stream))
    structlog.configure(
        # Not through logging, as the libraries' lines: that costs more than twice as much per line.
        processors=[*shared, _Renderer(render)],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=lambda *_: output,
        cache_logger_on_first_use=False,
    )
    structlog.contextvars.clear_contextvars()

    handler = _LibraryHandler(output)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[structlog.stdlib.ExtraAdder(), *shared],
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, _drop_colours, *render],
        )
    )
    # Our own events show retries; one more line for each backoff would drown them.
    stamina.instrumentation.set_on_retry_hooks([])
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level)
    for name in _QUIET:
        logging.getLogger(name).setLevel(logging.WARNING)


def lines_dropped() -> int:
    """How many lines of this process were dropped because they could not be written, or not in time."""
    return _writer.dropped if _writer else 0


def _open(stream: TextIO) -> Callable[..., None]:
    """A function that writes one line to ``stream``: in the background, except where that is memory."""
    global _writer
    _close()
    with suppress(Exception):
        stream.flush()
    try:
        fd = stream.fileno()
    except (OSError, ValueError):
        return lambda line, **_: _write_now(stream, line)
    _writer = LogWriter(fd, dropped=lines_dropped())
    return _writer.write


def _write_now(stream: TextIO, line: str) -> None:
    with suppress(Exception):
        stream.write(f"{line}\n")


@atexit.register
def _close() -> None:
    if _writer is not None:
        _writer.close()


class _Output:
    """What structlog calls with each rendered line."""

    def __init__(self, write: Callable[..., None]) -> None:
        self.debug = self.info = self.warning = self.error = self.critical = self.write = write


class _Renderer:
    """Turns an event into a line, and says whether the line is canonical. Never raises."""

    def __init__(self, processors: Sequence[Processor]) -> None:
        self._processors = processors

    def __call__(self, logger: WrappedLogger, method: str, event: EventDict) -> tuple[tuple[str], dict[str, bool]]:
        rendered: Any = dict(event)  # a renderer may take keys out of it
        try:
            canonical = event["event"] in CANONICAL
            for process in self._processors:
                rendered = process(logger, method, rendered)
        except Exception as error:
            return (_fallback(event, error),), {"canonical": False}
        return (rendered,), {"canonical": canonical}


class _LibraryHandler(logging.Handler):
    """Writes the lines of libraries. Never raises."""

    def __init__(self, output: _Output) -> None:
        super().__init__()
        self._output = output

    def emit(self, record: logging.LogRecord) -> None:
        try:
            line = self.format(record)
        except Exception as error:
            event = {"level": record.levelname.lower(), "event": record.msg}
            line = _fallback(_add_timestamp(None, "", event), error)
        self._output.write(line)


def _fallback(event: Mapping[str, Any], error: Exception) -> str:
    """A line for an event that cannot be rendered: its shared keys, and why."""
    shared = {key: _text(event[key]) for key in _FIRST if key in event}
    return json.dumps({**shared, "error": f"this line cannot be rendered: {type(error).__name__}"})


def _text(value: object) -> str:
    try:
        return str(value)
    except Exception:
        return f"<{type(value).__name__}>"


def _add_timestamp(_: WrappedLogger, __: str, event: EventDict) -> EventDict:
    """Add the time in UTC, such as ``2026-01-10T21:05:30.123Z``."""
    event["timestamp"] = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    return event


def _drop_colours(_: WrappedLogger, __: str, event: EventDict) -> EventDict:
    """Remove uvicorn's second, coloured copy of its text."""
    event.pop("color_message", None)
    return event


def _shared_keys_first(_: WrappedLogger, __: str, event: EventDict) -> EventDict:
    """Put the keys that lines share first, so that lines can be compared one below the other."""
    first: EventDict = {key: event[key] for key in _FIRST if key in event}
    first.update(event)
    return first
