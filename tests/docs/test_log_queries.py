"""The queries of the runbook: each jq program runs on lines that the product wrote, and finds what the page says."""

import io
import json
import re
import shlex
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import jq  # type: ignore[import-not-found]
import pytest
import structlog

from service import logs
from service.logs import Event
from service.orders.state.order_entry import Entry, Stage, Status
from service.receiver.authentication import Refusal
from tests.docs.log_table import SHARED, TABLE, Row
from tests.fakes.logs import restore_logging
from tests.fakes.pages import OPERATIONS
from workers.orders.order_log import log_finished, log_retry_later
from workers.orders.result_types import RetryLater

log = structlog.get_logger()

QUERIES = OPERATIONS.section("Queries", 2)
SECTIONS: dict[str, str] = dict(re.findall(r"^### (.*)\n((?:(?!### ).*\n)*)", QUERIES, re.MULTILINE))

DAY = datetime(2026, 1, 10, 21, 5, tzinfo=UTC)

FOUND = {
    "Which orders missed the window": [
        "2026-01-10T21:05:04.000Z\tabc123\t1003\t\t2",
        "2026-01-10T21:05:05.000Z\txyz789\t1003\t4250\t3",
    ],
    "Which orders are still being retried": [
        "2026-01-10T21:05:10.000Z\tabc123\t1008\tGet an Order: 503: down",
        "2026-01-10T21:05:11.000Z\txyz789\t1009\torder_parked",
    ],
    "Which orders failed, and why": ["2\tabc123\tCost Center\t1006", "1\txyz789\tnot_persisted\t1007"],
    "Which stores are near their quota": [
        "2\tabc123\tb2b\t2026-01-10T21:05:13.000Z",
        "1\tabc123\tcore\t2026-01-10T21:05:14.000Z",
    ],
    "Which webhooks were refused, and why": ["2\tabc123\tbad_signature", "1\t-\tunknown_store"],
    "Which webhooks were not queued": ["2026-01-10T21:05\tabc123\t2", "2026-01-10T21:06\tabc123\t1"],
    "How slow are creates, and which was the slowest": [
        "abc123\t3\t900\t2500\t2500\t2500\t1002",
        "xyz789\t1\t700\t700\t700\t700\t1010",
    ],
}
EVERYTHING = "Everything about one order"


class Product:
    """Writes log lines as the product does, one per second."""

    def __init__(self) -> None:
        self.now = DAY
        self.out = io.StringIO()
        logs.configure("json", "DEBUG", stream=self.out)

    def stamp(self, _: object) -> datetime:
        self.now += timedelta(seconds=1)
        return self.now

    def write(self) -> None:
        """Log a day that has something for every query."""
        self.finish("abc123", 1001, Status.CREATED, create_age=0.9)
        self.finish("abc123", 1002, Status.CREATED, create_age=2.5)
        self.retry_later("abc123", 1003)
        self.finish("abc123", 1003, Status.UPDATED, attempts=2)
        self.finish("xyz789", 1003, Status.UPDATED, create_age=4.25, attempts=3)
        self.finish("abc123", 1004, Status.SKIPPED, reason="guest")
        self.finish("abc123", 1005, Status.FAILED, reason="Cost Center")
        self.finish("xyz789", 1007, Status.FAILED, reason="not_persisted")
        self.finish("abc123", 1006, Status.FAILED, reason="Cost Center")
        self.retry_later("abc123", 1008)
        with structlog.contextvars.bound_contextvars(store="xyz789", order_id=1009):
            log.info(Event.ORDER_PARKED)
        for api in ("b2b", "b2b", "core"):
            log.warning(Event.QUOTA_SPENT, store="abc123", api=api, priority="create", resets_in_ms=12_000)
        log.warning(Event.WEBHOOK_REFUSED, reason=Refusal.BAD_SIGNATURE, store="abc123", ms=0.4)
        log.warning(Event.WEBHOOK_REFUSED, reason=Refusal.UNKNOWN_STORE, ms=0.4)
        log.warning(Event.WEBHOOK_REFUSED, reason=Refusal.BAD_SIGNATURE, store="abc123", ms=0.4)
        receiver = log.bind(store="abc123", order_id=1011, webhook_id="msg_1")
        receiver.error(Event.WEBHOOK_NOT_QUEUED, ms=2000.4)
        receiver.error(Event.WEBHOOK_NOT_QUEUED, ms=2000.4)
        self.now = DAY + timedelta(minutes=1)
        receiver.error(Event.WEBHOOK_NOT_QUEUED, ms=2000.4)
        receiver.info(Event.WEBHOOK_ACCEPTED, ms=1.2)
        self.finish("abc123", 1012, Status.CREATED, create_age=0.7)
        self.finish("xyz789", 1010, Status.CREATED, create_age=0.7)

    def finish(self, store: str, order_id: int, status: Status, **known: Any) -> None:
        with structlog.contextvars.bound_contextvars(store=store, order_id=order_id):
            entry = Entry(store, order_id, status=status, ended_at=2.0, **known)
            entry.times = {Stage.QUEUED: 0.5, Stage.PICKED_UP: 1.0}
            log_finished(entry)

    def retry_later(self, store: str, order_id: int) -> None:
        with structlog.contextvars.bound_contextvars(store=store, order_id=order_id):
            log_retry_later(Entry(store, order_id, attempts=1), RetryLater("Get an Order: 503: down"), 2.0)


