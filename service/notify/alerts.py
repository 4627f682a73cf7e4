"""The alerts: which there are, and whether each holds. Pure: ``readings`` reads what they depend on.

Their names, conditions and delays are those of ``deploy/prometheus/alerts.yaml``, as far as Redis knows enough.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Literal

from service.bigcommerce import Api
from service.gauges import State, StoreState
from service.hooks import ProblemKind

# The window is ten seconds: an order that a worker takes four seconds late has little of it left.
MAX_DUE_S = 4.0

REDIS_MEMORY_SHARE = 0.8
QUOTA_SHARE = 0.1

# One late order among twenty, and at least three: a single slow answer of BigCommerce is nobody's business.
MISSED_SHARE = 0.05
MIN_MISSED = 3


class AlertKind(StrEnum):
    """The kinds of alerts."""

    NO_WORKER = "NoWorker"
    ORDERS_WAIT_TOO_LONG = "OrdersWaitTooLong"
    REDIS_MEMORY_LOW = "RedisMemoryLow"
    CREDENTIALS_REFUSED = "CredentialsRefused"
    HOOK_DOWN = "HookDown"
    POLLING_ON = "PollingOn"
    FAILED_ORDERS_WAIT = "FailedOrdersWait"
    ORDERS_WAIT_FOR_A_VALUE = "OrdersWaitForAValue"
    ORDERS_MISS_THE_WINDOW = "OrdersMissTheWindow"
    QUOTA_NEARLY_SPENT = "QuotaNearlySpent"
    LATE_VALUES_STOPPED = "LateValuesStopped"
    RULE_WITHOUT_VALUES = "RuleWithoutValues"


@dataclass(frozen=True, slots=True)
class Definition:
    """What is fixed for a kind of alert. It begins when its condition has held for ``for_s`` seconds.

    ``begun``, ``ended`` and ``more`` (it goes on, and there is more of it) are titles; ``page`` is where the console
    helps: its failures, the store, or the overview; ``runbook`` is the paragraph in the runbook.
    """

    begun: str
    ended: str
    what_to_do: str
    runbook: str
    page: Literal["failures", "store", "overview"]
    severity: Literal["critical", "warning"]
    for_s: float
    more: str = ""


DEFINITIONS: Mapping[AlertKind, Definition] = {
    AlertKind.NO_WORKER: Definition(
        "No worker is running",
        "A worker is running again",
        "Start a worker (enrich worker). If it ends at once, its last line says why.",
        "no-worker",
        "overview",
        "critical",
        60,
    ),
    AlertKind.ORDERS_WAIT_TOO_LONG: Definition(
        "Fresh orders wait for a worker",
        "Fresh orders do not wait any more",
        "Start more workers, or give them more CPU.",
        "orders-missing-the-window",
        "overview",
        "critical",
        30,
    ),
    AlertKind.REDIS_MEMORY_LOW: Definition(
        "Redis is nearly full",
        "Redis has enough memory again",
        "Raise maxmemory. When Redis is full, it takes no more orders.",
        "redis-lost",
        "overview",
        "warning",
        300,
    ),
    AlertKind.CREDENTIALS_REFUSED: Definition(
        "BigCommerce refuses the credentials",
        "BigCommerce accepts the credentials again",
        "Run enrich check: it says whether the token is wrong or which scope it lacks.",
        "credentials-refused",
        "store",
        "critical",
        60,
    ),
    AlertKind.HOOK_DOWN: Definition(
        "A webhook does not work",
        "The webhooks work again",
        "Run enrich hooks list, then enrich hooks repair. Meanwhile the store is polled.",
        "hook-down-or-polling-on",
        "store",
        "critical",
        180,
    ),
    AlertKind.POLLING_ON: Definition(
        "Webhooks do not come, or come late",
        "Webhooks come in time again",
        "See whether the receiver can be reached from outside. Meanwhile the store is polled.",
        "hook-down-or-polling-on",
        "store",
        "warning",
        300,
    ),
    AlertKind.FAILED_ORDERS_WAIT: Definition(
        "Failed orders wait for a person",
        "No failed orders wait any more",
        "Fix the cause, then retry them: enrich orders list --status failed shows them with their reasons.",
        "failures-waiting",
        "failures",
        "warning",
        300,
        "More orders have failed",
    ),
    AlertKind.ORDERS_WAIT_FOR_A_VALUE: Definition(
        "Orders wait for a required value",
        "No orders wait for a required value any more",
        "enrich orders list --status waiting shows the rules. Find out why their values do not come.",
        "orders-waiting-for-a-value",
        "failures",
        "warning",
        300,
    ),
    AlertKind.ORDERS_MISS_THE_WINDOW: Definition(
        "Orders miss their window",
        "Orders make their window again",
        "enrich orders show ORDER shows where the ten seconds went. Their values come later, but complete.",
        "orders-missing-the-window",
        "store",
        "warning",
        120,
    ),
    AlertKind.QUOTA_NEARLY_SPENT: Definition(
        "The API quota is nearly spent",
        "There is enough API quota again",
        "After a burst of orders: wait. All day: another app uses up the quota.",
        "quota-nearly-spent",
        "store",
        "warning",
        120,
    ),
    AlertKind.LATE_VALUES_STOPPED: Definition(
        "Orders do not wait for late values any more",
        "Orders wait for late values again",
        "Run enrich check: it names the rules. If the values do come, they come too late for the window.",
        "late-values-that-do-not-come",
        "store",
        "warning",
        0,
    ),
    AlertKind.RULE_WITHOUT_VALUES: Definition(
        "A rule finds no values",
        "The rules find values again",
        "Run enrich check: it tries the rules on the last 20 orders and says where an expression stops.",
        "rule-without-values",
        "store",
        "warning",
        0,
    ),
}


@dataclass(frozen=True, slots=True)
class Recent:
    """A store's orders of the last minutes: how many count in its share, and how many of them missed their window."""

    written: int = 0
    missed: int = 0


