"""``enrich orders assign`` and ``reassign``: move a buyer's orders to a Company, and enrich them."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Annotated

import typer
from redis.asyncio import Redis

from service import audit
from service.bigcommerce import StoreApi
from service.bigcommerce.clients.core_api import PER_PAGE, Core
from service.bigcommerce.models import to_int
from service.cli.common.options import DryRunOption, StoreOption, YesOption, confirm
from service.cli.common.output import print_json
from service.cli.common.session import Session, open_session
from service.cli.common.writes import require_writes
from service.cli.orders.requeue import (
    RequeueItem,
    RequeueOptions,
    TimeoutOption,
    WaitOption,
    exit_on_failure,
    requeue_orders,
    show_results,
)
from service.errors import ConfigError, NotFound, Problem
from service.orders.document.cache import Cache
from service.orders.state.ledger import Ledger
from service.orders.state.order_entry import Entry, Status

CustomerOption = Annotated[
    int, typer.Option("--customer", metavar="ID", min=1, help="The buyer's customer ID in the store.")
]


@dataclass(frozen=True, slots=True)
class Move:
    """A move of a buyer's orders: to the Company of a customer group, or to the buyer's own Company."""

    customer_id: int
    group_id: int | None = None

    @property
    def source(self) -> str:
        """The source that the orders' entries will have."""
        return "assign" if self.group_id is None else "reassign"

    async def execute(self, api: StoreApi) -> int:
        """Move the orders in B2B Edition; returns how many it moved. Raises ConfigError for a wrong ID."""
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
                    f"was refused by B2B Edition ({refused.message}).",
                    "It must be the customer group of one Company, in a store with Dependent Companies.",
                )
            ) from refused


@dataclass(frozen=True, slots=True)
class Plan:
    """A move and its effect: ``items`` will be queued, ``unchanged`` counts the other orders by status."""

    move: Move
    store: str
    company_id: int | None
    items: Sequence[RequeueItem]
    unchanged: Counter[Status]

    def __str__(self) -> str:
        target = f"Company {self.company_id}" if self.move.group_id is None else f"customer group {self.move.group_id}"
        return (
            f"Move orders of customer {self.move.customer_id} of store {self.store} to {target}, "
            f"and enrich {len(self.items)} of their {len(self.items) + self.unchanged.total()} orders"
        )


def assign_orders(
    customer_id: CustomerOption,
    store: StoreOption = None,
    dry_run: DryRunOption = False,
    yes: YesOption = False,
    wait: WaitOption = False,
    timeout: TimeoutOption = 60.0,
    as_json: Annotated[bool, typer.Option("--json", help="Print a JSON object instead of text.")] = False,
) -> None:
    """Move a buyer's earlier orders to the Company, and enrich them.

    For orders that the buyer placed before joining the Company. B2B Edition moves them (Assign Customer Orders to
    Company); this command cannot undo that. Then it queues the buyer's orders that are unknown here, failed, or were
    skipped as not_a_company_user. Other orders are not changed. It asks for confirmation first, and may be run again.
    Needs Redis.

    Exit code 1 with --wait if an order failed or was not finished in time.

    Example: enrich orders assign --customer 321 --wait
    """
    _run(Move(customer_id), store, yes, RequeueOptions(dry_run, timeout if wait else None, as_json))


def reassign_orders(
    customer_id: CustomerOption,
    group_id: Annotated[
        int, typer.Option("--group", metavar="ID", min=1, help="The customer group of the Company to move them to.")
    ],
    store: StoreOption = None,
    dry_run: DryRunOption = False,
    yes: YesOption = False,
    wait: WaitOption = False,
    timeout: TimeoutOption = 60.0,
    as_json: Annotated[bool, typer.Option("--json", help="Print a JSON object instead of text.")] = False,
) -> None:
    """Move a buyer's orders to another Company, and enrich them.

    Only for stores with the legacy Dependent Companies behavior. B2B Edition moves the orders (Reassign Orders to a
    Different Company), not the buyer. Then the command queues the buyer's orders that are unknown here, failed, or
    were skipped as not_a_company_user. Other orders keep their values. It asks for confirmation first, and may be run
    again. Needs Redis.

    Exit code 1 with --wait if an order failed or was not finished in time.

    Example: enrich orders reassign --customer 321 --group 12 --wait
    """
    _run(Move(customer_id, group_id), store, yes, RequeueOptions(dry_run, timeout if wait else None, as_json))


