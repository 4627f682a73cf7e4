"""What a finished order adds to its store's statistics: names of counters, each raised by one. Pure.

``standing`` counters say how the order stands now: the script takes back what it added when the order was finished
before. ``once`` counters are about its window, and are added only when it is first finished.

Names, short because each day of a store has them (about 12 bytes a counter):

    o:created      orders by outcome            d:12    webhooks' delay, by bucket of ``AGES``
    v:yes          verified or not              a:12    age at Create, by bucket of ``AGES``
    r:failed:…     outcomes by reason           g:12    age at the write of stores that merge, by bucket of ``AGES``
    w:made         results of the window        s:read:4  step to a stage, by bucket of ``STAGES``
    l:quota        missed windows by reason     c:storefront  records that our Create made over the storefront API
"""

from collections.abc import Iterator
from datetime import UTC, datetime
from itertools import pairwise

from service.orders.state.order_entry import Entry, Stage, Status
from service.orders.state.per_store.counters import HOUR_S, OrderCounters, Period, day_of, hour_of
from service.orders.statistics.histogram import AGES, STAGES
from service.orders.statistics.window_result import judge_window

KEEP_DAYS_S = 400 * 86_400
"""A month can be compared with that of the year before."""
KEEP_HOURS_S = 72 * HOUR_S

OLDEST_S = 30 * 86_400
"""Older orders are not counted: the ledger has forgotten whether they were counted before."""

REASON_BYTES_MAX = 48
"""A counter's name of more than 64 bytes would cost the whole day its compact form in Redis."""


def count_finished(entry: Entry, *, merges: bool, now: float) -> OrderCounters | None:
    """Judge the order's window if that was not done yet, and what it adds to the statistics; None: nothing.

    ``merges``: its store lets the platform make the record first. ``now`` is in seconds since the epoch.
    """
    if entry.window_result is None:
        entry.window_result, entry.missed_reason = judge_window(entry, merges=merges)
    placed_at = min(entry.made_at or entry.times.get(Stage.CREATED, now), now)
    if now - placed_at > OLDEST_S:
        return None
    placed = datetime.fromtimestamp(placed_at, UTC)
    periods = [Period(day_of(placed), int(placed_at) + KEEP_DAYS_S)]
    if now - placed_at < KEEP_HOURS_S:
        periods.append(Period(hour_of(placed), int(placed_at) + KEEP_HOURS_S))
    return OrderCounters(tuple(periods), tuple(_standing(entry)), tuple(_once(entry)))


def _standing(entry: Entry) -> Iterator[str]:
    yield f"o:{entry.status.value}"
    if entry.status in (Status.FAILED, Status.SKIPPED) and entry.reason:
        text = " ".join(entry.reason.split()).encode(errors="replace")[:REASON_BYTES_MAX].decode(errors="ignore")
        yield f"r:{entry.status.value}:{text}"
    if entry.verified is not None and entry.status.is_written:
        yield f"v:{'yes' if entry.verified else 'no'}"


def _once(entry: Entry) -> Iterator[str]:
    result = entry.window_result
    yield f"w:{result}"
    if result == "not_counted":
        return
    if result == "missed":
        yield f"l:{entry.missed_reason}"
    if entry.over_storefront:
        yield "c:storefront"
    # A Create that was sent long after the window on purpose says nothing about it.
    if entry.create_age is not None and not entry.late_creates:
        yield f"a:{AGES.bucket(entry.create_age)}"
    delay = entry.age_at(Stage.RECEIVED)
    if entry.source == "webhook" and delay is not None:
        yield f"d:{AGES.bucket(delay)}"
    written = entry.age_at(Stage.ANSWERED)
    if result == "merged" and written is not None:
        yield f"g:{AGES.bucket(written)}"
    ages = [(stage, age) for stage in Stage if (age := entry.age_at(stage)) is not None]
    for (_, before), (stage, at) in pairwise(ages):
        yield f"s:{stage.value}:{STAGES.bucket(at - before)}"
