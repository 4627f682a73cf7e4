"""``enrich report``: how the orders went, by store and day."""

import asyncio
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any

import typer

from service.cli.common.ledger import open_ledger
from service.cli.common.options import AnyStoreOption, CsvOption, choose_stores, one_format, parse_span
from service.cli.common.output import open_console, print_csv, print_json
from service.cli.report.tables import report_parts
from service.orders.facts.fact import Fact, Known, StoreFacts
from service.orders.facts.store_facts import Facts
from service.orders.statistics.aggregate import Aggregate
from service.orders.statistics.counting import KEEP_DAYS_S
from service.orders.statistics.reading import Statistics, StorePeriod
from service.orders.statistics.summary import as_csv, as_dict

REAL_WINDOW = (Fact.CREATE_TAKEN_UNTIL, Fact.RECORD_THERE_FROM)
"""What the real window was: up to which age Create was taken, and from which age on a record was there already."""


def report(
    store: AnyStoreOption = None,
    since: Annotated[
        str, typer.Option(help="Orders that were placed since then: a date, a time (UTC), or 12h, 7d ago. Whole days.")
    ] = "7d",
    until: Annotated[
        str | None,
        typer.Option(help="Orders that were placed before then. A date means its beginning.", show_default=False),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print a JSON object instead of tables.")] = False,
    as_csv_: CsvOption = False,
) -> None:
    """Show how the orders went, by store and day.

    For each day (UTC) in which orders were placed: how many ended how, as they stand now; the share that was created
    inside the window of ten seconds; ages when Create was sent; when webhooks came. Then why windows were missed, why
    orders failed, how long each stage took, and what the real window was.

    The share leaves out retries, later changes, backfills, and orders that waited for their status or a required value.
    Stores that let the platform be first (strategy = "merge") have no share, and a table of their own. An order counts
    when it is finished. Days are kept for 400 days.

    Needs only Redis. Percentiles are accurate to about 0.1 s inside the window, and to a few percent elsewhere.

    \b
    Example: enrich report --since 2026-01-01 --until 2026-02-01 --csv > january.csv
             enrich report --since 7d
    """
    one_format(as_json=as_json, as_csv=as_csv_)
    now = datetime.now(UTC)
    begin, end = parse_span(since, until, now=now)
    assert begin is not None
    first, last = max(begin, now - timedelta(seconds=KEEP_DAYS_S)), min(end or now, now)
    periods, facts = asyncio.run(_read(store, first, last))
    if as_csv_:
        print_csv(*as_csv(periods))
    elif as_json:
        print_json(_as_dict(periods, facts, first, last))
    else:
        console = open_console()
        for part in report_parts(periods, facts, first, last):
            console.print(part, soft_wrap=isinstance(part, str))


async def _read(
    wanted: str | None, since: datetime, until: datetime
) -> tuple[list[StorePeriod], Mapping[str, StoreFacts]]:
    async with open_ledger(read_only=True) as (redis, stores):
        chosen = choose_stores(wanted, stores)
        periods = await Statistics(redis).days(chosen, since, until)
        facts = Facts(redis)
        return periods, {store: await facts.of(store) for store in chosen}


def _as_dict(
    periods: Sequence[StorePeriod], facts: Mapping[str, StoreFacts], since: datetime, until: datetime
) -> dict[str, Any]:
    def of_store(store: str) -> dict[str, Any]:
        days = [period for period in periods if period.store == store and period.aggregate.orders]
        known = facts[store].known
        return {
            "store": store,
            "total": as_dict(Aggregate.total(day.aggregate for day in days)),
            "days": [{"day": day.begin.strftime("%Y-%m-%d"), **as_dict(day.aggregate)} for day in days],
            "real_window": {fact.value: _known(known[fact]) if fact in known else None for fact in REAL_WINDOW},
        }

    return {
        "since": since.isoformat(timespec="seconds"),
        "until": until.isoformat(timespec="seconds"),
        "stores": [of_store(store) for store in facts],
        "total": as_dict(Aggregate.total(period.aggregate for period in periods)),
    }


def _known(found: Known) -> dict[str, Any]:
    seen_at = datetime.fromtimestamp(found.at, UTC).isoformat(timespec="seconds")
    return {"seconds": found.value, "source": found.source, "observations": found.agreeing, "last_seen_at": seen_at}
