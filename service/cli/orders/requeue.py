"""Queueing orders anew, waiting for their ends, and telling what came of them."""

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

from service.cli.common.output import open_console
from service.cli.orders.entry_format import as_dict, as_table, why
from service.orders.state.entry import Entry, Status
from service.orders.state.ledger import Ledger
from service.orders.state.queue import EnqueueResult, Queue

WaitOption = Annotated[
    bool,
    typer.Option(
        "--wait", help="Wait until each order has ended and show what came of it; exit code 1 if not all is well."
    ),
]
TimeoutOption = Annotated[float, typer.Option(min=0, help="With --wait: for so many seconds at most.")]

# The ledger is asked so often what has come of the orders.
POLL_S = 0.25

ENDED_WELL = frozenset({Status.CREATED, Status.UPDATED, Status.UNCHANGED, Status.SKIPPED})


class Result(StrEnum):
    """What was done about an order."""

    QUEUED = "queued"
    ON_ITS_WAY = "on_its_way"
    """It has not ended yet, and is not queued twice."""
    UNKNOWN = "unknown"
    """The ledger does not know it: nothing was done."""
    DRY_RUN = "dry_run"
    """It would be queued."""


@dataclass(frozen=True, slots=True)
class Item:
    """One order: what was done about it, and where it stands; ``entry`` is None when the ledger does not know it."""

    store: str
    order_id: int
    result: Result
    entry: Entry | None = None

    @classmethod
    def planned(cls, store: str, order_id: int, entry: Entry | None) -> "Item":
        """What would be done about it."""
        on_its_way = entry is not None and entry.status is Status.QUEUED
        return cls(store, order_id, Result.ON_ITS_WAY if on_its_way else Result.DRY_RUN, entry)

    @property
    def has_ended_well(self) -> bool:
        """Whether nothing is left to do about it."""
        return self.entry is not None and self.entry.status in ENDED_WELL

    def as_dict(self) -> dict[str, Any]:
        """For scripts."""
        order = None if self.entry is None else as_dict(self.entry)
        return {"store": self.store, "order_id": self.order_id, "result": self.result.value, "order": order}

    def __str__(self) -> str:
        said = {
            Result.QUEUED: "queued",
            Result.ON_ITS_WAY: "is on its way already, not queued twice",
            Result.UNKNOWN: "is not known. Is it another store's? `enrich backfill` takes up orders of the past.",
            Result.DRY_RUN: f"would be queued; it is {self.entry.status if self.entry else 'not known yet'}",
        }[self.result]
        reason = why(self.entry) if self.entry else ""
        return f"order {self.order_id} of {self.store}: {said}" + (f" ({reason})" if reason else "")


@dataclass(frozen=True, slots=True)
class Manner:
    """How a command is to go about it. ``wait_s`` is how long to wait for the orders' ends, None for not at all."""

    dry_run: bool
    wait_s: float | None
    as_json: bool


async def carry_out(redis: Redis, items: Iterable[Item], source: str, manner: Manner) -> list[Item]:
    """Queue each order anew that is known and not on its way, and wait for their ends if that is wanted.

    ``source`` is what an entry will say that it was told by. Orders are told of as they go, unless the answer is JSON
    or comes after a wait. Errors are Redis's own; what was queued before one stays queued.
    """
    queue, ledger = Queue(redis), Ledger(redis)
    done = [await _queue(queue, ledger, item, source, manner) for item in items]
    sent = [item for item in done if item.result in (Result.QUEUED, Result.ON_ITS_WAY)]
    if not sent or manner.dry_run:
        return done
    if not (await queue.counts()).workers:
        typer.echo("No worker is alive: the orders wait until `enrich worker` or `enrich up` runs.", err=True)
    if manner.wait_s is None:
        return done
    await _wait(ledger, sent, manner.wait_s)
    return [replace(item, entry=await ledger.get(item.store, item.order_id)) for item in done]


def show(items: Sequence[Item], manner: Manner) -> None:
    """The table of what came of the orders, after a wait for their ends."""
    entries = [item.entry for item in items if item.entry]
    if entries and manner.wait_s is not None and not (manner.dry_run or manner.as_json):
        open_console().print(as_table(entries))


def exit_unless_well(items: Iterable[Item], manner: Manner) -> None:
    """Exit code 1 when an order is not known or, after a wait, has not ended well."""
    waited = manner.wait_s is not None and not manner.dry_run
    if any(item.result is Result.UNKNOWN or (waited and not item.has_ended_well) for item in items):
        raise typer.Exit(1)


async def _queue(queue: Queue, ledger: Ledger, item: Item, source: str, manner: Manner) -> Item:
    if item.result is not Result.UNKNOWN and not manner.dry_run:
        accepted = await queue.retry(item.store, item.order_id, source)
        result = Result.QUEUED if accepted is EnqueueResult.QUEUED else Result.ON_ITS_WAY
        item = replace(item, result=result, entry=await ledger.get(item.store, item.order_id))
    if item.result is Result.UNKNOWN:
        Console(stderr=True, highlight=False).print(Text(str(item)), soft_wrap=True)
    elif not manner.as_json and (manner.wait_s is None or manner.dry_run):
        open_console().print(Text(str(item)), soft_wrap=True)
    return item


async def _wait(ledger: Ledger, items: Sequence[Item], at_most_s: float) -> None:
    now = asyncio.get_running_loop().time
    until = now() + at_most_s
    console = Console(stderr=True)
    columns = TextColumn("waiting for the orders"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn()
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as progress:
        bar = progress.add_task("", total=len(items))
        while left := await _on_their_way(ledger, items):
            progress.update(bar, completed=len(items) - left)
            if now() >= until:
                break
            await asyncio.sleep(min(POLL_S, until - now()))
    if left:
        typer.echo(f"{left} of {len(items)} have not ended within {at_most_s:g} s; they go on by themselves.", err=True)


async def _on_their_way(ledger: Ledger, items: Iterable[Item]) -> int:
    by_store = defaultdict[str, list[int]](list)
    for item in items:
        by_store[item.store].append(item.order_id)
    standing = [await ledger.statuses(store, order_ids) for store, order_ids in by_store.items()]
    return sum(status is Status.QUEUED for statuses in standing for status in statuses.values())
