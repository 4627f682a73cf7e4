import io
import json
import logging
import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

import httpx
import pytest
import stamina
import structlog
from pydantic import SecretStr

from service import logs
from service.logs import Event
from service.logs.writer import LogWriter
from tests.fakes.logs import restore_logging

TIMESTAMP = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z")

log = structlog.get_logger()
library = logging.getLogger("some.library")


@pytest.fixture(autouse=True)
def restored_logging() -> Iterator[None]:
    with restore_logging():
        yield


@pytest.fixture
def written(capsys: pytest.CaptureFixture[str]) -> Callable[[], str]:
    """Returns what was written to standard output since the last call."""
    return lambda: capsys.readouterr().out


Events = Callable[[], list[dict[str, Any]]]


@pytest.fixture
def events(written: Callable[[], str]) -> Events:
    """Returns the JSON lines written since the last call, without their timestamps, which are checked here."""

    def read() -> list[dict[str, Any]]:
        found = [json.loads(line) for line in written().splitlines()]
        assert all(TIMESTAMP.fullmatch(event.pop("timestamp")) for event in found)
        return found

    return read


def test_a_line_is_one_json_object_with_the_shared_keys_first(written: Callable[[], str]) -> None:
    logs.configure("json", "INFO")
    log.info(Event.WEBHOOK_ACCEPTED, scope="a", webhook_id="msg_1", text="a\nb ü", order_id=250, store="abc")

    line = written()
    assert line.count("\n") == 1
    timestamp, *rest = json.loads(line).items()
    assert timestamp[0] == "timestamp"
    assert rest == [
        ("level", "info"),
        ("event", "webhook_accepted"),
        ("store", "abc"),
        ("order_id", 250),
        ("webhook_id", "msg_1"),
        ("scope", "a"),
        ("text", "a\nb ü"),
    ]


