"""Orders on their way into the rules: read one by one while they are few, together when they come in a burst.

An order of its own takes Get an Order and, beside it, Get Order Metafields. The core quota is 150 calls in 30 seconds
on a Standard plan, so those that find others being read wait until a place is free, and all that wait by then are
read together: one Get All Orders call for up to 250 of them, and beside it one Get All Order Metafields.
"""

import asyncio
from collections.abc import Iterable, Sequence
from contextvars import Context
from dataclasses import dataclass, field

import structlog

from service.bigcommerce import Account, Priority, StoreApi, Transport
from service.bigcommerce.core import PER_PAGE, Core
from service.bigcommerce.models import to_int
from service.bigcommerce.transport import Caller
from service.errors import Refused
from service.orders.document.loading import Document, order_document, read_parts
from service.orders.document.metafield_lists import MetafieldLists, RecentMetafields
from service.orders.document.throttle import Throttle, ThrottledCaller
from service.rules import Needs

SINGLES = 4
"""Orders of a store that are read by themselves at the same time."""

LISTS = 4
"""Lists of orders in one batch: more only come of ids that lie far apart, and those can wait for the next."""

LIST_TIMEOUT_S = 5.0
"""Half an order's window: a list of 250 orders takes BigCommerce longer than one order."""


@dataclass(eq=False, slots=True)
class _Request:
    """An order that is wanted. ``told`` is its document, or None when its place has come to read it by itself."""

    api: StoreApi
    order_id: int
    needs: Needs
    created_hint: float | None
    told: asyncio.Future[Document | None]
    by_itself: bool = False  # lists did not do
    order: Document | None = None  # as a list told it, where only its metafields are missing

    @property
    def priority(self) -> Priority:
        return self.api.priority


@dataclass(frozen=True, slots=True)
class _Group:
    """Orders whose ids lie within reach of one list."""

    ids: range
    waiters: list[_Request] = field(default_factory=list)


class OrderLoader:
    """Reads one store's orders for all who want them in this process.

    While the core quota is short, orders are read in one go after another, paced so that what is left of it lasts
    until its reset. It needs no closing: whatever runs ends when nobody waits for it.
    """

    def __init__(self, transport: Transport, account: Account) -> None:
        self.account = account
        self._transport = transport
        self._pace = Throttle()
        self._waiting: list[_Request] = []
        self._singles: set[_Request] = set()
        self._members: list[_Request] = []
        self._batch: asyncio.Task[None] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._metafields = MetafieldLists(transport.upstream_clock)

    async def read(self, api: StoreApi, order_id: int, needs: Needs, *, created_hint: float | None = None) -> Document:
        """The same as ``read_order``, and the same errors: the order and, when they are named, its metafields.

        ``api`` is the order's: its priority decides who goes first, and the calls are counted there, those of a batch
        for the first of its orders. ``created_hint`` is when the order may have been created, in Unix seconds.
        NotFound is said by Get an Order only: a list may lag, or leave orders out.
        """
        waiter = _Request(api, order_id, needs, created_hint, asyncio.get_running_loop().create_future())
        self._waiting.append(waiter)
        self._dispatch()
        try:
            document = await waiter.told
            return await self._read_single(waiter) if document is None else document
        finally:
            self._leave(waiter)

    def _leave(self, waiter: _Request) -> None:
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

    def _next(self) -> _Request | None:
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

    async def _read_single(self, waiter: _Request) -> Document:
        caller, started_at = self._caller(waiter.priority, waiter.api.timeout_s), asyncio.get_running_loop().time()
        try:
            parts = await read_parts(Core(caller), waiter.order_id, waiter.needs, waiter.order)
        finally:
            waiter.api.calls += caller.calls
            self._pace.spend(caller.calls, started_at)
        return order_document(*parts)

    # ── many ────────────────────────────────────────────────────────────────────────────────────────────────

    def _start_batch(self, groups: Sequence[_Group]) -> None:
        self._members = [waiter for group in groups for waiter in group.waiters]
        members = set(self._members)
        self._waiting = [waiter for waiter in self._waiting if waiter not in members]
        # It is nobody's order in particular, so it has none of their log context.
        self._batch = asyncio.create_task(self._read_batch(groups), context=Context())
        self._batch.add_done_callback(self._end_batch)

    def _end_batch(self, batch: asyncio.Task[None]) -> None:
        error = None if batch.cancelled() else batch.exception()
        for waiter in self._members:
            if waiter.told.done() or waiter.by_itself:
                continue
            if error:
                waiter.told.set_exception(_own(error))
            else:
                waiter.told.cancel()  # the process stops
        self._waiting = [waiter for waiter in self._members if waiter.by_itself] + self._waiting
        self._members, self._batch = [], None
        self._dispatch()

    async def _read_batch(self, groups: Sequence[_Group]) -> None:
        structlog.contextvars.bind_contextvars(store=self.account.store_hash)
        started_at = asyncio.get_running_loop().time()
        wanting = [waiter for waiter in self._members if waiter.needs.metafields]
        callers = [
            self._caller(min((waiter.priority for waiter in waiters), default=Priority.CREATE), LIST_TIMEOUT_S)
            for waiters in (wanting, *(group.waiters for group in groups))
        ]
        hints = (waiter.created_hint for waiter in wanting)
        recent = asyncio.ensure_future(self._metafields.read(Core(callers[0]), hints, _namespaces(wanting)))
        listed = [asyncio.ensure_future(_list_orders(*each)) for each in zip(callers[1:], groups, strict=True)]
        try:
            await asyncio.gather(recent, *listed, return_exceptions=True)
        finally:
            calls = sum(caller.calls for caller in callers)
            self._members[0].api.calls += calls
            self._pace.spend(calls, started_at)
        for group, orders in zip(groups, listed, strict=True):
            for waiter in group.waiters:
                _tell(waiter, orders, recent)

    def _caller(self, priority: Priority, timeout_s: float) -> Caller:
        return ThrottledCaller(self._pace, self._transport, self.account, timeout_s=timeout_s, priority=priority)


