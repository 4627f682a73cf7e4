"""Whether a missing record is still worth waiting for."""

from service.orders.state.order_entry import Entry, Stage
from service.orders.state.queue import BACKFILL
from service.orders.state.skipped_orders import COMPANY_USER

MAX_RECORD_DELAY_S = 3600.0
"""B2B Edition makes records by itself, late when it is slow or down. After an hour it does not make one any more."""

FRESH_S = 60.0
"""By then B2B Edition has usually made the record."""

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
