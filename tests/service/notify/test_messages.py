"""What messages say, of which stores, and where their links lead."""

import pytest

from service.notify.alert_state import Change
from service.notify.alerts import AlertKind
from service.notify.messages import MAX_TEXT, Changed, Message, a_test_message, messages_for, plain
from tests.fakes.notify.messages import a_table
from tests.fakes.webhooks import a_store

LINK = "https://enrich.example.com/console"
SLACK = "https://hooks.slack.com/services/T/B/x"
NOW = 1_768_078_800.0


def began(kind: AlertKind, store: str | None, summary: str = "It is so.") -> Changed:
    return Changed(kind, store, Change.BEGAN, NOW - 300, summary)


def ended(kind: AlertKind, store: str | None) -> Changed:
    return Changed(kind, store, Change.ENDED, NOW - 3600, "")


def words(*changes: Changed, link: str | None = LINK) -> list[Message]:
    stores = {"abc123": a_store(name="Great Buys"), **{f"s{n}": a_store(f"s{n}") for n in range(30)}}
    return messages_for(changes, stores, a_table(slack=SLACK, link=link), now=NOW)


def test_a_message_says_what_where_since_when_and_what_to_do() -> None:
    (message,) = words(began(AlertKind.FAILED_ORDERS_WAIT, "abc123", "3 failed orders wait."))
    assert message.headline == "WARNING: Failed orders wait for a person: Great Buys (abc123)"
    assert message.lines == [
        "Great Buys (abc123): 3 failed orders wait.",
        "Since 2026-01-10 20:55 UTC.",
        "What to do: Fix the cause, then retry them: enrich orders list --status failed shows them with their reasons.",
    ]
    assert message.link == f"{LINK}/failures?store=abc123"


def test_its_end_says_from_when_to_when() -> None:
    (message,) = words(ended(AlertKind.HOOK_DOWN, "abc123"))
    assert message.headline == "OVER: The webhooks work again: Great Buys (abc123)"
    assert message.lines == ["Great Buys (abc123)", "From 2026-01-10 20:00 UTC to 2026-01-10 21:00 UTC."]


def test_stores_with_the_same_alert_share_one_message() -> None:
    changes = [began(AlertKind.POLLING_ON, f"s{n}") for n in range(30)]
    (message,) = words(*changes)
    assert message.headline == "WARNING: Webhooks do not come, or come late: 30 stores"
    assert [about.store for about in message.stores] == [f"s{n}" for n in range(10)]
    assert message.lines[10] == "… and 20 more."
    assert message.link == f"{LINK}/"


def test_other_alerts_and_ends_are_messages_of_their_own() -> None:
    messages = words(
        began(AlertKind.POLLING_ON, "s1"), ended(AlertKind.POLLING_ON, "s2"), began(AlertKind.HOOK_DOWN, "s1")
    )
    assert [(message.alert, message.event) for message in messages] == [
        ("PollingOn", "began"),
        ("PollingOn", "ended"),
        ("HookDown", "began"),
    ]
    assert len({message.id for message in messages}) == 3


@pytest.mark.parametrize(
    ("kind", "store", "link"),
    [
        (AlertKind.FAILED_ORDERS_WAIT, "abc123", "/failures?store=abc123"),
        (AlertKind.HOOK_DOWN, "abc123", "/stores/abc123"),
        (AlertKind.NO_WORKER, None, "/"),
    ],
)
def test_the_link_leads_to_the_page_that_helps(kind: AlertKind, store: str | None, link: str) -> None:
    (message,) = words(began(kind, store))
    assert message.link == LINK + link
    assert message.link_is_url


def test_failures_of_several_stores_lead_to_all_failures() -> None:
    (message,) = words(began(AlertKind.FAILED_ORDERS_WAIT, "s1"), began(AlertKind.FAILED_ORDERS_WAIT, "s2"))
    assert message.link == f"{LINK}/failures"


def test_without_a_console_the_link_is_the_paragraph_of_the_runbook() -> None:
    (message,) = words(began(AlertKind.NO_WORKER, None), link=None)
    assert message.link == "deploy/docs/operations.md#no-worker"
    assert not message.link_is_url
    assert message.lines[0] == "It is so."


def test_text_is_one_line_without_characters_that_are_not_seen() -> None:
    assert plain("a\r\nBcc: x\x00\u202eb\u200b c\ud800") == "a Bcc: x b c"
    assert plain("x" * 1000) == "x" * (MAX_TEXT - 1) + "…"
    (message,) = words(began(AlertKind.FAILED_ORDERS_WAIT, "abc123", "a\nb" * 500))
    assert "\n" not in message.stores[0].summary
    assert len(message.stores[0].summary) == MAX_TEXT


def test_a_test_message_needs_nobody() -> None:
    message = a_test_message(a_table(slack=SLACK, stores=["abc123"]), now=NOW)
    assert message.headline == "TEST: Messages of the order enrichment arrive here"
    assert message.lines == [
        "Sent by `enrich notify test`. Alerts about abc123 come the same way. Nothing needs to be done."
    ]