def _run(move: Move, store: str | None, yes: bool, options: RequeueOptions) -> None:
    plan = asyncio.run(_plan(move, store))
    if not options.dry_run:
        confirm(f"{plan}?", yes=yes)
    moved, items = asyncio.run(_move_and_requeue(plan, options))
    if options.as_json:
        print_json(
            {
                "store": plan.store,
                "customer_id": move.customer_id,
                "group_id": move.group_id,
                "company_id": plan.company_id,
                "moved": moved,
                "left_alone": {status.value: count for status, count in plan.unchanged.items()},
                "orders": [item.as_dict() for item in items],
            }
        )
    elif plan.unchanged:
        counts = ", ".join(f"{count} {status}" for status, count in sorted(plan.unchanged.items()))
        typer.echo(f"Not changed: {counts}.")
    show_results(items, options)
    exit_on_failure(items, options)


@asynccontextmanager
async def _open() -> AsyncIterator[tuple[Session, Redis]]:
    """A session with a working Redis: orders must not be moved if they cannot be queued afterwards."""
    async with open_session(needs_redis=True) as session:
        assert session.redis is not None
        await session.redis.ping()
        yield session, session.redis


async def _plan(move: Move, wanted: str | None) -> Plan:
    """Find the buyer's orders and decide which to queue. Changes nothing."""
    async with _open() as (session, redis):
        configured = session.store(wanted)
        store, api = configured.store.hash, session.api(configured)
        try:
            user = await api.b2b.user_of_customer(move.customer_id)
        except NotFound as missing:
            raise _no_company_user(move.customer_id, missing) from missing
        order_ids = await _orders_of(api.core, move.customer_id)
        entries = {entry.order_id: entry for entry in await Ledger(redis).get_many(store, order_ids)}
    to_queue = [order_id for order_id in order_ids if _needs_requeue(entries.get(order_id))]
    return Plan(
        move,
        store,
        to_int(user.get("companyId")),
        [RequeueItem.planned(store, order_id, entries.get(order_id)) for order_id in to_queue],
        Counter(entries[order_id].status for order_id in order_ids if order_id not in to_queue),
    )


async def _move_and_requeue(plan: Plan, options: RequeueOptions) -> tuple[int | None, list[RequeueItem]]:
    """Move the orders, then queue them. Returns how many were moved (None in a dry run) and the items."""
    async with _open() as (session, redis):
        moved = None
        if options.dry_run:
            message = f"Dry run: {plan}."
        else:
            await require_writes(redis, session.store(plan.store), f"enrich orders {plan.move.source}")
            moved = await plan.move.execute(session.api(session.store(plan.store)))
            detail = f"customer {plan.move.customer_id}, {moved} orders moved"
            action = audit.ActionName(f"orders {plan.move.source}")
            await audit.record(redis, audit.Action(audit.system_user(), action, plan.store, detail=detail))
            # The workers remember for five minutes who is in no Company, and would skip the buyer's new orders too.
            await Cache(redis, plan.store).forget_no_company_user(plan.move.customer_id)
            message = f"B2B Edition moved {moved} orders of customer {plan.move.customer_id}."
        if not options.as_json:
            typer.echo(message)
        return moved, await requeue_orders(redis, plan.items, plan.move.source, options)


async def _orders_of(core: Core, customer_id: int) -> list[int]:
    """The ids of all the customer's orders."""
    found: list[int] = []
    while True:
        last = found[-1] if found else 0
        # Whether min_id is inclusive is not documented.
        page = await core.orders(customer_id=customer_id, min_id=last or None)
        # Never touch an order of another customer, whatever the list returns.
        own = [order for order in page if to_int(order.get("customer_id")) == customer_id]
        ids = sorted(order_id for order in own if (order_id := to_int(order.get("id"))) and order_id > last)
        found += ids
        if len(page) < PER_PAGE or not ids:
            return found


def _needs_requeue(entry: Entry | None) -> bool:
    """Whether the order may be enriched now that it has been moved."""
    if entry is None or entry.status is Status.FAILED:
        return True
    return entry.status is Status.SKIPPED and entry.reason == "not_a_company_user"


def _no_company_user(customer_id: int, refused: NotFound) -> ConfigError:
    return ConfigError(
        Problem(
            f"--customer {customer_id}",
            f"is not a Company user ({refused.message}).",
            "Add the buyer to a Company in B2B Edition first. Use the customer ID of the store.",
        )
    )