@dataclass(frozen=True, slots=True)
class Readings:
    """What the alerts depend on, at ``now`` (Redis's time). A store that is in none of the mappings is not known.

    ``failures`` are a store's groups of failed orders that are not muted, each with the time of its newest order.
    """

    now: float
    state: State
    locked_out: Mapping[str, bool] = field(default_factory=dict)
    late_values_stopped: Mapping[str, bool] = field(default_factory=dict)
    recent: Mapping[str, Recent] = field(default_factory=dict)
    failures: Mapping[str, Mapping[str, float]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Observation:
    """Whether an alert's condition ``holds`` now; None: not known. ``summary`` is one sentence about it.

    ``parts`` are the things that it is about, each with the time of its newest, where later ones are told of, too.
    """

    kind: AlertKind
    store: str | None
    holds: bool | None
    summary: str = ""
    parts: Mapping[str, float] = field(default_factory=dict)


def observe(readings: Readings) -> Iterator[Observation]:
    """The condition of every alert, for all and for each store."""
    yield from _of_all(readings.state)
    for store, state in readings.state.stores.items():
        yield from _of_store(store, state, readings)


def _of_all(state: State) -> Iterator[Observation]:
    has_workers = state.workers > 0
    yield Observation(
        AlertKind.NO_WORKER, None, not has_workers, "Webhooks are accepted, but no worker processes their orders."
    )
    overdue_s = state.queues["window"].overdue_s
    # Without a worker, that is what is told.
    waits = overdue_s > MAX_DUE_S if has_workers else None
    summary = f"The oldest one has waited for {overdue_s:.0f} of its ten seconds."
    yield Observation(AlertKind.ORDERS_WAIT_TOO_LONG, None, waits, summary)
    used, limit = state.redis_memory.get("used"), state.redis_memory.get("limit")
    share = used / limit if used and limit else None
    is_low = None if share is None else share > REDIS_MEMORY_SHARE
    yield Observation(AlertKind.REDIS_MEMORY_LOW, None, is_low, f"{share or 0:.0%} of its memory is used.")


def _of_store(store: str, state: StoreState, readings: Readings) -> Iterator[Observation]:
    locked_out, stopped = readings.locked_out.get(store), readings.late_values_stopped.get(store)
    refusal = "1 order waits" if state.parked == 1 else f"{state.parked} orders wait"
    refusal = f"{refusal} until they are accepted." if state.parked else "No order waits for them yet."
    yield Observation(AlertKind.CREDENTIALS_REFUSED, store, True if state.parked else locked_out, refusal)

    broken = sorted(state.hook_problems - {ProblemKind.FOREIGN})
    problems = f"Problem: {', '.join(_PROBLEMS[kind] for kind in broken)}."
    yield Observation(AlertKind.HOOK_DOWN, store, bool(broken), problems)
    # A webhook that is down is told of by itself.
    is_polled = state.is_polled and not broken
    yield Observation(
        AlertKind.POLLING_ON, store, is_polled, "The service polls the store for new orders every three seconds."
    )

    count = state.unmuted_failed
    failed = "1 failed order waits." if count == 1 else f"{count} failed orders wait."
    groups = readings.failures.get(store, {})
    yield Observation(AlertKind.FAILED_ORDERS_WAIT, store, count > 0, failed, groups)
    count = state.unmuted_waiting
    waiting = "1 order waits." if count == 1 else f"{count} orders wait."
    waiting += " Nothing is sent before the value comes."
    yield Observation(AlertKind.ORDERS_WAIT_FOR_A_VALUE, store, count > 0, waiting)

    recent = readings.recent.get(store)
    yield Observation(
        AlertKind.ORDERS_MISS_THE_WINDOW,
        store,
        None if recent is None else _misses(recent),
        f"{recent.missed} of the last {recent.written} orders were not created inside their window." if recent else "",
    )
    spent = sorted(
        _API_NAMES.get(api, api.value) for api, quota in state.quota.items() if quota.left < QUOTA_SHARE * quota.limit
    )
    yield Observation(AlertKind.QUOTA_NEARLY_SPENT, store, bool(spent), f"Less than 10% is left: {', '.join(spent)}.")
    yield Observation(
        AlertKind.LATE_VALUES_STOPPED, store, stopped, "The last 50 orders that waited for a late value got none."
    )
    misses = {rule: count for rule, count in sorted(state.rules.items()) if count}
    counts = ", ".join(f"{rule}: 0 of the last {count} orders" for rule, count in misses.items())
    yield Observation(AlertKind.RULE_WITHOUT_VALUES, store, bool(misses), f"{counts}.")


def _misses(recent: Recent) -> bool:
    return recent.missed >= MIN_MISSED and recent.missed > MISSED_SHARE * recent.written


_PROBLEMS = {
    ProblemKind.MISSING: "it is missing",
    ProblemKind.INACTIVE: "BigCommerce has switched it off",
    ProblemKind.HEADERS: "it lacks the header that the receiver asks for",
    ProblemKind.BLOCKED: "BigCommerce blocks the domain",
}
_API_NAMES = {Api.CORE: "core API", Api.B2B: "B2B Edition"}
