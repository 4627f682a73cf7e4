"""Gauges for Prometheus, read from Redis on each scrape: queues, workers and stores."""

import asyncio
import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace

from arq.constants import in_progress_key_prefix
from prometheus_client import CollectorRegistry, Gauge, generate_latest
from redis.asyncio import Redis
from redis.exceptions import ResponseError

from service.bigcommerce import Api, Budget, BudgetState
from service.hooks import ProblemKind, parse_problems
from service.orders.failures.unmuted_failures import MutedCounts, UnmutedFailures
from service.orders.state import lua
from service.orders.state.clocks import Clock, script_time
from service.orders.state.job_kinds import RECONCILE, RECOVERY, REVERIFY, VERIFY, WINDOW
from service.orders.state.keys import (
    awaiting_value_key,
    failed_key,
    held_key,
    hook_key,
    notify_queue_key,
    parked_key,
    paused_key,
    polling_key,
    rule_values_key,
)
from service.orders.state.per_store.rule_values import parse_rule_counts
from service.orders.state.queue import Queue
from service.redis.reading import pairs, read_together

QUEUES = {
    "window": WINDOW.queue,
    "recovery": RECOVERY.queue,
    "verification": VERIFY.queue,
    "reverification": REVERIFY.queue,
    "periodic": RECONCILE.queue,
}

# At most this many due jobs are searched for one without a lease. Far more than all workers run at the same time.
DUE_SCAN_LIMIT = 500


@dataclass(frozen=True, slots=True)
class QueueState:
    """A queue: all its ``jobs``, and for how long the oldest due job has not been taken by a worker (``overdue_s``)."""

    jobs: int
    overdue_s: float


@dataclass(frozen=True, slots=True)
class StoreState:
    """A store. ``failed`` orders wait for a person, ``parked`` ones until BigCommerce accepts the credentials.

    ``awaits_webhook``: it is polled, but a person has changed its webhooks since, and none was missed after that.

    ``waiting`` ones wait for the value of a required rule, ``held`` ones until something may be written. ``rules``
    holds for each rule the orders in a row for which it found no value, where these are so many that it is likely
    wrong; else 0. ``muted`` says how many of the failed and the waiting ones people have muted.
    """

    failed: int
    parked: int
    is_polled: bool
    hook_problems: frozenset[ProblemKind]
    quota: Mapping[Api, BudgetState]
    waiting: int = 0
    rules: Mapping[str, int] = field(default_factory=dict)
    held: int = 0
    is_paused: bool = False
    awaits_webhook: bool = False
    muted: MutedCounts = field(default_factory=MutedCounts)

    @property
    def unmuted_failed(self) -> int:
        """The failed orders, without those of muted groups."""
        return max(0, self.failed - self.muted.failed)

    @property
    def unmuted_waiting(self) -> int:
        """The orders that wait for a value, without those of muted groups."""
        return max(0, self.waiting - self.muted.waiting)


@dataclass(frozen=True, slots=True)
class State:
    """A snapshot of all gauges."""

    workers: int
    queues: Mapping[str, QueueState]
    stores: Mapping[str, StoreState]
    redis_memory: Mapping[str, int] = field(default_factory=dict)
    notifications: int = 0
    """Messages of ``[notify]`` that wait to be delivered."""


class Gauges:
    """Reads a snapshot from Redis. Errors are Redis's own. Times are Redis's, unless a ``clock`` is given."""

    def __init__(self, redis: Redis, *, clock: Clock | None = None) -> None:
        self._redis = redis
        self._clock = clock
        self._queue = Queue(redis, clock=clock)
        self._budget = Budget(redis)
        self._unmuted = UnmutedFailures(redis)
        self._may_use_info = True

    async def read(self, stores: Collection[str]) -> State:
        """The state of all queues and of these stores, read at the same moment."""
        queues, counts, notifications, by_store, memory = await asyncio.gather(
            self._queue_states(),
            self._queue.counts(),
            self._redis.zcard(notify_queue_key()),
            self._store_states(stores),
            self._redis_memory(),
        )
        return State(counts.workers, queues, await self._with_muted(by_store), memory, notifications)

    async def _with_muted(self, states: Mapping[str, StoreState]) -> dict[str, StoreState]:
        needy = [store for store, state in states.items() if state.failed or state.waiting]
        counts = await self._unmuted.counts(needy)
        return {store: replace(state, muted=counts.get(store, MutedCounts())) for store, state in states.items()}

    async def _redis_memory(self) -> dict[str, int]:
        """What Redis uses and may use (``maxmemory``), in bytes. Empty where its user may not use INFO."""
        if not self._may_use_info:
            return {}
        try:
            memory = await self._redis.info("memory")
        except ResponseError:
            self._may_use_info = False  # each refusal would be a line in Redis's log of access
            return {}
        found = {"used": memory.get("used_memory", 0), "limit": memory.get("maxmemory", 0)}
        return {kind: size for kind, size in found.items() if size}

    async def _queue_states(self) -> dict[str, QueueState]:
        found = await lua.queue_states(
            self._redis,
            now_ms=script_time(self._clock),
            lease_prefix=in_progress_key_prefix,
            most=DUE_SCAN_LIMIT,
            queues=list(QUEUES.values()),
        )
        pairs = zip(QUEUES, found[::2], found[1::2], strict=True)
        return {name: QueueState(jobs, late_ms / 1000) for name, jobs, late_ms in pairs}

    async def _store_states(self, stores: Collection[str]) -> dict[str, StoreState]:
        commands = [
            command
            for store in stores
            for command in (
                ("ZCARD", failed_key(store)),
                ("ZCARD", parked_key(store)),
                ("GET", polling_key(store)),
                ("HMGET", hook_key(store), "troubles", "changed_at"),
                ("ZCARD", awaiting_value_key(store)),
                ("HGETALL", rule_values_key(store)),
                ("ZCARD", held_key(store)),
                ("EXISTS", paused_key(store)),
            )
        ]
        answers, quotas = await asyncio.gather(read_together(self._redis, commands), self._budget.left_of(stores))
        by_store = zip(stores, zip(*[iter(answers)] * 8, strict=True), strict=True)
        return {
            store: StoreState(
                failed,
                parked,
                polled is not None,
                frozenset(problem.kind for problem in parse_problems(hooks[0])),
                quotas[store],
                waiting,
                {
                    rule: count.misses if count.is_without_values else 0
                    for rule, count in parse_rule_counts(pairs(rule_counts)).items()
                },
                held,
                bool(paused),
                awaits_webhook=_awaits_webhook(polled, hooks[1]),
            )
            for store, (failed, parked, polled, hooks, waiting, rule_counts, held, paused) in by_store
        }


