"""The log lines of an order, compared as a whole."""

from dataclasses import replace
from typing import Any

import pytest
from structlog.testing import capture_logs

from service.orders.state.order_entry import Entry, Stage, Status
from workers.orders.order_log import log_finished, log_retry_later
from workers.orders.result_types import RetryLater

CREATED = 1_768_078_800.0
"""When the order was created, on BigCommerce's clock, which is 0.25 s ahead of ours."""

ENRICHED = Entry(
    "abc123",
    250,
    status=Status.CREATED,
    verified=True,
    po_number="PO-4711",
    fields={"Source": "web", "Cost Center": "CC-210"},
    skew=0.25,
    attempts=1,
    upstream_calls=4,
    create_age=1.75,
    times={
        Stage.CREATED: CREATED,
        Stage.WEBHOOK_SENT: CREATED + 1,
        Stage.RECEIVED: CREATED + 1.1,
        Stage.QUEUED: CREATED + 1.102,
        Stage.PICKED_UP: CREATED + 1.12,
        Stage.READ: CREATED + 1.4,
        Stage.SENT: CREATED + 1.5,
        Stage.ANSWERED: CREATED + 1.8,
        Stage.VERIFIED: CREATED + 2,
    },
    ended_at=CREATED + 2.001,
)


def line_of(entry: Entry) -> dict[str, Any]:
    with capture_logs() as lines:
        log_finished(entry)
    (line,) = lines
    return dict(line)


def test_an_order_that_waits_for_a_person_logs_the_rule_beside_the_usual_keys() -> None:
    waiting = Entry("abc123", 250, status=Status.WAITING, reason="value", rule="Cost Center", attempts=3)
    assert line_of(waiting) == {
        "log_level": "warning",
        "event": "order_waiting",
        "rule": "Cost Center",
        "outcome": "waiting",
        "verified": None,
        "reason": "value",
        "po_number": None,
        "fields": [],
        "kept": [],
        "age_ms": None,
        "margin_ms": None,
        "in_window": None,
        "via": None,
        "comment_not_kept": False,
        "source": None,
        "attempts": 3,
        "upstream_calls": 0,
        "queue_ms": None,
        "duration_ms": None,
    }


def test_created_order_logs_its_age_and_margin() -> None:
    assert line_of(ENRICHED) == {
        "log_level": "info",
        "event": "order_enriched",
        "outcome": "created",
        "verified": True,
        "reason": None,
        "po_number": "PO-4711",
        "fields": ["Cost Center", "Source"],
        "kept": [],
        "age_ms": 1750,
        "margin_ms": 8250,
        "in_window": True,
        "via": "b2b",
        "comment_not_kept": False,
        "source": None,
        "attempts": 1,
        "upstream_calls": 4,
        "queue_ms": 18,
        "duration_ms": 881,
    }


def test_create_after_the_window_has_a_negative_margin() -> None:
    line = line_of(replace(ENRICHED, create_age=10.04))

    assert (line["age_ms"], line["margin_ms"], line["in_window"]) == (10_040, -40, False)


def test_created_order_whose_age_is_unknown_counts_as_outside_the_window() -> None:
    assert line_of(replace(ENRICHED, create_age=None))["in_window"] is False


def test_in_window_is_unknown_where_the_date_does_not_say_when_the_order_was_made() -> None:
    assert line_of(replace(ENRICHED, window_opened_at=1_768_078_800.0))["in_window"] is None


def test_updated_order_logs_the_age_of_its_create_not_of_the_update() -> None:
    times = {**ENRICHED.times, Stage.SENT: CREATED + 20}
    updated = replace(ENRICHED, status=Status.UPDATED, times=times, kept=["po_number"], attempts=3)

    assert line_of(updated) == {
        **line_of(ENRICHED),
        "outcome": "updated",
        "in_window": None,
        "via": None,
        "comment_not_kept": False,
        "kept": ["po_number"],
        "attempts": 3,
    }


@pytest.mark.parametrize("status", [Status.UNCHANGED, Status.UPDATED])
def test_order_without_create_has_no_age_and_margin(status: Status) -> None:
    without = replace(ENRICHED, status=status, create_age=None)

    assert line_of(without) == {
        **line_of(ENRICHED),
        "outcome": status.value,
        "in_window": None,
        "via": None,
        "comment_not_kept": False,
        "age_ms": None,
        "margin_ms": None,
    }


def test_skipped_order_logs_the_reason() -> None:
    skipped = Entry(
        "abc123",
        250,
        status=Status.SKIPPED,
        reason="guest",
        attempts=1,
        upstream_calls=1,
        times={Stage.CREATED: CREATED, Stage.QUEUED: CREATED + 1, Stage.PICKED_UP: CREATED + 1.5},
        ended_at=CREATED + 1.75,
    )
    assert line_of(skipped) == {
        "log_level": "info",
        "event": "order_skipped",
        "outcome": "skipped",
        "verified": None,
        "reason": "guest",
        "po_number": None,
        "fields": [],
        "kept": [],
        "age_ms": None,
        "margin_ms": None,
        "in_window": None,
        "via": None,
        "comment_not_kept": False,
        "source": None,
        "attempts": 1,
        "upstream_calls": 1,
        "queue_ms": 500,
        "duration_ms": 250,
    }


def test_failed_order_is_an_error() -> None:
    failed = Entry(
        "abc123",
        250,
        status=Status.FAILED,
        reason="Cost Center",
        attempts=2,
        upstream_calls=3,
        times={Stage.PICKED_UP: CREATED + 1.5},
        ended_at=CREATED + 1.75,
    )
    assert line_of(failed) == {
        "log_level": "error",
        "event": "order_failed",
        "outcome": "failed",
        "verified": None,
        "reason": "Cost Center",
        "po_number": None,
        "fields": [],
        "kept": [],
        "age_ms": None,
        "margin_ms": None,
        "in_window": None,
        "via": None,
        "comment_not_kept": False,
        "source": None,
        "attempts": 2,
        "upstream_calls": 3,
        "queue_ms": None,
        "duration_ms": 250,
    }


@pytest.mark.parametrize("secret", ["CC-210", "web"])
def test_field_values_are_not_logged(secret: str) -> None:
    assert secret not in str(line_of(ENRICHED))


def test_retried_order_logs_why_and_when() -> None:
    entry = Entry("abc123", 250, attempts=2)
    with capture_logs() as lines:
        log_retry_later(entry, RetryLater("Create an Order: 503: down"), 1.2344)

    assert lines == [
        {
            "log_level": "info",
            "event": "order_recovering",
            "trouble": "Create an Order: 503: down",
            "retry_in_ms": 1234,
            "attempts": 2,
        }
    ]


def test_a_held_order_is_no_warning_and_says_what_would_be_sent() -> None:
    line = line_of(Entry("abc123", 250, status=Status.WAITING, reason="writes_off", po_number="A-1", fields={"F": "x"}))

    assert (line["log_level"], line["event"], line["po_number"], line["fields"]) == ("info", "order_held", "A-1", ["F"])
    assert "rule" not in line
