"""``enrich orders assign`` and ``reassign``: a buyer's orders move to a Company, and are enriched there."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Annotated

import typer
from redis.asyncio import Redis

from service.bigcommerce import StoreApi
from service.bigcommerce.core import PER_PAGE, Core
from service.bigcommerce.models import to_int
from service.cli.common.options import DryRunOption, StoreOption, YesOption, confirm
from service.cli.common.output import print_json
from service.cli.common.session import Session, open_session
from service.cli.orders.requeue import (
    Item,
    Manner,
    TimeoutOption,
    WaitOption,
    carry_out,
    exit_unless_well,
    show,
)
from service.errors import ConfigError, NotFound, Problem
from service.orders.document.cache import Cache
from service.orders.state.entry import Entry, Status
from service.orders.state.ledger import Ledger

CustomerOption = Annotated[
    int, typer.Option("--customer", metavar="ID", min=1, help="The buyer's customer id in the store.")
]


@dataclass(frozen=True, slots=True)
class Move:
    """What B2B Edition is asked for: a buyer's orders to the Company of a customer group, or to their own."""

    customer_id: int
    group_id: int | None = None

    @property
    def source(self) -> str:
        """What an order's entry will say that it was told by."""
        return "assign" if self.group_id is None else "reassign"

    async def ask(self, api: StoreApi) -> int:
        """Have the orders moved; how many B2B Edition says there were. Raises ConfigError for a wrong id."""
        try:
            if self.group_id is None:
                return await api.b2b.assign_customer_orders(self.customer_id)
            return await api.b2b.reassign_orders(self.customer_id, self.group_id)
        except NotFound as refused:
            if self.group_id is None:
                raise _no_company_user(self.customer_id, refused) from refused
            raise ConfigError(
                Problem(
                    f"--group {self.group_id}",
                    f"is refused by B2B Edition ({refused.message}).",
                    "It must be the customer group of one Company, in a store with Dependent Companies.",
                )
            ) from refused


@dataclass(frozen=True, slots=True)
class Plan:
    """A move and what it will bring: ``items`` are to be queued, ``left`` counts the orders that are left alone."""

    move: Move
    store: str
    company_id: int | None
    items: Sequence[Item]
    left: Counter[Status]

    def __str__(self) -> str:
        target = f"Company {self.company_id}" if self.move.group_id is None else f"customer group {self.move.group_id}"
        return (
            f"Move orders of customer {self.move.customer_id} of store {self.store} to {target}, "
            f"and enrich {len(self.items)} of their {len(self.items) + self.left.total()} orders"
        )


def assign_orders(
    customer_id: CustomerOption,
    store: StoreOption = None,
    dry_run: DryRunOption = False,
    yes: YesOption = False,
    wait: WaitOption = False,
    timeout: TimeoutOption = 60.0,
    as_json: Annotated[bool, typer.Option("--json", help="A JSON object instead of text.")] = False,
) -> None:
    """Move a buyer's earlier orders to the Company, and enrich them.

    They are those from before the buyer joined it. B2B Edition moves them (Assign Customer Orders to Company), which
    cannot be taken back here. Then those of the buyer's orders are queued that are not known, were skipped as
    not_a_company_user, or failed; the others are left alone. May be run again. Needs Redis, and asks first.

    Exit code 1 with --wait if any order has failed or has not ended in time.

    Example: enrich orders assign --customer 321 --wait
    """
    _go(Move(customer_id), store, yes, Manner(dry_run, timeout if wait else None, as_json))


def reassign_orders(
    customer_id: CustomerOption,
    group_id: Annotated[
        int, typer.Option("--group", metavar="ID", min=1, help="The customer group of the Company they go to.")
    ],
    store: StoreOption = None,
    dry_run: DryRunOption = False,
    yes: YesOption = False,
    wait: WaitOption = False,
    timeout: TimeoutOption = 60.0,
    as_json: Annotated[bool, typer.Option("--json", help="A JSON object instead of text.")] = False,
) -> None:
    """Move a user's orders to another Company, and enrich them.

    Only for stores with the legacy Dependent Companies behaviour. B2B Edition moves the orders (Reassign Orders to a
    Different Company), not the user. Then those of the buyer's orders are queued that are not known, were skipped as
    not_a_company_user, or failed; the others keep their values. May be run again. Needs Redis, and asks first.

    Exit code 1 with --wait if any order has failed or has not ended in time.

    Example: enrich orders reassign --customer 321 --group 12 --wait
    """
    _go(Move(customer_id, group_id), store, yes, Manner(dry_run, timeout if wait else None, as_json))