def _awaits_webhook(polling: str | None, changed_at: str | None) -> bool:
    """Whether a person has changed the webhooks of a polled store since one was last missed."""
    if polling is None or changed_at is None:
        return False
    try:
        state = json.loads(polling)
        return float(changed_at) > max(float(state["since"]), float(state["untold_at"]))
    except (ValueError, TypeError, KeyError):
        return False  # of another version


def metrics_text(state: State) -> bytes:
    """The state in Prometheus's text format. All workers report the same values: query their ``max``."""
    registry = CollectorRegistry()

    def gauge(name: str, text: str, *labels: str) -> Gauge:
        return Gauge(f"enrich_{name}", text, labels, registry=registry)

    gauge("workers", "Live workers.").set(state.workers)
    gauge("notifications_queued", "Messages of [notify] that wait to be delivered.").set(state.notifications)
    memory = gauge("redis_memory_bytes", "Memory that Redis uses, and its limit.", "kind")
    for kind_of_memory, size in state.redis_memory.items():
        memory.labels(kind_of_memory).set(size)
    jobs = gauge("jobs", "Jobs in a queue, running or waiting.", "queue")
    overdue = gauge("oldest_due_seconds", "How long the oldest due job has not been taken by a worker.", "queue")
    for name, queue in state.queues.items():
        jobs.labels(name).set(queue.jobs)
        overdue.labels(name).set(queue.overdue_s)

    failed = gauge("failed_orders", "Failed orders, which wait for a person.", "store")
    waiting = gauge("waiting_orders", "Orders that wait for the value of a required rule.", "store")
    unmuted = gauge("unmuted_failed_orders", "Failed orders, without those of muted groups.", "store")
    unmuted_waiting = gauge("unmuted_waiting_orders", "Orders that wait for a value, without muted ones.", "store")
    text = "When the newest failed order that is not muted failed; no value where there is none."
    newest = gauge("newest_failure_timestamp_seconds", text, "store")
    parked = gauge("parked_orders", "Orders that wait until BigCommerce accepts the store's credentials.", "store")
    held = gauge("held_orders", "Orders that are held while nothing is written for the store.", "store")
    paused = gauge("paused", "1 while a person has paused writing for the store.", "store")
    polling = gauge("polling", "1 while a store's orders are polled because its webhooks fail.", "store")
    problem = gauge("hook_trouble", "1 while a store's webhooks have this kind of problem.", "store", "kind")
    text = "Orders in a row for which a rule found no value, if so many that the rule is likely wrong; else 0."
    without_values = gauge("rule_without_values", text, "store", "rule")
    left = gauge("quota_left", "Calls left in the current window of a store's quota.", "store", "api")
    limit = gauge("quota_limit", "Calls in each window of a store's quota.", "store", "api")
    for store, at in state.stores.items():
        failed.labels(store).set(at.failed)
        waiting.labels(store).set(at.waiting)
        unmuted.labels(store).set(at.unmuted_failed)
        unmuted_waiting.labels(store).set(at.unmuted_waiting)
        if at.muted.newest_at is not None:
            newest.labels(store).set(at.muted.newest_at)
        parked.labels(store).set(at.parked)
        held.labels(store).set(at.held)
        paused.labels(store).set(at.is_paused)
        polling.labels(store).set(at.is_polled)
        for rule, misses in at.rules.items():
            without_values.labels(store, rule).set(misses)
        for kind in ProblemKind:
            problem.labels(store, kind.value).set(kind in at.hook_problems)
        for api, quota in at.quota.items():
            left.labels(store, api.value).set(quota.left)
            limit.labels(store, api.value).set(quota.limit)
    return generate_latest(registry)
