"""The overview: are the orders of the stores making it?"""

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from service.console.routes import Page, Table, Visit
from service.console.store_health import (
    Finding,
    RecentOrders,
    Severity,
    findings,
    service_findings,
    summary,
)
from service.gauges import Gauges, StoreState
from service.orders.state.ledger import Ledger
from service.orders.state.order_entry import Entry, Status

SPAN_S = 86_400.0
"""The overview counts the orders of the last day."""

# Reading an entry costs about 0.05 ms: what a page has time for, shared by all stores.
_ENTRIES_MAX = 2000


@dataclass(frozen=True, slots=True)
class StoreRow:
    """A store in the table of all stores."""

    store: str
    name: str
    state: StoreState
    recent: RecentOrders
    findings: Sequence[Finding]

    @property
    def severity(self) -> Severity:
        """That of its worst finding."""
        return self.findings[0].severity if self.findings else Severity.FINE


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


async def load(visit: Visit) -> Overview:
    """Read the state of each store, and its orders of the last day. Errors are Redis's own."""
    state = await Gauges(visit.redis).read(visit.stores)
    limit = max(50, _ENTRIES_MAX // max(1, len(visit.stores)))
    rows = [
        StoreRow(
            store,
            visit.store_name(store),
            state.stores[store],
            await read_recent(visit, store, limit=limit),
            findings(store, state.stores[store]),
        )
        for store in visit.stores
    ]
    rows.sort(key=lambda row: (-row.severity, -row.state.failed, row.name.casefold()))
    worst = [(row.name, finding) for row in rows for finding in row.findings[:1]]
    return Overview(rows, summary([row.name for row in rows], worst), service_findings(state), state.workers)


async def read_recent(visit: Visit, store: str, *, limit: int) -> RecentOrders:
    """What became of the store's newest orders of the last day, at most ``limit`` of them."""
    entries: list[Entry] = []
    async for entry in Ledger(visit.redis).entries(store, since=time.time() - SPAN_S, batch=min(limit, 200)):
        if len(entries) == limit:
            return RecentOrders.of(entries, is_complete=False)
        entries.append(entry)
    return RecentOrders.of(entries)


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
                "share_in_window": row.recent.share_in_window,
                "orders": {status.value: row.recent.outcomes[status] for status in Status},
                "orders_complete": row.recent.is_complete,
                "failed": row.state.failed,
                "waiting": row.state.waiting,
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
    columns = ("store", "name", "severity", "share_in_window", "failed", "waiting", "parked", "findings")

    def rows() -> Iterator[Sequence[object]]:
        for row in overview.rows:
            sentences = "; ".join(finding.sentence for finding in row.findings)
            counts = (row.state.failed, row.state.waiting, row.state.parked)
            yield row.store, row.name, row.severity.name.lower(), row.recent.share_in_window, *counts, sentences

    return columns, rows()


PAGE = Page("/", "overview.html", load, as_dict, as_table)