def _go(move: Move, store: str | None, yes: bool, manner: Manner) -> None:
    plan = asyncio.run(_plan(move, store))
    if not manner.dry_run:
        confirm(f"{plan}?", yes=yes)
    moved, items = asyncio.run(_carry_out(plan, manner))
    if manner.as_json:
        print_json(
            {
                "store": plan.store,
                "customer_id": move.customer_id,
                "group_id": move.group_id,
                "company_id": plan.company_id,
                "moved": moved,
                "left_alone": {status.value: count for status, count in plan.left.items()},
                "orders": [item.as_dict() for item in items],
            }
        )
    elif plan.left:
        counts = ", ".join(f"{count} {status}" for status, count in sorted(plan.left.items()))
        typer.echo(f"Left alone: {counts}.")
    show(items, manner)
    exit_unless_well(items, manner)


@asynccontextmanager
async def _open() -> AsyncIterator[tuple[Session, Redis]]:
    """A session with a Redis that answers: what cannot be queued afterwards is not to be moved."""
    async with open_session(needs_redis=True) as session:
        assert session.redis is not None
        await session.redis.ping()
        yield session, session.redis


async def _plan(move: Move, wanted: str | None) -> Plan:
    """Read what there is. Nothing is changed."""
    async with _open() as (session, redis):
        configured = session.store(wanted)
        store, api = configured.store.hash, session.api(configured)
        try:
            user = await api.b2b.user_of_customer(move.customer_id)
        except NotFound as missing:
            raise _no_company_user(move.customer_id, missing) from missing
        order_ids = await _orders_of(api.core, move.customer_id)
        entries = {entry.order_id: entry for entry in await Ledger(redis).get_many(store, order_ids)}
    open_ids = [order_id for order_id in order_ids if _is_open(entries.get(order_id))]
    return Plan(
        move,
        store,
        to_int(user.get("companyId")),
        [Item.planned(store, order_id, entries.get(order_id)) for order_id in open_ids],
        Counter(entries[order_id].status for order_id in order_ids if order_id not in open_ids),
    )


async def _carry_out(plan: Plan, manner: Manner) -> tuple[int | None, list[Item]]:
    """Move the orders, then queue them; how many were moved, None in a dry run."""
    async with _open() as (session, redis):
        moved = None
        if manner.dry_run:
            said = f"Dry run: {plan}."
        else:
            moved = await plan.move.ask(session.api(session.store(plan.store)))
            # The workers skip who is remembered to be in no Company, for an hour: new orders of the buyer too.
            await Cache(redis, plan.store).forget_no_company_user(plan.move.customer_id)
            said = f"B2B Edition moved {moved} orders of customer {plan.move.customer_id}."
        if not manner.as_json:
            typer.echo(said)
        return moved, await carry_out(redis, plan.items, plan.move.source, manner)


async def _orders_of(core: Core, customer_id: int) -> list[int]:
    """The ids of all the customer's orders."""
    found: list[int] = []
    while True:
        last = found[-1] if found else 0
        # Whether min_id is part of what it asks for is not documented.
        page = await core.orders(customer_id=customer_id, min_id=last or None)
        # Whatever else the list should hold is nothing to touch.
        theirs = [order for order in page if to_int(order.get("customer_id")) == customer_id]
        ids = sorted(order_id for order in theirs if (order_id := to_int(order.get("id"))) and order_id > last)
        found += ids
        if len(page) < PER_PAGE or not ids:
            return found


def _is_open(entry: Entry | None) -> bool:
    """Whether the move may have brought what the order lacked."""
    if entry is None or entry.status is Status.FAILED:
        return True
    return entry.status is Status.SKIPPED and entry.reason == "not_a_company_user"


def _no_company_user(customer_id: int, refused: NotFound) -> ConfigError:
    return ConfigError(
        Problem(
            f"--customer {customer_id}",
            f"is no Company user ({refused.message}).",
            "Add the buyer to a Company in B2B Edition first; the id is the store's customer id.",
        )
    )
