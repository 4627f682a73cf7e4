"""An aggregate as plain values, for `--json`, `--csv` and the console's pages."""

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

from service.csv_tables import Cell
from service.orders.state.order_entry import Stage, Status
from service.orders.statistics.aggregate import Aggregate, Histogram
from service.orders.statistics.reading import StorePeriod

PERCENTILES: Mapping[str, float] = {"p50": 0.50, "p95": 0.95, "p99": 0.99}

_TIMED = [stage for stage in Stage if stage is not Stage.CREATED]
"""The stages that take time: the first one is the order itself."""

FINAL = tuple(status for status in Status if status.is_final)


def as_dict(aggregate: Aggregate) -> dict[str, Any]:
    """What an aggregate says. Times are milliseconds."""
    return {
        "orders": aggregate.orders,
        "outcomes": {status.value: aggregate.outcomes.get(status, 0) for status in FINAL},
        "verified": {name: aggregate.verified.get(name, 0) for name in ("yes", "no")},
        "window": {"made": aggregate.made, "missed": aggregate.missed, "share": _rounded(aggregate.share_in_window)},
        "merged": aggregate.merged,
        "over_storefront": aggregate.over_storefront,
        "missed_reasons": aggregate.misses,
        "failures": aggregate.failures,
        "skips": aggregate.skips,
        "create_age_ms": _percentiles(aggregate.create_ages),
        "merge_age_ms": _percentiles(aggregate.merge_ages),
        "webhook_delay_ms": _percentiles(aggregate.webhook_delays),
        "stages_ms": {stage.value: _percentiles(times) for stage, times in aggregate.stages.items()},
        "margins_ms": [[_ms(low), _ms(high), count] for low, high, count in aggregate.margins],
    }


def as_csv(periods: Iterable[StorePeriod]) -> tuple[list[str], list[list[Cell]]]:
    """Column names and a row for each period that has orders. Times are seconds. Each reason has a column."""
    rows = [period for period in periods if period.aggregate.orders]
    together = Aggregate.total(period.aggregate for period in rows)
    misses, failures = list(together.misses), list(together.failures)
    timed = ("create_age", "merge_age", "webhook_delay", *(f"stage_{stage.value}" for stage in _TIMED))
    columns = [
        *("store", "day", "orders", *(status.value for status in FINAL), "verified", "not_verified"),
        *("made_window", "missed_window", "share_in_window", "merged", "over_storefront"),
        *(f"{name}_{share}_s" for name in timed for share in PERCENTILES),
        *(f"missed: {reason}" for reason in misses),
        *(f"failed: {reason}" for reason in failures),
    ]
    return columns, [_row(period.store, period.begin, period.aggregate, misses, failures) for period in rows]


def _row(store: str, begin: datetime, found: Aggregate, misses: list[str], failures: list[str]) -> list[Cell]:
    stages = found.stages
    histograms = (found.create_ages, found.merge_ages, found.webhook_delays, *(stages.get(stage) for stage in _TIMED))
    outcomes: list[Cell] = [found.outcomes.get(status, 0) for status in FINAL]
    return [
        *(store, begin.strftime("%Y-%m-%d"), found.orders),
        *outcomes,
        *(found.verified.get("yes", 0), found.verified.get("no", 0)),
        *(found.made, found.missed, _rounded(found.share_in_window), found.merged),
        found.over_storefront,
        *(each.percentile(share) if each else None for each in histograms for share in PERCENTILES.values()),
        *(found.misses.get(reason, 0) for reason in misses),
        *(found.failures.get(reason, 0) for reason in failures),
    ]


def _percentiles(histogram: Histogram) -> dict[str, int | None]:
    found: dict[str, int | None] = {"orders": histogram.total}
    return found | {name: _ms(histogram.percentile(share)) for name, share in PERCENTILES.items()}


def _rounded(share: float | None) -> float | None:
    return None if share is None else round(share, 4)


def _ms(seconds: float | None) -> int | None:
    return None if seconds is None else round(seconds * 1000)