def id_ranges(ids: Iterable[int]) -> dict[int, range]:
    """For each id the range that it is read with: as few as will do, none wider than one list is long."""
    groups: list[list[int]] = []
    for order_id in sorted(set(ids)):
        if groups and order_id - groups[-1][0] < PER_PAGE:
            groups[-1].append(order_id)
        else:
            groups.append([order_id])
    return {order_id: range(group[0], group[-1] + 1) for group in groups for order_id in group}


async def _list_orders(caller: Caller, group: _Group) -> dict[int | None, Document]:
    """What the list shows of the group's orders, by id; nothing where the API gives no such list."""
    consignments = any(waiter.needs.consignments for waiter in group.waiters)
    try:
        orders = await Core(caller).orders(min_id=group.ids[0], max_id=group.ids[-1], consignments=consignments)
    except Refused:
        return {}
    return {to_int(order.get("id")): order for order in orders}


def _tell(
    waiter: _Request, listed: asyncio.Future[dict[int | None, Document]], recent: asyncio.Future[RecentMetafields]
) -> None:
    """Give the waiter what the lists hold for it, or their error; else it is to be read by itself."""
    if waiter.told.done():
        return
    try:
        order = waiter.order = listed.result().get(waiter.order_id)
        metafields = recent.result().of(order) if order and waiter.needs.metafields else {}
    except Exception as error:
        waiter.told.set_exception(_own(error))
        return
    if order is None or metafields is None:
        waiter.by_itself = True
    else:
        waiter.told.set_result(order_document(order, metafields))


def _own(error: BaseException) -> BaseException:
    """The error for one of many who wait: raised by all, a shared one would gather all their tracebacks."""
    own = type(error).__new__(type(error), *error.args)
    vars(own).update(vars(error))
    own.__cause__ = error
    return own


def _namespaces(waiters: Iterable[_Request]) -> frozenset[str]:
    """Those that any of them needs; none when one of them needs all."""
    each = [waiter.needs.metafield_namespaces for waiter in waiters]
    return frozenset().union(*each) if all(each) else frozenset()
