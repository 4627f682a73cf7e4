"""Finishing and parking orders, and opening a store's breaker: each is stored, logged and counted."""

import structlog

from service.configuration import ConfiguredStore
from service.errors import CredentialsRefused
from service.logs import Event
from service.orders.create_window import WINDOW_LENGTH_S
from service.orders.facts.learning import learn_from_finished
from service.orders.state.order_entry import Entry, Stage, Status
from service.orders.state.queue import BACKFILL
from service.orders.state.worklists.changed_orders import Change
from service.orders.state.worklists.skipped_orders import first_check_in
from service.orders.statistics.counting import count_finished
from workers.backoff import retry_redis
from workers.orders.buyers.buyer_activity import note_active_buyer
from workers.orders.order_log import log_finished
from workers.orders.result_types import Finished
from workers.resources import Resources

log = structlog.get_logger()

# From writing to re-verification. Anything from 20 to 60 s is good; one call re-verifies many orders.
REVERIFY_AFTER_S = 45.0
REVERIFY_MERGED_AFTER_S = 60.0

FIRST_SOURCES = ("webhook", "reconcile", BACKFILL)
"""What tells of an order that is new here; any other source ends an order again."""

KEPT_S = 30 * 86_400.0
"""The ledger keeps entries for so long."""


async def finish(resources: Resources, entry: Entry, finished: Finished) -> None:
    """Finish the order: store its outcome, log the canonical line, and schedule re-verification of what we wrote."""
    entry.status, entry.reason, entry.verified = finished.status, finished.reason, finished.verified
    entry.replace_used = entry.by_hand_used  # whatever came of it: somebody must ask again
    later = REVERIFY_MERGED_AFTER_S if entry.awaits_record else REVERIFY_AFTER_S
    reverify_in = later if entry.status.is_written else None
    created = entry.times.get(Stage.CREATED)
    age_s = resources.transport.upstream_clock.now() - created if created is not None else 0.0
    is_counted, entry.window_counted = entry.window_counted, entry.window_counted or _concerns_window(entry)
    configured = resources.configuration.stores.get(entry.store)
    check_skipped_in = first_check_in(entry, age_s, follow_s=configured.store.follow_s if configured else 0.0)
    merges = configured is not None and configured.store.strategy == "merge"
    counters = count_finished(entry, merges=merges, now=resources.transport.upstream_clock.now())
    # If only the answer got lost, the order is finished and no later attempt would log it.
    is_finished = await retry_redis(
        lambda: resources.transitions.finish(
            entry, reverify_in=reverify_in, check_skipped_in=check_skipped_in, counters=counters
        )
    )
    if not is_finished:
        entry.window_counted = is_counted
        return
    await _mark_for_record(resources, entry, configured)
    log_finished(entry)
    _count(resources, entry)
    if not is_counted:
        _count_window(resources, entry)
    if entry.source in FIRST_SOURCES:
        await note_active_buyer(resources, entry, configured)
    _note_rule_values(resources, entry, configured)
    await learn_from_finished(resources.facts, entry)


async def _mark_for_record(resources: Resources, entry: Entry, configured: ConfiguredStore | None) -> None:
    """Have the record read for rules that name it: before our write, it could not be waited for."""
    if configured is None or not configured.rules.needs.record or entry.follows:
        return
    if entry.status.is_written or entry.status is Status.UNCHANGED or entry.reason == "no_values":
        await retry_redis(lambda: resources.changed.mark(entry.store, entry.order_id, Change.RECORD, follow_s=KEPT_S))


def _note_rule_values(resources: Resources, entry: Entry, configured: ConfiguredStore | None) -> None:
    was_evaluated = entry.status is not Status.SKIPPED or entry.reason == "no_values"
    if configured is None or not was_evaluated or entry.rules_version != configured.rules.version:
        return
    sources = {rule.name: len(rule.search.expressions) for rule in configured.rules.rules}
    found = [name for name, (_, place) in entry.given.items() if place < sources.get(name, 0)]
    is_first = entry.source in FIRST_SOURCES
    resources.rule_values.note(entry.store, configured.rules.fingerprints, found, is_first=is_first)


def _count(resources: Resources, entry: Entry) -> None:
    metrics = resources.metrics
    metrics.orders.labels(entry.store, entry.status.value).inc()
    # Where it is not known for sure when an order was made, its first step is of unknown length.
    is_inferred = entry.window_opened_at is not None
    stages = [stage for stage in Stage if not (is_inferred and stage is Stage.CREATED)]
    ages = [(stage.value, entry.age_at(stage)) for stage in stages]
    metrics.stages((stage, age) for stage, age in ages if age is not None)
    if resources.tracer:
        resources.tracer.trace_finished(entry)


def _concerns_window(entry: Entry) -> bool:
    return entry.create_age is not None or entry.made_window is not None


def _count_window(resources: Resources, entry: Entry) -> None:
    """Once an order: a later change ends it again, and says nothing about its window."""
    metrics, age = resources.metrics, entry.create_age
    if entry.made_window is not None:
        metrics.window_orders.labels(entry.store, "true" if entry.made_window else "false").inc()
    if entry.via is not None:
        metrics.creates.labels(entry.store, entry.via).inc()
    # A window that is only inferred, and a Create that was sent long after it on purpose, say nothing about the window.
    if age is not None and entry.window_opened_at is None and not entry.late_creates:
        metrics.create_age.observe(age)
        metrics.create_margin.observe(WINDOW_LENGTH_S - age)


async def park(resources: Resources, entry: Entry) -> bool:
    """Park the order until the store's credentials are accepted. False if they are accepted already."""
    entry.trouble = "BigCommerce refuses the store's credentials"
    if not await resources.transitions.park(entry):
        return False
    log.info(Event.ORDER_PARKED)
    return True


async def open_breaker(resources: Resources, store: str, refused: CredentialsRefused) -> None:
    """Stop calls for a store whose credentials BigCommerce refuses, and log that once."""
    if await resources.breaker.open(store):
        log.error(Event.CREDENTIALS_REFUSED, store=store, operation=refused.operation, status=refused.status)
