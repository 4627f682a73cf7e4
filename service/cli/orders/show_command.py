"""``enrich orders show``: show everything that is known about one order."""

import asyncio
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from datetime import UTC, datetime
from typing import Annotated

import typer
from redis.asyncio import Redis
from rich.console import Console
from rich.table import Table
from rich.text import Text

from service.audit import Action, actions_of
from service.cli.common.ledger import open_ledger
from service.cli.common.options import StoreOption, choose_store
from service.cli.common.output import open_console, print_json
from service.cli.common.session import open_session
from service.cli.orders.as_buyer import BuyerSight, is_known, look_as_buyer, sight_as_dict, sight_parts
from service.cli.orders.entry_format import actions_table
from service.cli.orders.requeue import POLL_INTERVAL_S
from service.cli.orders.timeline import longest_step, timeline
from service.errors import ConfigError, Problem
from service.orders.entry_report import action_as_dict, as_dict, created_how, why
from service.orders.facts.fact import Fact, Known
from service.orders.facts.store_facts import Facts
from service.orders.facts.wording import sentence
from service.orders.state.ledger import Ledger
from service.orders.state.order_entry import Entry, Status
from service.orders.state.set_values import SetValue

_WINDOW_UNCERTAIN = "not certain: the order may have been made at another time than its date_created says"


def show_order(
    order_id: Annotated[int, typer.Argument(metavar="ORDER", help="The ID of the order in the store.", min=1)],
    store: StoreOption = None,
    as_buyer: Annotated[
        bool,
        typer.Option("--as-buyer", help="Add what the buyer sees in the Buyer Portal, held against the record."),
    ] = False,
    wait: Annotated[
        bool, typer.Option("--wait", help="Wait until the order is finished, also for one to come.")
    ] = False,
    timeout: Annotated[float, typer.Option(min=0, help="With --wait: the longest time to wait, in seconds.")] = 60.0,
    as_json: Annotated[bool, typer.Option("--json", help="Print a JSON object instead of text.")] = False,
) -> None:
    """Show what happened to one order, and how long each stage took.

    AT is the time since the order was created, STEP the time since the previous stage. The bars show the steps inside
    the order's window of ten seconds, which ends at the |. The longest step is drawn with #. A > stands for time after
    the window.

    With --as-buyer it asks BigCommerce what the order's buyer sees, for a buyer who says that the PO number is missing,
    and points out what differs from the record. It uses a token of the buyer and only reads. It costs up to eight calls
    of B2B Edition's quota, at the lowest priority. Exit code 1 when what the buyer sees could not be read.

    With --wait, exit code 1 if the order was not finished in time: it is shown as it is then.

    \b
    Example: enrich orders show 250 --store abc123
             enrich orders show 250 --as-buyer
             enrich orders show 250 --wait
    """
    show = _show(store, order_id, as_buyer=as_buyer, wait_s=timeout if wait else None)
    entry, known, actions, sight = asyncio.run(show)
    if as_json:
        facts = {"store_facts": {fact.value: found.value for fact, found in known.items()}} if known else {}
        done = {"actions": [action_as_dict(action) for action in actions]}
        print_json(as_dict(entry) | done | facts | ({"as_buyer": sight_as_dict(sight)} if sight else {}))
    else:
        _print(entry, known, actions, sight)
    is_in_time = not wait or entry.status is not Status.QUEUED
    if not is_in_time:
        typer.echo(f"Order {order_id} was not finished within {timeout:g} s. The workers continue with it.", err=True)
    if not is_in_time or (sight and not is_known(sight)):
        raise typer.Exit(1)


def _print(entry: Entry, known: Mapping[Fact, Known], actions: Sequence[Action], sight: BuyerSight | None) -> None:
    console = open_console()
    console.print(_facts(entry, known))
    if actions:
        console.print(actions_table(actions))
    console.print(timeline(entry))
    if longest := longest_step(entry):
        console.print(longest)
    for part in sight_parts(sight) if sight else ():
        console.print(part)


