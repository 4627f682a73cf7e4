"""Loads orders of one store, and batches the requests of a burst into list calls (the DataLoader pattern).

An order alone takes Get an Order and, in parallel, Get Order Metafields. The core quota is 150 calls in 30 seconds
on a Standard plan. So only a few orders are read alone at the same time. The other requests wait until a slot is
free, and then all waiting requests are one batch: one Get All Orders call for up to 250 orders and, in parallel, one
Get All Order Metafields call. Such a call also reads orders that nobody asks for yet, but somebody will: that costs no
call more.
"""

import asyncio
from collections.abc import Iterable, Sequence
from contextvars import Context
from dataclasses import dataclass, field

import structlog

from service.bigcommerce import Account, Priority, StoreApi, Transport
from service.bigcommerce.clients.core_api import Core
from service.bigcommerce.complete_answers import is_complete_order
from service.bigcommerce.models import to_int
from service.bigcommerce.transport import Caller
from service.errors import Refused
from service.orders.document.id_ranges import id_ranges
from service.orders.document.kept_orders import OrderParts, near
from service.orders.document.loading import Document, by_namespace
from service.orders.document.metafield_lists import NO_LIST, MetafieldLists, RecentMetafields
from service.orders.document.throttle import Throttle, ThrottledCaller
from service.rules import Needs

MAX_SINGLES = 4
"""How many orders of a store are read alone at the same time."""

MAX_LISTS_PER_BATCH = 4
"""Ids that lie far apart need one list each. More lists than this wait for the next batch."""

LIST_TIMEOUT_S = 5.0
"""Half an order's window: a list of 250 orders takes BigCommerce longer than one order."""


@dataclass(eq=False, slots=True)
class _Request:
    """A request for one order. ``result`` is its document, or None when the caller is to read what is missing alone."""

    api: StoreApi
    parts: OrderParts
    asked_at: float
    result: asyncio.Future[Document | None]
    read_alone: bool = False  # a batch could not answer it
    is_extra: bool = False  # nobody waits for it: it is read in a list, or not at all

    @property
    def order_id(self) -> int:
        return self.parts.order_id

    @property
    def needs(self) -> Needs:
        return self.parts.needs

    @property
    def priority(self) -> Priority:
        return self.api.priority


@dataclass(frozen=True, slots=True)
class _Group:
    """Requests that one list call can answer: their ids are close enough together."""

    ids: range
    requests: list[_Request] = field(default_factory=list)


