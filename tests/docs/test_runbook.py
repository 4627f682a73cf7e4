"""The runbook: alerts and error events lead to a paragraph, and reasons of refused webhooks are explained."""

import re

from service.notify.alerts import DEFINITIONS
from service.orders.failures.failure_kinds import FailureKind
from service.receiver.authentication import Refusal
from service.receiver.webhook_endpoint import Answer
from tests.chaos.figures import BEGIN, END
from tests.docs.log_table import TABLE
from tests.fakes.pages import OPERATIONS, ROOT, names

# Alerts link to these paragraphs, so their names stay the same.
WHAT_TO_DO = {
    "orders-missing-the-window",
    "failures-waiting",
    "quota-nearly-spent",
    "hook-down-or-polling-on",
    "no-worker",
    "webhooks-refused",
    "redis-lost",
    "credentials-refused",
    "a-fault-of-this-program",
}


def test_paragraphs_of_what_to_do_keep_their_names_and_an_event_links_to_each() -> None:
    assert set(OPERATIONS.anchors) >= WHAT_TO_DO
    assert {link for row in TABLE.values() for link in re.findall(r"\]\(#([^)]+)\)", row.cure)} >= WHAT_TO_DO


def test_every_error_links_to_a_paragraph_of_what_to_do() -> None:
    assert [row.event for row in TABLE.values() if "error" in row.levels and "](#" not in row.cure] == []


def test_every_reason_of_a_refused_webhook_is_explained() -> None:
    rows = re.findall(r"^\| (`[^|]*) \|", OPERATIONS.section("Webhooks refused", 3), re.MULTILINE)
    reasons = {*Refusal, Answer.NOT_A_WEBHOOK, Answer.TOO_LARGE, Answer.TOO_SLOW}
    assert {name for row in rows for name in names(row)} == {reason.value for reason in reasons}


def test_every_alert_that_people_are_told_of_is_explained_with_its_delay() -> None:
    listed = {names(row[0])[0]: row[2] for row in OPERATIONS.rows("alert")}
    units = {1: "1 minute", 0: "at once"}
    expected = {
        kind.value: "30 seconds"
        if alert.for_s == 30
        else units.get(int(alert.for_s / 60), f"{alert.for_s / 60:g} minutes")
        for kind, alert in DEFINITIONS.items()
    }
    assert listed == expected


def test_every_kind_of_failure_has_the_cure_that_pages_and_commands_show() -> None:
    listed = {names(row[0])[0]: row[2] for row in OPERATIONS.rows("kind")}
    assert listed == {kind.name.lower(): kind.cure for kind in FailureKind}


def test_the_table_of_failure_modes_is_where_make_chaos_writes_it() -> None:
    (page,) = re.findall(r"--chaos-table (\S+)", (ROOT / "Makefile").read_text())
    assert ROOT / page == OPERATIONS.path
    section = OPERATIONS.section("Failure modes", 2)
    assert (section.count(BEGIN), section.count(END)) == (1, 1)
