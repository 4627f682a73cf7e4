"""Orders on their way into the rules: read one by one while they are few, together when they come in a burst.

An order of its own takes Get an Order and, beside it, Get Order Metafields. The core quota is 150 calls in 30 seconds
on a Standard plan, so those that find others being read wait until a place is free, and all that wait by then are
read together: one Get All Orders call for up to 250 of them, and beside it one Get All Order Metafields.
"""

import asyncio
import math
from collections import defaultdict
from collections.abc import Iterable, Sequence
from contextvars import Context
from dataclasses import dataclass, field
from typing import Any

import structlog

from service.bigcommerce import Account, Transport
from service.bigcommerce.budget import Priority
from service.bigcommerce.core import PER_PAGE, Core
from service.bigcommerce.models import to_int
from service.bigcommerce.transport import TIMEOUT_S, Answer, Call, Caller
from service.errors import OutOfBudget, Refused, WaitUntil
from service.orders.document import Document, Metafields, by_namespace, read_parts
from service.orders.pace import Pace
from service.orders.window import Window
from service.rules import Needs

SINGLES = 4
"""Orders of a store that are read by themselves at the same time."""

LISTS = 4
"""Lists of orders in one batch: more only come of ids that lie far apart, and those can wait for the next."""

LIST_TIMEOUT_S = 5.0
"""Half an order's window: a list of 250 orders takes BigCommerce longer than one order."""

RECENT_S = 60.0
"""Metafields are listed for orders no older than this: what is older would come with everything since."""

MARGIN_S = 5.0
"""An order may be that much older than what told of it says."""


@dataclass(frozen=True, slots=True)
class OrderReading:
    """What the order document is made of (see ``order_document``).

    ``calls`` were made for it; those of a batch count for the first of its orders, so that their sum is right.
    """

    order: Document
    metafields: Metafields
    calls: int


@dataclass(eq=False, slots=True)
class _Waiter:
    """An order that is wanted. ``told`` is its reading, or None when its place has come to read it by itself."""

    order_id: int
    needs: Needs
    created_hint: float | None
    priority: Priority
    told: asyncio.Future[OrderReading | None]
    by_itself: bool = False  # lists did not do
    order: Document | None = None  # as a list told it, where only its metafields are missing
    calls: int = 0


@dataclass(frozen=True, slots=True)
class _Group:
    """Orders whose ids lie within reach of one list."""

    ids: range
    waiters: list[_Waiter] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class _Recent:
    """The metafields of the orders created after ``since``, in Unix seconds of BigCommerce's clock."""

    since: float
    by_order: dict[int | None, Metafields]

    def covers(self, order: Document) -> bool:
        try:
            return Window.of_order(str(order.get("date_created"))).opened_at > self.since
        except ValueError:
            return False


_NONE = _Recent(math.inf, {})


