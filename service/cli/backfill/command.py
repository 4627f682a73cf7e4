"""``enrich backfill``: enrich orders that are already there."""

import asyncio
import math
import signal
from collections.abc import Coroutine
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from service.bigcommerce import Api, Budget
from service.cli.backfill.progress import ProgressDisplay, tell_start
from service.cli.common.options import DryRunOption, StoreOption, parse_since
from service.cli.common.output import open_console, print_json
from service.cli.common.session import open_session
from service.errors import ConfigError, Problem
from service.orders.backfill.lock import single_backfill
from service.orders.backfill.progress import BackfillProgress, DateRange, DryRunSummary
from service.orders.backfill.retry import end
from service.orders.backfill.runner import MIN_ORDER_AGE_S, Backfill
from service.orders.state.entry import Status
from service.orders.state.queue import Queue

# As after any other Ctrl-C: 128 and the signal's number.
STOPPED = 130

# An order is read and updated, and its share in what is asked for many at once: people, verification.
CALLS_AN_ORDER = 2.5
USUAL_A_MINUTE = 150.0


def backfill(
    since: Annotated[str, typer.Option(help="Orders created since: a date, a time (UTC), or 30m, 12h, 7d.")],
    until: Annotated[
        str | None, typer.Option(help="And until then; left out: up to five minutes ago.", show_default=False)
    ] = None,
    store: StoreOption = None,
    again: Annotated[
        bool, typer.Option("--again", help="Also orders that have ended already, from the first one on.")
    ] = False,
    dry_run: DryRunOption = False,
    as_json: Annotated[bool, typer.Option("--json", help="A JSON object instead of a table.")] = False,
) -> None:
    """Enrich orders that are already there.

    Walks the store's orders by their ids and has the workers enrich those that have not ended yet, in the lowest class
    of the API quota: orders that come in meanwhile go first. So `enrich worker` or `enrich up` must be running.

    It can be stopped at any time (Ctrl-C, SIGTERM): the workers finish the few orders that are in their queue, and the
    same command goes on from there. Orders younger than five minutes are left to the webhooks.

    Exit code 0: all has ended. 1: an order failed, or some have not ended. 2: the command was used wrongly, or
    BigCommerce or Redis did not answer. 130: stopped.

    \b
    Example: enrich backfill --since 2026-01-01 --dry-run
             enrich backfill --since 2026-01-01 --until 2026-02-01 --store abc123
    """
    span = _span(since, until, again=again, now=datetime.now(UTC))
    code = asyncio.run(_survey(span, store, as_json) if dry_run else _run(span, store, as_json))
    if code:
        raise typer.Exit(code)


def _span(since: str, until: str | None, *, again: bool, now: datetime) -> DateRange:
    begin = parse_since(since, now=now)
    youngest = now - timedelta(seconds=MIN_ORDER_AGE_S)
    end = min(youngest, parse_since(until, now=now, option="--until")) if until else youngest
    if begin >= end:
        last = end.strftime("%Y-%m-%d %H:%M UTC")
        cure = "Orders younger than five minutes are left to the webhooks." if end == youngest else ""
        raise ConfigError(Problem(f"--since {since}", f"must be before {last}.", cure))
    return DateRange(begin, end, name=f"{since}..{until or ''}", again=again)


async def _survey(span: DateRange, wanted: str | None, as_json: bool) -> int:
    async with open_session(needs_redis=True) as session:
        assert session.redis is not None
        store = session.store(wanted)
        survey = await Backfill(session.api(store), session.redis, span).survey()
        quota = await Budget(session.redis).left(store.store.hash, Api.B2B)
    a_minute = quota.limit / quota.window_s * 60 if quota else USUAL_A_MINUTE
    minutes = math.ceil((survey.to_queue - survey.by_guests) * CALLS_AN_ORDER / a_minute)
    if as_json:
        about = {**_about(store.store.hash, span), "dry_run": True}
        print_json({**about, **asdict(survey), "estimated_minutes": minutes})
    else:
        open_console().print(_plan(survey, minutes, a_minute))
        if survey.began_after:
            typer.echo(tell_start(survey.began_after), err=True)
    return 0


