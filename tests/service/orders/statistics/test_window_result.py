"""Whether an order made its window, and why not."""

from collections.abc import Callable
from dataclasses import replace

import pytest

from service.orders.state.order_entry import Entry, Sent, Stage, Status
from service.orders.statistics import window_result as reasons
from service.orders.statistics.window_result import judge_window
from tests.fakes.pages import OPERATIONS, names

CREATED = 1_768_078_800.0


def at(**ages: float) -> dict[Stage, float]:
    """Stage times by the order's age in seconds."""
    return {Stage.CREATED: CREATED, **{Stage(name): CREATED + age for name, age in ages.items()}}


def updated(**changes: object) -> Entry:
    """An order whose webhook and worker were in time, and which an Update has written after 12 s."""
    entry = Entry(
        "abc123",
        250,
        status=Status.UPDATED,
        source="webhook",
        announced_at=CREATED + 1,
        sent=Sent("update", "PO1", {}, answered=True),
        times=at(webhook_sent=1, received=1.2, queued=1.2, picked_up=1.3, read=11, sent=12, answered=12.5),
    )
    return replace(entry, **changes)  # type: ignore[arg-type]


def created(age: float = 2.0, **changes: object) -> Entry:
    return updated(status=Status.CREATED, create_age=age, sent=Sent("create", "PO1", {}, answered=True), **changes)


@pytest.mark.parametrize(
    ("entry", "result"),
    [
        (created(), "made"),
        (created(9.99), "made"),
        (created(10.0), "missed"),
        (created(source="reconcile"), "made"),
        (updated(), "missed"),
        (updated(status=Status.UNCHANGED), "not_counted"),
        (updated(status=Status.SKIPPED), "not_counted"),
        (updated(status=Status.FAILED), "not_counted"),
        (updated(window_opened_at=CREATED), "not_counted"),
        (updated(source="retry"), "not_counted"),
        (updated(source="backfill"), "not_counted"),
        (updated(source="metafield", follows=True), "not_counted"),
        (updated(waited=True), "not_counted"),
        (updated(awaits_record=True), "merged"),
    ],
)
def test_only_orders_that_raced_made_or_missed_their_window(entry: Entry, result: str) -> None:
    assert judge_window(entry, merges=False)[0] == result


def test_an_order_of_a_store_that_merges_does_not_race() -> None:
    assert judge_window(created(), merges=True) == ("merged", None)


def later(stage: Stage) -> Callable[[Entry], Entry]:
    """The stage, and those after it, 10 s later."""
    after = list(Stage)[list(Stage).index(stage) :]
    return lambda entry: replace(
        entry, times={each: time + (10 if each in after else 0) for each, time in entry.times.items()}
    )


@pytest.mark.parametrize(
    ("entry", "reason"),
    [
        (later(Stage.WEBHOOK_SENT)(updated(announced_at=CREATED + 11)), reasons.WEBHOOK_LATE),
        (later(Stage.RECEIVED)(updated()), reasons.WEBHOOK_LATE),
        (later(Stage.QUEUED)(updated(source="reconcile")), reasons.NO_WEBHOOK),
        (later(Stage.PICKED_UP)(updated()), reasons.NO_WORKER),
        (updated(trouble="BigCommerce refuses the store's credentials"), reasons.CREDENTIALS),
        (updated(create_age=3.0), reasons.RECORD_THERE),
        (updated(trouble="Create an Order: the store's quota is spent for now"), reasons.QUOTA),
        (updated(trouble="Get an Order: HTTP 500"), reasons.UPSTREAM),
        (updated(), "slow: read"),
        (created(10.4, times=at(received=1, queued=1, picked_up=1, read=2, sent=10.4)), "slow: sent"),
    ],
)
def test_the_first_thing_that_took_the_window_is_the_reason(entry: Entry, reason: str) -> None:
    assert judge_window(entry, merges=False) == ("missed", reason)


def test_the_runbook_explains_every_reason() -> None:
    listed = {names(row[0])[0] for row in OPERATIONS.rows("reason of a missed window")}
    constants = {value for name, value in vars(reasons).items() if name[0].isupper() and isinstance(value, str)}
    assert constants == listed - {"slow: read"}