class OrderReader:
    """Reads one store's orders for all who want them in this process.

    While the core quota is short, orders are read in one go after another, paced so that what is left of it lasts
    until its reset. It needs no closing: whatever runs ends when nobody waits for it.
    """

    def __init__(self, transport: Transport, account: Account) -> None:
        self._transport = transport
        self._account = account
        self._pace = Pace()
        self._waiting: list[_Waiter] = []
        self._singles: set[_Waiter] = set()
        self._members: list[_Waiter] = []
        self._batch: asyncio.Task[None] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._lists_metafields = False

    async def read(
        self,
        order_id: int,
        needs: Needs,
        *,
        created_hint: float | None = None,
        priority: Priority = Priority.CREATE,
    ) -> OrderReading:
        """The order and, when they are needed, its metafields. Raises UpstreamError's subclasses as calls do.

        ``created_hint`` is when the order may have been created, in Unix seconds. NotFound is said by Get an Order
        only: a list may lag, or leave orders out.
        """
        waiter = _Waiter(order_id, needs, created_hint, priority, asyncio.get_running_loop().create_future())
        self._waiting.append(waiter)
        self._dispatch()
        try:
            reading = await waiter.told
            return await self._read_single(waiter) if reading is None else reading
        finally:
            self._leave(waiter)

    def _leave(self, waiter: _Waiter) -> None:
        self._singles.discard(waiter)
        if self._batch and all(member.told.done() for member in self._members):
            self._batch.cancel()
        self._dispatch()

    # ── whose turn it is ────────────────────────────────────────────────────────────────────────────────────

    def _dispatch(self) -> None:
        """Let those go whose turn has come: called whenever an order comes, or a place becomes free."""
        self._waiting = [waiter for waiter in self._waiting if not waiter.told.done()]
        while first := self._next():
            groups = self._groups()
            if not first.by_itself and any(first in group.waiters for group in groups):
                self._start_batch(groups)
            else:
                self._waiting.remove(first)
                self._singles.add(first)
                first.told.set_result(None)

    def _next(self) -> _Waiter | None:
        """The most urgent one of those that need not wait any longer; of equals, who came first."""
        if not self._waiting or len(self._singles) >= SINGLES:
            return None
        if self._pace.is_short:
            if self._singles or self._batch:
                return None
            if pause := self._pace.pause_s:
                self._timer = self._timer or asyncio.get_running_loop().call_later(pause, self._go_on)
                return None
        ready = (waiter for waiter in self._waiting if waiter.by_itself or not self._batch)
        return min(ready, key=lambda waiter: waiter.priority, default=None)

    def _go_on(self) -> None:
        self._timer = None
        self._dispatch()

    def _groups(self) -> list[_Group]:
        """Those that lists can read, the most urgent ones first. Who has no other within reach is in none."""
        waiters = [waiter for waiter in self._waiting if not waiter.by_itself]
        reach = id_ranges(waiter.order_id for waiter in waiters)
        groups: dict[range, _Group] = {}
        for waiter in sorted(waiters, key=lambda waiter: waiter.priority):
            ids = reach[waiter.order_id]
            groups.setdefault(ids, _Group(ids)).waiters.append(waiter)
        return [group for group in groups.values() if len(group.waiters) > 1][:LISTS]

    # ── one ─────────────────────────────────────────────────────────────────────────────────────────────────

    async def _read_single(self, waiter: _Waiter) -> OrderReading:
        caller, started_at = self._caller(waiter.priority), asyncio.get_running_loop().time()
        try:
            order, metafields = await read_parts(Core(caller), waiter.order_id, waiter.needs, waiter.order)
        finally:
            self._pace.spend(caller.calls, started_at)
        return OrderReading(order, metafields, waiter.calls + caller.calls)

    # ── many ────────────────────────────────────────────────────────────────────────────────────────────────

    def _start_batch(self, groups: Sequence[_Group]) -> None:
        self._members = [waiter for group in groups for waiter in group.waiters]
        self._waiting = [waiter for waiter in self._waiting if waiter not in set(self._members)]
        # It is nobody's order in particular, so it has none of their log context.
        self._batch = asyncio.create_task(self._read_batch(groups), context=Context())

    async def _read_batch(self, groups: Sequence[_Group]) -> None:
        structlog.contextvars.bind_contextvars(store=self._account.store_hash)
        members, started_at = self._members, asyncio.get_running_loop().time()
        callers = [self._caller(_most_urgent(group.waiters), LIST_TIMEOUT_S) for group in groups]
        wanting = [waiter for waiter in members if waiter.needs.metafields]
        caller = self._caller(_most_urgent(wanting or members), LIST_TIMEOUT_S)
        try:
            recent, *listed = await asyncio.gather(
                self._recent_metafields(caller, wanting),
                *map(_list_orders, callers, groups),
                return_exceptions=True,
            )
            members[0].calls += sum(each.calls for each in (caller, *callers))
            for group, orders in zip(groups, listed, strict=True):
                for waiter in group.waiters:
                    self._tell(waiter, orders, recent)
        finally:
            self._pace.spend(sum(each.calls for each in (caller, *callers)), started_at)
            self._batch = None
            self._waiting = [waiter for waiter in members if waiter.by_itself] + self._waiting
            for waiter in members:
                if not waiter.by_itself:
                    waiter.told.cancel()  # only where the process stops: they were told otherwise
            self._dispatch()