async def _show(
    store: str | None, order_id: int, *, as_buyer: bool, wait_s: float | None
) -> tuple[Entry, Mapping[Fact, Known], Sequence[Action], BuyerSight | None]:
    """The order's entry, what is known of its store, what people have done to it, and what the buyer sees if asked.

    ``wait_s`` is the longest time to wait for the order's end.
    """
    async with open_ledger(read_only=True) as (redis, stores):
        name = choose_store(store, stores)
        if wait_s is not None:
            await _wait(redis, name, order_id, wait_s)
        entry = await Ledger(redis).get(name, order_id)
        facts = await Facts(redis).of(name)
        actions = await actions_of(redis, name, order_id)
    if entry is None:
        raise _unknown(order_id, name, wait_s)
    sight = None
    if as_buyer:
        async with open_session(needs_redis=True) as session:
            sight = await look_as_buyer(session, session.store(name), order_id)
    return entry, facts.known, actions, sight


def _by_hand(value: SetValue) -> str:
    at = datetime.fromtimestamp(value.at, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
    return f"{value.text} (by {value.who}, {at})"


def _unknown(order_id: int, store: str, wait_s: float | None) -> ConfigError:
    place = f"order {order_id}"
    if wait_s is not None:
        message = f"did not come within {wait_s:g} s (store {store})."
        return ConfigError(
            Problem(place, message, "Run `enrich check`: it says whether webhooks and workers are in order.")
        )
    cure = "Orders are kept for 30 days (failed ones 90). Run `enrich orders list` to see them."
    return ConfigError(Problem(place, f"is unknown in store {store}.", cure))


async def _wait(redis: Redis, store: str, order_id: int, wait_s: float) -> None:
    """Wait until the order is finished, or waits for something itself; one that is unknown may still come."""
    ledger, now = Ledger(redis), asyncio.get_running_loop().time
    deadline = now() + wait_s
    console = Console(stderr=True)
    with console.status(f"waiting for order {order_id} …") if console.is_terminal else nullcontext():
        while (await ledger.statuses(store, [order_id])).get(order_id, Status.QUEUED) is Status.QUEUED:
            if (left := deadline - now()) <= 0:
                break
            await asyncio.sleep(min(POLL_INTERVAL_S, left))


def _facts(entry: Entry, known: Mapping[Fact, Known]) -> Table:
    facts = Table(box=None, show_header=False, pad_edge=False)
    facts.add_column(style="bold", no_wrap=True)
    facts.add_column(overflow="fold")
    rows = {
        "order": f"{entry.order_id} of {entry.store}",
        "outcome": entry.status.value + (f": {why(entry)}" if why(entry) else ""),
        "verified": {True: "yes", False: "no", None: "" if entry.status.is_final else "not yet"}[entry.verified],
        "PO number": entry.po_number or "none",
        **{f"field {name}": value for name, value in entry.fields.items()},
        **{
            f"set by hand {name}": _by_hand(value)
            for name, value in (entry.by_hand.values if entry.by_hand else {}).items()
        },
        **{f"not sent {name}": reason for name, reason in entry.dropped.items()},
        **({"kept": ", ".join(entry.kept) + " (the existing value was kept)"} if entry.kept else {}),
        **({"created": how} if (how := created_how(entry)) else {}),
        **({"window": f"missed: {entry.missed_reason}"} if entry.missed_reason else {}),
        **({"window": _WINDOW_UNCERTAIN} if entry.window_opened_at is not None else {}),
        "attempts": f"{entry.attempts}, {entry.upstream_calls} calls to BigCommerce",
        "source": entry.source or "",
        **({"store": "; ".join(sentence(fact, found.value) for fact, found in known.items())} if known else {}),
    }
    for name, value in rows.items():
        facts.add_row(Text(name), Text(value))
    return facts