@pytest.fixture
def text(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """What the product wrote on that day."""
    with restore_logging():
        product = Product()
        monkeypatch.setattr(logs, "datetime", SimpleNamespace(now=product.stamp))
        product.write()
        yield product.out.getvalue()


@pytest.fixture
def lines(text: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in text.splitlines()]


def blocks(language: str, title: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", SECTIONS[title], re.DOTALL | re.MULTILINE)


def run(command: str, lines: list[dict[str, Any]]) -> list[Any]:
    """What jq prints when it is called as on the page."""
    program, options, arguments = None, set(), {}
    words = iter(shlex.split(command.replace("\\\n", "")))
    assert next(words) == "jq"
    for word in words:
        if word in ("--arg", "--argjson"):
            name, value = next(words), next(words)
            arguments[name] = json.loads(value) if word == "--argjson" else value
        elif word.startswith("-"):
            options |= set(word[1:])
        elif program is None:
            program = jq.compile(word, args=arguments)
        else:
            assert word == "today.log"
    assert program is not None
    assert options <= set("rsc"), "what this test understands"
    return list(program.input_value(lines) if "s" in options else program.input_values(lines))


def test_lines_that_the_queries_run_on_are_like_the_log_table(lines: list[dict[str, Any]]) -> None:
    for line in lines:
        row = TABLE[line["event"]]
        assert line["level"] in row.levels
        assert line.keys() - SHARED == row.keys


@pytest.mark.parametrize("title", FOUND)
def test_query_finds_what_it_promises(title: str, lines: list[dict[str, Any]]) -> None:
    (command,) = blocks("sh", title)
    assert run(command, lines) == FOUND[title]


def test_everything_about_an_order_is_all_that_was_logged_about_it(lines: list[dict[str, Any]]) -> None:
    (command,) = blocks("sh", EVERYTHING)
    found = run(command.replace("1002", "1003"), lines[::-1])
    assert found == [line for line in lines if (line.get("store"), line.get("order_id")) == ("abc123", 1003)]
    assert [line["event"] for line in found] == ["order_recovering", "order_enriched"]


def test_queries_find_nothing_in_a_day_without_lines() -> None:
    assert [run(command, []) for title in SECTIONS for command in blocks("sh", title)] == [[]] * len(SECTIONS)


def test_a_day_is_cut_out_of_the_log_by_its_first_letters(text: str) -> None:
    (start,) = re.findall(r'grep "(.*)" >', QUERIES)
    start = start.replace("$(date -u +%F)", "2026-01-10").replace('\\"', '"')
    assert all(re.match(start, line) for line in text.splitlines())
    assert not any(re.match(start.replace("10", "11"), line) for line in text.splitlines())


def test_every_question_has_an_answer_for_each_tool_and_is_tried_here() -> None:
    assert set(SECTIONS) == {*FOUND, EVERYTHING}
    for title in SECTIONS:
        assert all(blocks(tool, title) for tool in ("sh", "logql", "insights")), title
    assert len(re.findall(r"^```\w", QUERIES, re.MULTILINE)) == sum(
        len(blocks(tool, title)) for title in SECTIONS for tool in ("sh", "logql", "insights")
    )


# Words of the language; every other word must be a key of the log, or a name that the query itself defines.
WORDS = {
    "logql": "by sum count_over_time quantile_over_time json unwrap __error__ app",
    "insights": "by fields filter stats sort as asc desc and in count max pct bin @timestamp @message",
}
DURATION = r"\b\d+[smh]\b"


@pytest.mark.parametrize(
    ("tool", "query"),
    [(tool, query) for tool in WORDS for title in SECTIONS for query in blocks(tool, title)],
)
def test_query_names_only_events_and_keys_that_exist(tool: str, query: str) -> None:
    events = set(re.findall(r'\bevent ?= ?"(\w+)"', query))
    assert events <= set(Event)
    if tool == "logql" and events:
        # The line filter, which makes it fast, and what it is for.
        assert set(re.findall(r'\|= "(\w+)"', query)) == events
    rows: list[Row] = [TABLE[event] for event in events] or list(TABLE.values())
    keys = SHARED.union(*(row.keys | row.sometimes for row in rows))
    given = set(re.findall(r"\bas (\w+)", query))
    bare = re.sub(rf'"[^"]*"|{DURATION}', " ", query)
    assert set(re.findall(r"@?[a-zA-Z_]\w*", bare)) <= keys | given | set(WORDS[tool].split())


def test_outcomes_that_queries_ask_for_exist() -> None:
    asked = set(re.findall(r'\boutcome ?=?= ?"(\w+)"', QUERIES))
    assert asked
    assert asked <= set(Status)