class OrderLoader:
    """Loads the orders of one store for all tasks of this process.

    While the core quota is short, only one single or one batch is read at a time, with a pause after it, so that the
    remaining calls last until the quota resets. There is nothing to close: reads end when nobody waits for them.
    """

    def __init__(self, transport: Transport, account: Account) -> None:
        self.account = account
        self._transport = transport
        self._throttle = Throttle()
        self._queued: list[_Request] = []
        self._singles: set[_Request] = set()
        self._batched: list[_Request] = []
        self._batch: asyncio.Task[None] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._metafields = MetafieldLists(transport.upstream_clock)

    async def read(self, api: StoreApi, order_id: int, needs: Needs, *, created_hint: float | None = None) -> Document:
        """Load an order and, if ``needs`` names them, its metafields. Same result and errors as ``read_order``.

        ``api`` is the order's own: its priority decides who goes first, and it counts the calls. The calls of a batch
        count for the first of its orders. ``created_hint`` is when the order may have been created, in Unix seconds.
        NotFound comes from Get an Order only, because a list may be late or incomplete.
        """
        return await self.complete(api, OrderParts(order_id, needs, created_hint))

    async def complete(
        self, api: StoreApi, parts: OrderParts, *, asked_at: float = 0.0, others: Iterable[OrderParts] = ()
    ) -> Document:
        """Read what the parts of an order lack, and return its document, as ``read`` does.

        An error leaves in the parts what was read in spite of it. The parts of ``others`` are filled as well where
        they can share this order's list calls. ``asked_at`` is now, on the clock of these parts.
        """
        loop = asyncio.get_running_loop()
        request = _Request(api, parts, asked_at, loop.create_future())
        extra = [_Request(api, other, asked_at, loop.create_future(), is_extra=True) for other in near(parts, others)]
        self._queued += [request, *extra]
        self._dispatch()
        try:
            document = await request.result
            return await self._read_single(request) if document is None else document
        finally:
            for each in extra:
                each.result.cancel()
            self._release(request)

    def _release(self, request: _Request) -> None:
        self._singles.discard(request)
        if self._batch and all(member.result.done() for member in self._batched):
            self._batch.cancel()
        self._dispatch()

    # ── scheduling ──────────────────────────────────────────────────────────────────────────────────────────

    def _dispatch(self) -> None:
        """Start every request that need not wait. Called when a request comes and when a slot becomes free."""
        for request in self._queued:
            # What it lacked may have been read for another order meanwhile.
            if not request.is_extra and not request.result.done() and (document := request.parts.document()):
                request.result.set_result(document)
        self._queued = [request for request in self._queued if not request.result.done()]
        while first := self._next():
            groups = self._groups()
            if not first.read_alone and any(first in group.requests for group in groups):
                self._start_batch(groups)
            elif first.is_extra:
                self._queued.remove(first)
                first.result.cancel()
            else:
                self._queued.remove(first)
                self._singles.add(first)
                first.result.set_result(None)

    def _next(self) -> _Request | None:
        """The most urgent request that may start now; the oldest of equally urgent ones."""
        if not self._queued or len(self._singles) >= MAX_SINGLES:
            return None
        if self._throttle.is_short:
            if self._singles or self._batch:
                return None
            if pause := self._throttle.pause_s:
                self._timer = self._timer or asyncio.get_running_loop().call_later(pause, self._on_timer)
                return None
        ready = (request for request in self._queued if request.read_alone or not self._batch)
        return min(ready, key=lambda request: request.priority, default=None)

    def _on_timer(self) -> None:
        self._timer = None
        self._dispatch()

    def _groups(self) -> list[_Group]:
        """Group the queued requests by list call, the most urgent first. A request alone in its range is left out."""
        requests = [request for request in self._queued if not request.read_alone]
        ranges = id_ranges(request.order_id for request in requests)
        groups: dict[range, _Group] = {}
        for request in sorted(requests, key=lambda request: request.priority):
            ids = ranges[request.order_id]
            groups.setdefault(ids, _Group(ids)).requests.append(request)
        return [group for group in groups.values() if len(group.requests) > 1][:MAX_LISTS_PER_BATCH]

    # ── single ──────────────────────────────────────────────────────────────────────────────────────────────

    async def _read_single(self, request: _Request) -> Document:
        caller, started_at = self._caller(request.priority, request.api.timeout_s), asyncio.get_running_loop().time()
        try:
            await _read_missing(Core(caller), request)
        finally:
            request.api.calls += caller.calls
            self._throttle.spend(caller.calls, started_at)
        document = request.parts.document()
        assert document is not None, "every missing part was read"
        return document

    # ── batch ───────────────────────────────────────────────────────────────────────────────────────────────

    def _start_batch(self, groups: Sequence[_Group]) -> None:
        self._batched = [request for group in groups for request in group.requests]
        batched = set(self._batched)
        self._queued = [request for request in self._queued if request not in batched]
        # The task belongs to no single order, so it gets an empty log context.
        self._batch = asyncio.create_task(self._read_batch(groups), context=Context())
        self._batch.add_done_callback(self._end_batch)

    def _end_batch(self, batch: asyncio.Task[None]) -> None:
        error = None if batch.cancelled() else batch.exception()
        for request in self._batched:
            if request.result.done() or request.read_alone:
                continue
            if error and not request.is_extra:
                request.result.set_exception(_copy_error(error))
            else:
                request.result.cancel()  # the process stops
        self._queued = [request for request in self._batched if request.read_alone] + self._queued
        self._batched, self._batch = [], None
        self._dispatch()

    async def _read_batch(self, groups: Sequence[_Group]) -> None:
        structlog.contextvars.bind_contextvars(store=self.account.store_hash)
        started_at = asyncio.get_running_loop().time()
        with_metafields = [request for request in self._batched if request.needs.metafields]
        callers = [
            self._caller(min((request.priority for request in requests), default=Priority.CREATE), LIST_TIMEOUT_S)
            for requests in (with_metafields, *(group.requests for group in groups))
        ]
        listed = [asyncio.ensure_future(_list_orders(*each)) for each in zip(callers[1:], groups, strict=True)]

        async def read_metafields() -> RecentMetafields:
            if callers[0].priority is not Priority.CREATE:
                # Nothing is urgent, and there may be quota for one call only: without orders, this one is in vain.
                await asyncio.wait(listed)
                if all(orders.exception() for orders in listed):
                    return NO_LIST
            hints = (request.parts.created_hint for request in with_metafields)
            return await self._metafields.read(Core(callers[0]), hints, _namespaces(with_metafields))

        recent = asyncio.ensure_future(read_metafields())
        try:
            await asyncio.gather(recent, *listed, return_exceptions=True)
        finally:
            calls = sum(caller.calls for caller in callers)
            self._batched[0].api.calls += calls
            self._throttle.spend(calls, started_at)
        for group, orders in zip(groups, listed, strict=True):
            for request in group.requests:
                _resolve(request, orders, recent)

    def _caller(self, priority: Priority, timeout_s: float) -> Caller:
        return ThrottledCaller(self._throttle, self._transport, self.account, timeout_s=timeout_s, priority=priority)


