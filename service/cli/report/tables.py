"""Output of ``enrich report`` for people."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime

from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from service.orders.facts.fact import Fact, StoreFacts
from service.orders.facts.wording import sentence
from service.orders.statistics.aggregate import Aggregate, Histogram
from service.orders.statistics.reading import StorePeriod
from service.orders.statistics.summary import FINAL, PERCENTILES

_UNKNOWN = "-"

_SHARES = list(PERCENTILES.values())


def report_parts(
    periods: Sequence[StorePeriod], facts: Mapping[str, StoreFacts], since: datetime, until: datetime
) -> Iterator[RenderableType]:
    """The parts of the report, to be printed one below the other."""
    span = f"{since:%Y-%m-%d} to {until:%Y-%m-%d %H:%M} UTC"
    total = Aggregate.total(period.aggregate for period in periods)
    if not total.orders:
        yield f"No orders were finished that were placed from {span}."
        return
    by_store = {store: [each for each in periods if each.store == store and each.aggregate.orders] for store in facts}
    merging = [store for store, days in by_store.items() if _only_merges(days)]
    creating = {store: days for store, days in by_store.items() if days and store not in merging}
    yield f"Orders placed from {span}"
    if creating:
        yield ""
        created = Aggregate.total(day.aggregate for days in creating.values() for day in days)
        yield _days_table(creating, has_merged=created.merged > 0)
        yield _share(created)
        if created.over_storefront:
            yield f"Records created over the storefront API, as the buyer: {created.over_storefront}."
    if merging:
        yield "\nStores that let the platform be first: their orders have no share"
        yield _merging_table({store: by_store[store] for store in merging})
    yield from _reasons(by_store)
    yield "\nTime from the previous stage"
    yield _stages_table(total)
    yield from _real_window({store: facts[store] for store, days in by_store.items() if days})


def _only_merges(days: Sequence[StorePeriod]) -> bool:
    total = Aggregate.total(day.aggregate for day in days)
    return total.merged > 0 and total.share_in_window is None


def _days_table(stores: Mapping[str, Sequence[StorePeriod]], *, has_merged: bool) -> Table:
    table = _table("STORE", "DAY")
    for name in ("ORDERS", *(status.value.upper() for status in FINAL), "IN WINDOW", *(["MERGED"] * has_merged)):
        table.add_column(name, justify="right", no_wrap=True)
    for name in ("AGE P50", "P95", "P99", "WEBHOOK P50", "P95"):
        table.add_column(name, justify="right", no_wrap=True)

    def cells(found: Aggregate) -> list[str]:
        ages, delays = found.create_ages, found.webhook_delays
        return [
            *_counts(found),
            _percent(found.share_in_window),
            *([str(found.merged)] * has_merged),
            *(_seconds(ages.percentile(share)) for share in _SHARES),
            *(_seconds(delays.percentile(share)) for share in _SHARES[:2]),
        ]

    return _with_rows(table, stores, cells)


def _merging_table(stores: Mapping[str, Sequence[StorePeriod]]) -> Table:
    table = _table("STORE", "DAY")
    for name in ("ORDERS", *(status.value.upper() for status in FINAL), "WRITTEN P50", "P95", "P99"):
        table.add_column(name, justify="right", no_wrap=True)

    def cells(found: Aggregate) -> list[str]:
        return [*_counts(found), *(_seconds(found.merge_ages.percentile(share)) for share in _SHARES)]

    return _with_rows(table, stores, cells)


def _with_rows(
    table: Table, stores: Mapping[str, Sequence[StorePeriod]], cells: Callable[[Aggregate], list[str]]
) -> Table:
    for store, days in stores.items():
        for day in days:
            table.add_row(store, day.begin.strftime("%Y-%m-%d"), *cells(day.aggregate))
        if len(days) > 1:
            table.add_row(store, "total", *cells(Aggregate.total(day.aggregate for day in days)), style="bold")
    return table


def _share(total: Aggregate) -> str:
    counted = total.made + total.missed
    if not counted:
        return "No order counts for the share in the window."
    return f"{_percent(total.share_in_window)} in the window: {total.made} of {counted} orders that count."


def _reasons(by_store: Mapping[str, Sequence[StorePeriod]]) -> Iterator[RenderableType]:
    totals = {store: Aggregate.total(day.aggregate for day in days) for store, days in by_store.items()}
    misses = {store: found.misses for store, found in totals.items()}
    failures = {store: found.failures for store, found in totals.items()}
    for heading, reasons, command in (
        ("Missed windows", misses, "enrich orders list --late"),
        ("Failed orders, as they stand now", failures, "enrich orders list --status failed"),
    ):
        rows = [(store, reason, count) for store, counts in reasons.items() for reason, count in counts.items()]
        if rows:
            table = _table("STORE", "REASON")
            table.add_column("ORDERS", justify="right", no_wrap=True)
            for store, reason, count in rows:
                table.add_row(store, Text(reason), str(count))
            yield f"\n{heading} (`{command}` shows them)"
            yield table


def _stages_table(total: Aggregate) -> Table:
    table = _table("STAGE")
    for name in ("P50", "P95", "P99", "ORDERS"):
        table.add_column(name, justify="right", no_wrap=True)
    rows: list[tuple[str, Histogram]] = [(stage.value.replace("_", " "), each) for stage, each in total.stages.items()]
    for name, histogram in rows:
        times = (_milliseconds(histogram.percentile(share)) for share in _SHARES)
        table.add_row(name, *times, str(histogram.total))
    return table


def _real_window(facts: Mapping[str, StoreFacts]) -> Iterator[str]:
    yield "\nThe real window, as seen in the last 30 days"
    for store, found in facts.items():
        known = [
            sentence(fact, found.known[fact].value)
            for fact in (Fact.CREATE_TAKEN_UNTIL, Fact.RECORD_THERE_FROM)
            if fact in found.known
        ]
        yield f"{store}: {'; '.join(known) or 'not known yet: it takes three orders that agree'}"


def _table(*columns: str) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in columns:
        table.add_column(column, overflow="fold", no_wrap=column == "DAY")
    return table


def _counts(found: Aggregate) -> list[str]:
    return [str(found.orders), *(str(found.outcomes.get(status, 0)) for status in FINAL)]


def _percent(share: float | None) -> str:
    if share is None:
        return _UNKNOWN
    # Never "100.0 %" when an order missed its window.
    return "100 %" if share == 1 else f"{min(share * 100, 99.9):.1f} %"


def _seconds(seconds: float | None) -> str:
    return _UNKNOWN if seconds is None else f"{seconds:.1f} s"


def _milliseconds(seconds: float | None) -> str:
    if seconds is None:
        return _UNKNOWN
    return f"{seconds * 1000:.0f} ms" if seconds < 10 else f"{seconds:.0f} s"
