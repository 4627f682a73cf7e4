"""The overview: are the orders of the stores making it?"""

import asyncio
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from redis.asyncio import Redis

from service.console.charts.period_bars import PeriodBars
from service.console.routes import Page, Table, Visit
from service.console.store_health import Finding, Severity, findings, service_findings, summary
from service.gauges import StoreState
from service.orders.statistics.aggregate import OUTCOMES_AND_WINDOW, Aggregate
from service.orders.statistics.reading import Statistics, StorePeriod
from service.orders.statistics.summary import FINAL

HOURS = 24
DAYS = 7

# Beyond that, the hours of all stores would take longer to read than a page may take: only days are shown.
_STORES_WITH_HOURS_MAX = 60


@dataclass(frozen=True, slots=True)
class StoreRow:
    """A store in the table of all stores: ``today`` are its orders of the last 24 hours, ``week`` of seven days.

    Without ``hours``, ``today`` is the day since midnight (UTC).
    """

    store: str
    name: str
    state: StoreState
    today: Aggregate
    week: Aggregate
    hours: PeriodBars | None
    findings: Sequence[Finding]

    @property
    def severity(self) -> Severity:
        """That of its worst finding."""
        return self.findings[0].severity if self.findings else Severity.FINE

    @property
    def failed_since(self) -> float | None:
        """When its oldest failed order that is not muted failed, in seconds since the epoch."""
        return self.state.muted.oldest_at

    @property
    def failed_for_s(self) -> float | None:
        """For how long its oldest failed order has waited for a person."""
        return None if self.failed_since is None else max(0.0, time.time() - self.failed_since)


@dataclass(frozen=True, slots=True)
class Overview:
    """All stores that the person may see, the worst first. ``service`` is what is wrong with the service itself."""

    rows: Sequence[StoreRow]
    summary: str
    service: Sequence[str]
    workers: int

    @property
    def is_fine(self) -> bool:
        return not self.service and not any(row.findings for row in self.rows)

    @property
    def has_hours(self) -> bool:
        return all(row.hours for row in self.rows)


async def load(visit: Visit) -> Overview:
    """Read the state of each store, and how its orders went lately. Errors are Redis's own."""
    stores = visit.stores
    state, lately = await asyncio.gather(visit.console.gauges.read(stores), _read(visit.redis, stores))
    rows = _rows(visit, state.stores, lately)
    rows.sort(key=lambda row: (-row.severity, -row.state.unmuted_failed, row.name.casefold()))
    worst = [(row.name, finding) for row in rows for finding in row.findings[:1]]
    return Overview(rows, summary([row.name for row in rows], worst), service_findings(state), state.workers)


@dataclass(frozen=True, slots=True)
class _Lately:
    """How the orders of each store went lately."""

    days: Mapping[str, Sequence[StorePeriod]]
    hours: Mapping[str, Sequence[StorePeriod]]


async def _read(redis: Redis, stores: Sequence[str]) -> _Lately:
    now, statistics = datetime.now(UTC), Statistics(redis)
    with_hours = stores if len(stores) <= _STORES_WITH_HOURS_MAX else []
    days, hours = await asyncio.gather(
        statistics.days(stores, now - timedelta(days=DAYS - 1), now, only=OUTCOMES_AND_WINDOW),
        statistics.hours(with_hours, now - timedelta(hours=HOURS - 1), now, only=OUTCOMES_AND_WINDOW),
    )
    return _Lately(_by_store(days), _by_store(hours))


def _rows(visit: Visit, states: Mapping[str, StoreState], lately: _Lately) -> list[StoreRow]:
    days, hours = lately.days, lately.hours
    return [
        StoreRow(
            store,
            visit.store_name(store),
            state,
            Aggregate.total(period.aggregate for period in hours.get(store) or days[store][-1:]),
            Aggregate.total(period.aggregate for period in days[store]),
            PeriodBars.of(hours[store]) if store in hours else None,
            findings(store, state),
        )
        for store, state in states.items()
    ]


def _by_store(periods: Sequence[StorePeriod]) -> dict[str, list[StorePeriod]]:
    found: dict[str, list[StorePeriod]] = {}
    for period in periods:
        found.setdefault(period.store, []).append(period)
    return found


def as_dict(overview: Overview) -> dict[str, Any]:
    """The overview for scripts."""
    return {
        "summary": overview.summary,
        "service": list(overview.service),
        "workers": overview.workers,
        "stores": [
            {
                "store": row.store,
                "name": row.name,
                "severity": row.severity.name.lower(),
                "findings": [finding.sentence for finding in row.findings],
                "share_in_window": row.today.share_in_window,
                "share_in_window_7d": row.week.share_in_window,
                "orders": {status.value: row.today.outcomes.get(status, 0) for status in FINAL},
                "failed": row.state.failed,
                "failed_muted": row.state.muted.failed,
                "failed_since": row.failed_since,
                "waiting": row.state.waiting,
                "waiting_muted": row.state.muted.waiting,
                "parked": row.state.parked,
                "polled": row.state.is_polled,
                "webhook_problems": sorted(row.state.hook_problems),
                "quota": {
                    api.value: {"left": quota.left, "limit": quota.limit} for api, quota in row.state.quota.items()
                },
            }
            for row in overview.rows
        ],
    }


def as_table(overview: Overview) -> Table:
    """The overview as a table."""
    columns = (
        *("store", "name", "severity", "share_in_window", "share_in_window_7d"),
        *("failed", "waiting", "parked", "findings"),
    )

    def rows() -> Iterator[Sequence[Any]]:
        for row in overview.rows:
            yield (
                *(row.store, row.name, row.severity.name.lower()),
                *(row.today.share_in_window, row.week.share_in_window),
                *(row.state.failed, row.state.waiting, row.state.parked),
                "; ".join(finding.sentence for finding in row.findings),
            )

    return columns, rows()


PAGE = Page("/", "overview.html", load, as_dict, as_table)
