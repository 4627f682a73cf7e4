"""Requeue orders, wait until they are finished, and show the results."""

import asyncio
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Annotated, Any

import typer
from redis.asyncio import Redis
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.text import Text

from service import audit
from service.cli.common.output import open_console
from service.cli.orders.entry_format import as_table
from service.orders.entry_report import as_dict, why
from service.orders.state.ledger import Ledger
from service.orders.state.order_entry import Entry, Status
from service.orders.state.queue import EnqueueResult, Queue

WaitOption = Annotated[
    bool,
    typer.Option(
        "--wait",
        help="Wait until all orders are finished and show the results. Exit code 1 if not all succeeded.",
    ),
]
TimeoutOption = Annotated[float, typer.Option(min=0, help="With --wait: the longest time to wait, in seconds.")]

# How often the ledger is asked for the orders' statuses while waiting.
POLL_INTERVAL_S = 0.25

SUCCESSFUL = frozenset({Status.CREATED, Status.UPDATED, Status.UNCHANGED, Status.SKIPPED})


class RequeueResult(StrEnum):
    """What the command did with an order."""

    QUEUED = "queued"
    IN_PROGRESS = "on_its_way"
    """The order is not finished yet, so it was not queued again."""
    UNKNOWN = "unknown"
    """The order is not in the ledger: nothing was done."""
    DRY_RUN = "dry_run"
    """The order would be queued."""


@dataclass(frozen=True, slots=True)
class RequeueItem:
    """One order, what was done with it, and its entry; ``entry`` is None when it is not in the ledger."""

    store: str
    order_id: int
    result: RequeueResult
    entry: Entry | None = None

    @classmethod
    def planned(cls, store: str, order_id: int, entry: Entry | None) -> "RequeueItem":
        """The item before anything is done: what a dry run shows."""
        is_in_progress = entry is not None and entry.status is Status.QUEUED
        return cls(store, order_id, RequeueResult.IN_PROGRESS if is_in_progress else RequeueResult.DRY_RUN, entry)

    @property
    def is_successful(self) -> bool:
        """Whether the order is finished and has not failed."""
        return self.entry is not None and self.entry.status in SUCCESSFUL

    def as_dict(self) -> dict[str, Any]:
        """The item for scripts."""
        order = None if self.entry is None else as_dict(self.entry)
        return {"store": self.store, "order_id": self.order_id, "result": self.result.value, "order": order}

    def __str__(self) -> str:
        message = {
            RequeueResult.QUEUED: "queued",
            RequeueResult.IN_PROGRESS: "is already in progress, not queued again",
            RequeueResult.UNKNOWN: "is unknown. Does it belong to another store? Use `enrich backfill` for old orders.",
            RequeueResult.DRY_RUN: f"would be queued; its status is {self.entry.status if self.entry else 'unknown'}",
        }[self.result]
        reason = why(self.entry) if self.entry else ""
        return f"order {self.order_id} of {self.store}: {message}" + (f" ({reason})" if reason else "")


@dataclass(frozen=True, slots=True)
class RequeueOptions:
    """How to requeue. ``wait_s`` is the longest time to wait for the orders to finish; None: do not wait."""

    dry_run: bool
    wait_s: float | None
    as_json: bool


async def requeue_orders(
    redis: Redis, items: Iterable[RequeueItem], source: str, options: RequeueOptions
) -> list[RequeueItem]:
    """Requeue each order that is known and not in progress, and wait until they are finished if requested.

    ``source`` is stored in the entries. Prints a line for each order, unless the output is JSON or follows a wait.
    Raises Redis's errors; orders that were queued before the error stay queued.
    """
    queue, ledger = Queue(redis), Ledger(redis)
    results = [await _queue(queue, ledger, item, source, options) for item in items]
    by_store = defaultdict[str, list[int]](list)
    for item in results:
        if item.result is RequeueResult.QUEUED:
            by_store[item.store].append(item.order_id)
    name = audit.ActionName(f"orders {source}")
    for store, order_ids in by_store.items():
        await audit.record(redis, audit.Action(audit.system_user(), name, store, order_ids))
    return await wait_for(redis, results, options)


async def wait_for(redis: Redis, items: list[RequeueItem], options: RequeueOptions) -> list[RequeueItem]:
    """Wait until those in progress are finished, if requested; the items with their entries as they are then.

    Raises Redis's errors.
    """
    queue, ledger = Queue(redis), Ledger(redis)
    queued = [item for item in items if item.result in (RequeueResult.QUEUED, RequeueResult.IN_PROGRESS)]
    if not queued or options.dry_run:
        return items
    if not (await queue.counts()).workers:
        typer.echo("No worker is running. The orders wait until you start `enrich worker` or `enrich up`.", err=True)
    if options.wait_s is not None:
        await _wait(ledger, queued, options.wait_s)
    return [replace(item, entry=await ledger.get(item.store, item.order_id)) for item in items]


def show_results(items: Sequence[RequeueItem], options: RequeueOptions) -> None:
    """Print the table of results, after a wait."""
    entries = [item.entry for item in items if item.entry]
    if entries and options.wait_s is not None and not (options.dry_run or options.as_json):
        open_console().print(as_table(entries))


def exit_on_failure(items: Iterable[RequeueItem], options: RequeueOptions) -> None:
    """Exit with code 1 when an order is unknown or, after a wait, was not successful."""
    waited = options.wait_s is not None and not options.dry_run
    if any(item.result is RequeueResult.UNKNOWN or (waited and not item.is_successful) for item in items):
        raise typer.Exit(1)


async def _queue(queue: Queue, ledger: Ledger, item: RequeueItem, source: str, options: RequeueOptions) -> RequeueItem:
    if item.result is not RequeueResult.UNKNOWN and not options.dry_run:
        accepted = await queue.retry(item.store, item.order_id, source)
        result = RequeueResult.QUEUED if accepted is EnqueueResult.QUEUED else RequeueResult.IN_PROGRESS
        item = replace(item, result=result, entry=await ledger.get(item.store, item.order_id))
    if item.result is RequeueResult.UNKNOWN:
        Console(stderr=True, highlight=False).print(Text(str(item)), soft_wrap=True)
    elif not options.as_json and (options.wait_s is None or options.dry_run):
        open_console().print(Text(str(item)), soft_wrap=True)
    return item


async def _wait(ledger: Ledger, items: Sequence[RequeueItem], timeout_s: float) -> None:
    now = asyncio.get_running_loop().time
    deadline = now() + timeout_s
    console = Console(stderr=True)
    columns = TextColumn("waiting for the orders"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn()
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as progress:
        bar = progress.add_task("", total=len(items))
        while left := await _count_queued(ledger, items):
            progress.update(bar, completed=len(items) - left)
            if now() >= deadline:
                break
            await asyncio.sleep(min(POLL_INTERVAL_S, deadline - now()))
    if left:
        typer.echo(
            f"{left} of {len(items)} orders were not finished within {timeout_s:g} s. The workers continue with them.",
            err=True,
        )


async def _count_queued(ledger: Ledger, items: Iterable[RequeueItem]) -> int:
    by_store = defaultdict[str, list[int]](list)
    for item in items:
        by_store[item.store].append(item.order_id)
    by_id = [await ledger.statuses(store, order_ids) for store, order_ids in by_store.items()]
    return sum(status is Status.QUEUED for statuses in by_id for status in statuses.values())