async def _run(span: DateRange, wanted: str | None, as_json: bool) -> int:
    async with open_session(needs_redis=True) as session:
        assert session.redis is not None
        store = session.store(wanted)
        if not (await Queue(session.redis).counts()).workers:
            cure = "Start `enrich up` or `enrich worker` first."
            raise ConfigError(Problem("backfill", "needs a worker, and none is running.", cure))
        async with single_backfill(session.redis, store.store.hash):
            with ProgressDisplay(Console(stderr=True, highlight=False)) as progress:
                run = Backfill(session.api(store), session.redis, span, watch=progress.show)
                try:
                    stopped = not await _ran_to_its_end(run.run())
                except Exception:
                    _tell_left(run.course)
                    raise
    if as_json:
        print_json({**_about(store.store.hash, span), **_result(run.course, stopped=stopped)})
    else:
        open_console().print(_summary(run.course))
    if stopped:
        typer.echo("Stopped.", err=True)
    if not run.course.is_over:
        _tell_left(run.course)
    if stopped:
        return STOPPED
    return int(not run.course.is_over or any(status is Status.FAILED for status, _ in run.course.outcomes))


async def _ran_to_its_end(work: Coroutine[Any, Any, None]) -> bool:
    """Whether it did, and was not told to stop."""
    stop, loop = asyncio.Event(), asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    running, stopping = asyncio.create_task(work), asyncio.create_task(stop.wait())
    await asyncio.wait([running, stopping], return_when=asyncio.FIRST_COMPLETED)
    stopping.cancel()
    await end(running)
    if running.cancelled():
        return False
    running.result()
    return True


def _plan(survey: DryRunSummary, minutes: int, a_minute: float) -> Table:
    guests = f", {survey.by_guests} of them of guests, which B2B Edition is not asked for" if survey.by_guests else ""
    rows = {
        "orders": str(survey.orders),
        "ended before": str(survey.known),
        "queued, waiting": str(survey.elsewhere),
        "to be queued": f"{survey.to_queue}{guests}",
        "takes": f"{_minutes(minutes)}: 2 to 3 calls an order, of {a_minute:g} a minute. An estimate: "
        "orders that come in meanwhile go first."
        if survey.to_queue
        else "no time: there is nothing to do",
    }
    table = Table(box=None, show_header=False, pad_edge=False)
    table.add_column(style="bold", no_wrap=True)
    table.add_column(overflow="fold")
    for name, text in rows.items():
        table.add_row(name, text)
    return table


def _minutes(minutes: int) -> str:
    return "about a minute" if minutes <= 1 else f"about {minutes} minutes"


def _summary(course: BackfillProgress) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("OUTCOME", no_wrap=True)
    table.add_column("ORDERS", justify="right", no_wrap=True)
    table.add_column("REASON", overflow="fold")
    for (status, reason), orders in course.outcomes.most_common():
        table.add_row(status.value, str(orders), Text(reason))
    rest = {"ended before": course.known, "elsewhere": course.elsewhere, "not ended": len(course.in_hand)}
    told = {"elsewhere": "queued by others, or waiting for their status to change"}
    for name, orders in rest.items():
        if orders or not (course.outcomes or any(rest.values())):
            table.add_row(name, str(orders), told.get(name, "") if orders else "")
    return table


def _result(course: BackfillProgress, *, stopped: bool) -> dict[str, Any]:
    outcomes = [
        {"outcome": status.value, "reason": reason or None, "orders": orders}
        for (status, reason), orders in course.outcomes.most_common()
    ]
    return {
        "began_after": course.began_after,
        "reached": course.reached,
        "finished": course.is_over,
        "stopped": stopped,
        "orders": course.seen,
        "ended_before": course.known,
        "elsewhere": course.elsewhere,
        "not_ended": sorted(course.in_hand),
        "outcomes": outcomes,
    }


def _about(store: str, span: DateRange) -> dict[str, Any]:
    since, until = (moment.isoformat(timespec="seconds") for moment in (span.since, span.until))
    return {"store": store, "since": since, "until": until, "again": span.again}


def _tell_left(course: BackfillProgress) -> None:
    """What is left, and how to go on."""
    if course.in_hand:
        why = f" (order {min(course.in_hand)}: {course.trouble})" if course.trouble else ""
        typer.echo(f"{len(course.in_hand)} orders have not ended{why}; the workers go on with them.", err=True)
    after = f" after order {course.reached}" if course.reached else ""
    typer.echo(f"The same command goes on{after}.", err=True)
