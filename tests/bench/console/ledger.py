"""Fills the ledger with orders that have ended, as thirty days of work leave it: of all outcomes, in all stores."""

import asyncio
import random
import time
from collections.abc import Iterator, Sequence

from redis.asyncio import Redis

from service.orders.state.attempt_notes import AttemptNote
from service.orders.state.order_entry import Entry, Sent, Stage, Status
from service.orders.state.transitions import Transitions
from service.orders.statistics.counting import count_finished
from tests.bench.fake_bigcommerce.fake_store import po_number
from tests.bench.fake_bigcommerce.response_templates import ACCOUNT_FIELD, CUSTOMER_ID

FIRST_ID = 1_000_001
"""The load that comes in meanwhile has lower ids."""

_DAYS = 30
_AT_ONCE = 100
_RULES_VERSION = "bench"

# Per mille of the orders. What is left was created within the window.
_UPDATED, _UNCHANGED, _SKIPPED, _FAILED = 40, 10, 30, 20

_REASONS = (
    "Account No",
    "po_number",
    "B2B Edition refused the order (422): The field Account No is longer than 200 characters",
    "No answer from B2B Edition (503) for 3 h",
)

# When an order reaches each stage, in seconds after it was placed.
_STAGES = {
    Stage.CREATED: 0.0,
    Stage.WEBHOOK_SENT: 0.7,
    Stage.RECEIVED: 0.8,
    Stage.QUEUED: 0.802,
    Stage.PICKED_UP: 0.805,
    Stage.READ: 1.0,
    Stage.SENT: 1.01,
    Stage.ANSWERED: 1.4,
    Stage.VERIFIED: 2.1,
}


async def fill(redis: Redis, stores: Sequence[str], count: int) -> None:
    """Put ``count`` ended orders into the ledger and the statistics, spread over the stores and the last 30 days."""
    waiting = list(_ended(stores, count))
    for begin in range(0, count, _AT_ONCE):
        # In the order of their ages: what is too old when an order ends is removed.
        await asyncio.gather(*(_finish(redis, entry) for entry in waiting[begin : begin + _AT_ONCE]))


async def _finish(redis: Redis, entry: Entry) -> None:
    ended_at = entry.times[Stage.VERIFIED]
    counters = count_finished(entry, merges=False, now=time.time())
    await Transitions(redis, clock=lambda: ended_at).finish(entry, counters=counters)


def _ended(stores: Sequence[str], count: int) -> Iterator[Entry]:
    dice = random.Random(4711)
    now = time.time()
    oldest = now - _DAYS * 86_400 + 3600
    for number in range(count):
        placed_at = oldest + (now - 10 - oldest) * number / count
        # A slow delivery now and then, so that margins and percentiles have something to show.
        slower = dice.choice((1.0, 1.0, 1.0, 1.1, 1.3, 2.0, 4.0))
        yield _entry(stores[number % len(stores)], FIRST_ID + number // len(stores), placed_at, slower, dice)


def _entry(store: str, order_id: int, placed_at: float, slower: float, dice: random.Random) -> Entry:
    times = {stage: placed_at + after * slower for stage, after in _STAGES.items()}
    po, fields = po_number(order_id), {ACCOUNT_FIELD: "ERP-10001"}
    entry = Entry(
        store,
        order_id,
        status=Status.CREATED,
        verified=True,
        po_number=po,
        fields=fields,
        customer_id=CUSTOMER_ID,
        source="webhook",
        webhook_id=f"msg-{store}-{order_id}",
        times=times,
        attempts=1,
        upstream_calls=3,
        sent=Sent("create", po, fields, answered=True),
        written={"po_number": [po], ACCOUNT_FIELD: ["ERP-10001"]},
        create_age=_STAGES[Stage.SENT] * slower,
        given={"po_number": (po, 0), ACCOUNT_FIELD: ("ERP-10001", 0)},
        rules_version=_RULES_VERSION,
        composed=True,
        exists=True,
        window_counted=True,
        history=[
            AttemptNote(1, times[Stage.PICKED_UP], 590, 2, "created"),
            AttemptNote(0, times[Stage.ANSWERED], 700, 1, "verified"),
        ],
    )
    _let_end_otherwise(entry, dice)
    return entry


def _let_end_otherwise(entry: Entry, dice: random.Random) -> None:
    """Give some of the orders another outcome."""
    number = dice.randrange(1000)
    if number < _UPDATED:
        entry.status, entry.sent = Status.UPDATED, Sent("update", entry.po_number, entry.fields, answered=True)
    elif (number := number - _UPDATED) < _UNCHANGED:
        entry.status = Status.UNCHANGED
    elif (number := number - _UNCHANGED) < _SKIPPED:
        entry.status, entry.reason, entry.verified = Status.SKIPPED, "not a Company user", None
    elif number - _SKIPPED < _FAILED:
        entry.status, entry.reason, entry.verified = Status.FAILED, dice.choice(_REASONS), None
    if entry.status in (Status.SKIPPED, Status.FAILED):
        entry.po_number, entry.fields, entry.sent, entry.written, entry.given = None, {}, None, {}, {}
        entry.create_age, entry.exists = None, False
        for stage in (Stage.SENT, Stage.ANSWERED):
            del entry.times[stage]