async def _read_missing(core: Core, request: _Request) -> None:
    """Read what the request's parts lack, at the same time. What could be read is kept when the rest could not."""
    parts, needs = request.parts, request.needs

    async def read_order() -> None:
        order = await core.order(request.order_id, consignments=needs.consignments)
        parts.fill(request.asked_at, order=order)

    async def read_metafields() -> None:
        parts.fill(request.asked_at, metafields=by_namespace(await core.metafields(request.order_id)))

    missing = [read_order()] if parts.order is None else []
    if needs.metafields and parts.metafields is None:
        missing.append(read_metafields())
    await asyncio.gather(*missing)


async def _list_orders(caller: Caller, group: _Group) -> dict[int | None, Document]:
    """The group's orders by id, from one list call. Empty when the API refuses the list."""
    known: dict[int | None, Document] = {
        request.order_id: request.parts.order for request in group.requests if request.parts.order is not None
    }
    if all(request.order_id in known for request in group.requests if not request.is_extra):
        return known  # only their metafields are missing
    consignments = any(request.needs.consignments for request in group.requests)
    try:
        orders = await Core(caller).orders(min_id=group.ids[0], max_id=group.ids[-1], consignments=consignments)
    except Refused:
        return {}
    return {to_int(order["id"]): order for order in orders if is_complete_order(order, consignments=consignments)}


def _resolve(
    request: _Request, listed: asyncio.Future[dict[int | None, Document]], recent: asyncio.Future[RecentMetafields]
) -> None:
    """Set the request's result or error from the lists; mark it ``read_alone`` when they lack a part of it."""
    if request.result.done():
        return
    try:
        order = listed.result().get(request.order_id)
        if order is not None and order is not request.parts.order:
            request.parts.fill(request.asked_at, order=order)
        if order and request.needs.metafields:
            request.parts.fill(request.asked_at, metafields=recent.result().of(order))
    except Exception as error:
        if not request.is_extra:
            request.result.set_exception(_copy_error(error))
        return
    if request.is_extra:
        return
    document = request.parts.document() if order else None
    if document is None:
        request.read_alone = True
    else:
        request.result.set_result(document)


def _copy_error(error: BaseException) -> BaseException:
    """A copy for one request. One error raised by several tasks would collect the tracebacks of all of them."""
    copy = type(error).__new__(type(error), *error.args)
    vars(copy).update(vars(error))
    copy.__cause__ = error
    return copy


def _namespaces(requests: Iterable[_Request]) -> frozenset[str]:
    """The metafield namespaces that any of the requests needs; empty (no filter) when one of them needs all."""
    each = [request.needs.metafield_namespaces for request in requests]
    return frozenset().union(*each) if all(each) else frozenset()