def test_the_timestamp_is_now_in_utc(written: Callable[[], str]) -> None:
    logs.configure("json", "INFO")
    before = datetime.now(UTC)
    log.info(Event.WORKER_STARTED)

    stamp = datetime.fromisoformat(json.loads(written())["timestamp"])
    assert before.replace(microsecond=before.microsecond // 1000 * 1000) <= stamp <= datetime.now(UTC)


def test_a_whole_second_has_its_milliseconds_too(written: Callable[[], str], monkeypatch: pytest.MonkeyPatch) -> None:
    class OnTheSecond(datetime):
        @classmethod
        def now(cls, tz: Any = None) -> "OnTheSecond":
            return cls(2026, 1, 10, 21, 5, 30, 0, tz)

    monkeypatch.setattr(logs, "datetime", OnTheSecond)
    logs.configure("json", "INFO")
    log.info(Event.WORKER_STARTED)

    assert json.loads(written())["timestamp"] == "2026-01-10T21:05:30.000Z"


def test_lines_of_libraries_and_of_the_web_server_have_the_same_form(events: Events) -> None:
    logs.configure("json", "INFO")
    library.warning("lost %s of %d", "one", 2, extra={"pool": 7})
    logging.getLogger("uvicorn.error").error("no port", extra={"color_message": "\033[1mno port"})

    assert events() == [
        {"level": "warning", "event": "lost one of 2", "pool": 7},
        {"level": "error", "event": "no port"},
    ]


def test_requests_of_the_http_library_are_not_logged(events: Events) -> None:
    logs.configure("json", "DEBUG")
    with httpx.Client(transport=httpx.MockTransport(lambda _: httpx.Response(200))) as client:
        client.get("https://api.test/stores/abc123?secret=1")

    assert events() == []


def test_retries_of_the_retry_library_are_not_logged(events: Events) -> None:
    @stamina.retry(on=ZeroDivisionError, attempts=2, wait_initial=0, wait_jitter=0)
    def fail() -> float:
        return 1 / 0

    logs.configure("json", "DEBUG")
    with pytest.raises(ZeroDivisionError):
        fail()

    assert events() == []


def test_events_below_the_level_are_not_written(events: Events) -> None:
    logs.configure("json", "WARNING")
    for write in (log.info, log.warning, library.info, library.warning):
        write("a")

    assert events() == [{"level": "warning", "event": "a"}] * 2


@pytest.mark.parametrize("logger", [log, library])
def test_an_exception_is_one_line(events: Events, logger: Any) -> None:
    logs.configure("json", "INFO")
    try:
        int("x")
    except ValueError:
        logger.exception("internal_error")

    (event,) = events()
    trace = event.pop("exception").splitlines()
    assert event == {"level": "error", "event": "internal_error"}
    assert trace[0] == "Traceback (most recent call last):"
    assert trace[-1] == "ValueError: invalid literal for int() with base 10: 'x'"


def test_bound_keys_are_on_every_line(events: Events) -> None:
    logs.configure("json", "INFO")
    with structlog.contextvars.bound_contextvars(store="abc", order_id=250):
        log.info("a")
        library.info("b")
    library.info("c")

    assert events() == [
        {"level": "info", "event": "a", "store": "abc", "order_id": 250},
        {"level": "info", "event": "b", "store": "abc", "order_id": 250},
        {"level": "info", "event": "c"},
    ]


def test_a_secret_is_masked_and_a_value_that_json_lacks_is_text(events: Events) -> None:
    logs.configure("json", "INFO")
    log.info("a", token=SecretStr("hunter2"), error=OSError("gone"))

    assert events() == [{"level": "info", "event": "a", "token": "**********", "error": "gone"}]


def test_configuring_again_does_not_write_lines_twice(events: Events) -> None:
    logs.configure("json", "INFO")
    structlog.contextvars.bind_contextvars(store="abc")
    logs.configure("json", "INFO")
    log.info("a")
    library.info("b")

    assert events() == [{"level": "info", "event": "a"}, {"level": "info", "event": "b"}]


def test_in_a_pipe_the_console_format_is_text_without_colours(written: Callable[[], str]) -> None:
    logs.configure("console", "INFO")
    log.info(Event.WEBHOOK_ACCEPTED, store="abc", order_id=250)
    logging.getLogger("uvicorn.error").error("no port", extra={"color_message": "\033[1mno port"})

    lines = [line.split() for line in written().splitlines()]
    assert all(TIMESTAMP.fullmatch(line.pop(0)) for line in lines)
    assert lines == [
        ["[info", "]", "webhook_accepted", "order_id=250", "store=abc"],
        ["[error", "]", "no", "port"],
    ]


class Unprintable:
    def __str__(self) -> str:
        raise ValueError

    __repr__ = __str__


def test_a_value_that_cannot_be_printed_is_named_by_its_class(events: Events) -> None:
    logs.configure("json", "INFO")
    log.info("a", order_id=250, value=Unprintable())
    assert events() == [{"level": "info", "event": "a", "order_id": 250, "value": "<Unprintable>"}]


def test_an_event_that_cannot_be_rendered_is_a_line_with_the_shared_keys(events: Events) -> None:
    circular: dict[str, Any] = {}
    circular["self"] = circular
    logs.configure("json", "INFO")
    log.info("a", order_id=250, value=circular)
    log.info("b", value={(1, 2): 3})
    log.info(["not", "hashable"])
    library.warning("%d of %d", 1)

    problem = "this line cannot be rendered: "
    assert events() == [
        {"level": "info", "event": "a", "order_id": "250", "error": problem + "ValueError"},
        {"level": "info", "event": "b", "error": problem + "TypeError"},
        {"level": "info", "event": "['not', 'hashable']", "error": problem + "TypeError"},
        {"level": "warning", "event": "%d of %d", "error": problem + "TypeError"},
    ]


def test_on_the_console_too_logging_never_raises(written: Callable[[], str]) -> None:
    logs.configure("console", "INFO")
    log.info("a", value=Unprintable())
    library.warning("b %s", Unprintable())
    assert [json.loads(line)["event"] for line in written().splitlines()] == ["a", "b %s"]


def test_a_stream_that_fails_is_ignored() -> None:
    stream = io.StringIO()
    logs.configure("json", "INFO", stream=stream)
    stream.close()
    log.info("a")
    library.info("b")


def test_only_the_lines_of_orders_that_end_or_wait_are_canonical(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    marked: dict[str, bool] = {}

    def write(_: LogWriter, line: str, *, canonical: bool = False) -> None:
        marked[json.loads(line)["event"]] = canonical

    monkeypatch.setattr(LogWriter, "write", write)
    with (tmp_path / "log").open("w") as stream:
        logs.configure("json", "INFO", stream=stream)
    for event in Event:
        log.info(event)
    library.info("order_enriched by somebody else")
    assert {event for event, canonical in marked.items() if canonical} == {
        "order_enriched",
        "order_skipped",
        "order_failed",
        "order_waiting",
        "order_held",
        "order_incomplete",
    }
    assert len(marked) == len(Event) + 1


@pytest.mark.parametrize("log_format", ["json", "console"])
def test_an_exception_does_not_show_the_values_of_variables(
    written: Callable[[], str], log_format: Literal["json", "console"]
) -> None:
    logs.configure(log_format, "INFO")
    token = "".join(("hunter", "2"))
    try:
        int(token.removesuffix("2").removeprefix("hunter"))
    except ValueError:
        log.exception(Event.INTERNAL_ERROR)

    text = written()
    assert "ValueError: invalid literal" in text
    assert "hunter2" not in text


def test_event_names_have_one_style() -> None:
    assert [event for event in Event if not re.fullmatch(r"[a-z0-9]+(_[a-z0-9]+)*", event)] == []
    assert [event for event in Event if event.name.lower() != event.value] == []


PROGRAM = """
import logging, structlog, sys
from service import logs
logs.configure("json", "INFO")
for line in sys.stdin:
    structlog.get_logger().info(logs.Event.WORKER_STARTED, name="Büro 🛒 and half of \\ud83d")
    logging.getLogger("some.library").info("hello")
sys.stderr.write("done")
"""


def run_program(*, close_stdout: bool) -> tuple[str, str]:
    with subprocess.Popen(
        [sys.executable, "-c", PROGRAM],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        encoding="utf-8",
        env=os.environ | {"PYTHONIOENCODING": "ascii"},
    ) as process:
        assert process.stdout
        if close_stdout:
            process.stdout.close()
            process.stdout = None
        return process.communicate("\n", timeout=50)


@pytest.mark.integration
def test_a_process_writes_any_characters_to_stdout() -> None:
    stdout, stderr = run_program(close_stdout=False)
    found = [json.loads(line) for line in stdout.splitlines()]
    assert all(TIMESTAMP.fullmatch(event.pop("timestamp")) for event in found)
    assert found == [
        {"level": "info", "event": "worker_started", "name": "Büro 🛒 and half of \ud83d"},
        {"level": "info", "event": "hello"},
    ]
    assert stderr == "done"


@pytest.mark.integration
def test_a_reader_that_goes_away_is_ignored_quietly() -> None:
    assert run_program(close_stdout=True)[1] == "done"
