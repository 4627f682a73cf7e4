"""One store: how its orders went by hour and day, its margins, its webhooks, its quota, its settings."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from redis.asyncio import Redis

from service.bigcommerce import BudgetState
from service.bigcommerce.apis import Api
from service.console.charts.margin_histogram import MarginHistogram
from service.console.charts.period_bars import PeriodBars
from service.console.routes import Page, Table, Visit
from service.console.store_health import Finding, findings
from service.gauges import StoreState
from service.hooks.state import HookState
from service.orders.facts.fact import Fact, Known
from service.orders.facts.store_facts import Facts
from service.orders.facts.wording import sentence
from service.orders.state.per_store.pauses import Pause, Pauses
from service.orders.statistics.aggregate import OUTCOMES_AND_WINDOW, Aggregate
from service.orders.statistics.reading import Statistics, StorePeriod, midnight
from service.orders.statistics.summary import PERCENTILES
from service.orders.statistics.summary import as_csv as statistics_as_csv
from service.orders.statistics.summary import as_dict as statistics_as_dict
from service.stores import Store

HOURS = 72
DAYS = 30
# The margins and stage times are those of the last days, so that what changed lately can be seen.
MARGIN_DAYS = 7


@dataclass(frozen=True, slots=True)
class StageTimes:
    """How long a stage took, in seconds: by percentile."""

    name: str
    times: Sequence[float | None]


@dataclass(frozen=True, slots=True)
class StorePage:
    """What is known of a store. ``settings`` are those of the stores file that decide what happens to orders.

    ``lately`` and ``margins`` are of the last ``MARGIN_DAYS`` days. ``is_read_only``: the stores file says that nothing
    is written.
    """

    store: str
    name: str
    state: StoreState
    findings: Sequence[Finding]
    days: Sequence[StorePeriod]
    hours: Sequence[StorePeriod]
    hooks: HookState
    facts: Mapping[Fact, Known]
    settings: Sequence[tuple[str, str]]
    hour_bars: PeriodBars
    day_bars: PeriodBars
    lately: Aggregate
    margins: MarginHistogram
    pause: Pause | None
    is_read_only: bool
    done: str

    @property
    def quota(self) -> Mapping[Api, BudgetState]:
        return self.state.quota

    @property
    def stages(self) -> list[StageTimes]:
        """Each stage's times by ``percentiles``, then those of all until Create was sent."""
        lately = self.lately
        named = {stage.value.replace("_", " "): times for stage, times in lately.stages.items()}
        if lately.create_ages.counts:
            named["age when Create was sent"] = lately.create_ages
        shares = PERCENTILES.values()
        return [StageTimes(name, [times.percentile(share) for share in shares]) for name, times in named.items()]

    @property
    def percentiles(self) -> list[str]:
        return list(PERCENTILES)

    @property
    def real_window(self) -> str:
        """What the real window was: up to which age Create was taken, and from which age on a record was there."""
        known = [
            sentence(fact, self.facts[fact].value)
            for fact in (Fact.CREATE_TAKEN_UNTIL, Fact.RECORD_THERE_FROM)
            if fact in self.facts
        ]
        return "; ".join(known) or "not known yet: it takes three orders that agree"

    @property
    def fact_sentences(self) -> list[str]:
        """The facts in words."""
        return [sentence(fact, known.value) for fact, known in self.facts.items()]


async def load(visit: Visit) -> StorePage:
    """Read the store's state and statistics. Errors are Redis's own."""
    return await _load(visit, only=())


async def load_shown(visit: Visit) -> StorePage:
    """As ``load``; of the hours and the days before the last ``MARGIN_DAYS`` only what their bars show."""
    return await _load(visit, only=OUTCOMES_AND_WINDOW)


async def _load(visit: Visit, only: Sequence[str]) -> StorePage:
    store: str = visit.request.path_params["store"]
    gauges, (before, last, hours), hooks, facts, pause = await asyncio.gather(
        visit.console.gauges.read([store]),
        _periods(visit.redis, store, only),
        HookState.read(visit.redis, store),
        Facts(visit.redis).of(store),
        Pauses(visit.redis).read(store),
    )
    state, days = gauges.stores[store], [*before, *last]
    lately = Aggregate.total(period.aggregate for period in last)
    return StorePage(
        store,
        visit.store_name(store),
        state,
        findings(store, state),
        days,
        hours,
        hooks,
        facts.known,
        _settings(visit.store(store).store),
        PeriodBars.of(hours),
        PeriodBars.of(days),
        lately,
        MarginHistogram.of(lately),
        pause,
        visit.store(store).store.writes == "off",
        visit.request.query_params.get("done", ""),
    )


async def _periods(
    redis: Redis, store: str, only: Sequence[str]
) -> tuple[list[StorePeriod], list[StorePeriod], list[StorePeriod]]:
    """The days before the last ``MARGIN_DAYS``, those days, and the hours."""
    now, statistics = datetime.now(UTC), Statistics(redis)
    margins_since = now - timedelta(days=MARGIN_DAYS - 1)
    return await asyncio.gather(
        statistics.days([store], now - timedelta(days=DAYS - 1), midnight(margins_since), only=only),
        statistics.days([store], margins_since, now),
        statistics.hours([store], now - timedelta(hours=HOURS - 1), now, only=only),
    )


def _settings(store: Store) -> list[tuple[str, str]]:
    return [
        ("strategy", store.strategy),
        ("existing_values", store.existing_values),
        ("incomplete_orders", store.incomplete_orders),
        ("late_values", f"{store.late_values_s:g} s"),
        ("follow", f"{store.follow_s / 3600:g} h"),
        ("overflow", store.overflow),
        ("order_comment", "true" if store.order_comment else "false"),
        ("writes", store.writes),
        ("channels", "all" if store.channels is None else ", ".join(map(str, sorted(store.channels)))),
    ]


def as_dict(page: StorePage) -> dict[str, Any]:
    """The store for scripts; the statistics are those of the last 30 days and 72 hours that have orders."""
    return {
        "store": page.store,
        "name": page.name,
        "findings": [finding.sentence for finding in page.findings],
        "failed": page.state.failed,
        "failed_muted": page.state.muted.failed,
        "waiting": page.state.waiting,
        "waiting_muted": page.state.muted.waiting,
        "parked": page.state.parked,
        "held": page.state.held,
        "paused": page.state.is_paused,
        "days": [_period(period) for period in page.days if period.aggregate.orders],
        "hours": [_period(period) for period in page.hours if period.aggregate.orders],
        "webhooks": {
            "destination": page.hooks.destination,
            "problems": [
                {"kind": problem.kind.value, "what": problem.what, "optional": problem.is_optional}
                for problem in sorted(page.hooks.problems, key=lambda each: (each.kind, each.what))
            ],
        },
        "quota": {api.value: {"left": state.left, "limit": state.limit} for api, state in page.quota.items()},
        "facts": {fact.value: known.value for fact, known in page.facts.items()},
        "settings": dict(page.settings),
    }


def _period(period: StorePeriod) -> dict[str, Any]:
    return {"begin": period.begin.strftime("%Y-%m-%dT%H:%MZ"), **statistics_as_dict(period.aggregate)}


def as_table(page: StorePage) -> Table:
    """The days as `enrich report --csv` has them."""
    return statistics_as_csv(page.days)


PAGE = Page("/stores/{store:store}", "store/store.html", load, as_dict, as_table, load_shown=load_shown)
