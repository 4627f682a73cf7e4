"""What to do about an order that B2B Edition has no record of, once its window has closed.

Mostly B2B Edition makes the record by itself, about ten seconds after the order. But orders that are made by API may
never get one, and then a Create is reported to be taken at any age. So the record is looked for again and again, and
once it is clear that it does not come, Create is sent. Where the platform refuses that, it answers as if the record
existed.
"""

from service.orders.facts.fact import StoreFacts
from service.orders.state.order_entry import Entry, Stage, Status
from service.orders.state.per_store.store_history import StoreHistory
from service.orders.state.queue import BACKFILL
from service.orders.state.worklists.skipped_orders import COMPANY_USER
from workers.orders.result_types import Finished, RetryLater

MAX_RECORD_DELAY_S = 3600.0
"""B2B Edition makes records by itself, late when it is slow or down. After an hour it does not make one any more."""

FRESH_S = 60.0
"""By then B2B Edition has usually made the record."""

FIRST_CHECK_AGE_S = 15.0
"""The platform's own record comes about ten seconds after the order: before this age, none being there says nothing."""

CHECK_AGAIN_AFTER_S = 2.0
"""Then the record is looked for once more, just before the Create: reads may lag behind writes."""

CERTAIN_AGE_S = 120.0
"""From this age on the platform is not merely late. Before it, the record of a later order must be there."""

LATER_RECORD_CHECK_S = 30.0
"""Until then, how often both are looked for."""

LATE_CREATE_INTERVAL_S = 600.0
"""From one late Create of an order to the next."""

MAX_LATE_CREATES = 3
"""A platform that has refused so many late Creates of an order takes none."""

# How many seconds after queueing an old order its record is still waited for, by source. Only an assignment to a
# Company makes a record for an old order. Other sources have no limit here: recovery gives up after 48 hours.
_WAIT_S = {BACKFILL: 0.0, "retry": 0.0, "assign": 30.0, "reassign": 30.0}


def may_still_come(entry: Entry, *, order_age_s: float, now: float) -> bool:
    """Whether B2B Edition may still make the record. ``now`` is on our clock, the age on BigCommerce's."""
    queued_s = now - entry.times.get(Stage.QUEUED, 0.0)
    if entry.source == COMPANY_USER:  # a shopper's order, of which B2B Edition may never make a Company's record
        return order_age_s <= FRESH_S or queued_s < _WAIT_S["assign"]
    wait_s = _WAIT_S.get(entry.source or "")
    if wait_s is None or order_age_s <= MAX_RECORD_DELAY_S:
        return True
    return queued_s < wait_s


async def before_late_create(
    entry: Entry, history: StoreHistory, facts: StoreFacts, *, order_age_s: float, now: float
) -> RetryLater | Finished | None:
    """What comes before a Create after the window; None if it may be sent now.

    To be asked only when B2B Edition itself has just answered that it has no record. ``now`` is on our clock, the age
    on BigCommerce's. What is known of the store may ask for more patience, never for less.
    """
    first_check_age_s = max(FIRST_CHECK_AGE_S, facts.own_record_by_s)
    is_too_soon = now - (entry.late_create_at or 0.0) < LATE_CREATE_INTERVAL_S
    if entry.late_creates and (entry.late_creates >= MAX_LATE_CREATES or is_too_soon):
        return _after_late_create(entry, order_age_s=order_age_s, now=now)
    if order_age_s < first_check_age_s:
        return record_missing(first_check_age_s - order_age_s)
    if entry.missing_since is None:
        entry.missing_since = now
        return record_missing(CHECK_AGAIN_AFTER_S)
    if _WAIT_S.get(entry.source or "") and may_still_come(entry, order_age_s=order_age_s, now=now):
        return record_missing()  # the assignment is making it
    if order_age_s < CERTAIN_AGE_S and not await history.has_later_record(entry.store, entry.order_id):
        return record_missing(min(CERTAIN_AGE_S - order_age_s, LATER_RECORD_CHECK_S))
    return None


def note_late_create(entry: Entry, *, now: float) -> None:
    """Count a Create that is about to be sent after the window."""
    entry.late_creates, entry.late_create_at = entry.late_creates + 1, now


def record_missing(seconds: float | None = None) -> RetryLater:
    """The record is looked for again in so many seconds, or with exponential backoff."""
    return RetryLater("B2B Edition has no record of the order yet", seconds)


def _after_late_create(entry: Entry, *, order_age_s: float, now: float) -> RetryLater | Finished:
    """After a Create that made no record: wait for the platform's own, as long as it may come."""
    is_unsure = entry.sent is not None and not entry.exists
    has_tries_left = entry.late_creates < MAX_LATE_CREATES
    is_too_old = order_age_s > MAX_RECORD_DELAY_S
    if is_unsure or not is_too_old or (has_tries_left and may_still_come(entry, order_age_s=order_age_s, now=now)):
        return record_missing()
    assign = f"enrich orders assign --customer {entry.customer_id}"
    return Finished(
        Status.FAILED, f"B2B Edition has no record of this order; if its buyer joined the Company later: `{assign}`"
    )
