"""Takes up again what was skipped because its buyer seemed to belong to no Company.

Two jobs for each store, both in the lowest class of the quota. One holds these orders against B2B Edition's records, at
about one and ten minutes of their age: a record with a Company brings its order back. The other tries them again when
their buyers have become Company users. A missing record, or one that shows no Company, never ends anything.
"""

from collections.abc import Awaitable, Callable, Iterable
from typing import Any

import structlog
from arq import Retry

from service.bigcommerce import Account, Priority, StoreApi
from service.bigcommerce.models import Record
from service.errors import CredentialsRefused, NotFound, UpstreamError, WaitUntil
from service.logs import Event
from service.orders.document.cache import Cache
from service.orders.state.order_entry import Entry, Stage
from service.orders.state.worklists.skipped_orders import (
    COMPANY_USER,
    EVERYBODY,
    FIRST_CHECK_S,
    RECORD,
    is_over,
    is_skipped_for_buyer,
    next_step_in,
)
from workers.backoff import exponential_backoff, requeue
from workers.resources import Resources

log = structlog.get_logger()

# Orders are checked up to so much before they are due, so that one list serves many: never before 30 s of their age.
AHEAD_S = FIRST_CHECK_S - 30.0
BATCH_LIMIT = 200

# Orders that are further apart are looked for in lists of their own.
GAP_S = 300.0
# How far the clocks may differ on when a record was made, and how long after its order that is.
TOLERANCE_S = 180.0
MAX_PAGES = 50

LIST_TIMEOUT_S = 10.0
LONGEST_BACKOFF_S = 300.0
CREDENTIALS_RETRY_S = 60.0


class SkippedBuyers:
    """The jobs for orders that were skipped for their buyer."""

    def __init__(self, resources: Resources, *, clock: Callable[[], float]) -> None:
        """``clock`` is Redis's."""
        self._resources = resources
        self._clock = clock

    async def check(self, ctx: dict[str, Any], store: str) -> None:
        """Hold the orders that are due against the records of their time."""
        await self._run(ctx, store, self._check)

    async def retry(self, ctx: dict[str, Any], store: str) -> None:
        """Try the orders of customers again who are, or may be, Company users now."""
        await self._run(ctx, store, self._retry)

    async def _run(self, ctx: dict[str, Any], store: str, work: Callable[[StoreApi, float], Awaitable[None]]) -> None:
        configured = self._resources.configuration.stores.get(store)
        with structlog.contextvars.bound_contextvars(store=store):
            try:
                if configured is None:
                    await self._drop(store)
                    return
                if await self._resources.breaker.is_open(store):
                    raise Retry(defer=CREDENTIALS_RETRY_S)
                account = Account(store, configured.store.access_tokens)
                transport, lowest = self._resources.transport, Priority.BACKGROUND
                api = StoreApi(transport, account, timeout_s=LIST_TIMEOUT_S, priority=lowest)
                await work(api, configured.store.follow_s)
            except WaitUntil as wait:
                raise Retry(defer=max(wait.seconds, 1.0)) from wait
            except UpstreamError as error:
                log.info(Event.CHECK_POSTPONED, trouble=str(error))
                is_refused = isinstance(error, CredentialsRefused)
                delay = exponential_backoff(ctx["job_try"], longest_s=LONGEST_BACKOFF_S)
                raise Retry(defer=CREDENTIALS_RETRY_S if is_refused else delay) from error
            except Retry:
                raise
            except Exception as error:
                raise requeue(ctx, error) from error

    async def _drop(self, store: str) -> None:
        """The store is not configured any more."""
        skipped = self._resources.skipped
        await skipped.remove(store, *await skipped.all(store))
        if changes := await skipped.changes(store):
            await skipped.handled(store, changes)

    # ── held against the records ────────────────────────────────────────────────────────────────────────────

    async def _check(self, api: StoreApi, follow_s: float) -> None:
        store, skipped = api.account.store_hash, self._resources.skipped
        due = await skipped.due(store, ahead_s=AHEAD_S, most=BATCH_LIMIT)
        entries = {entry.order_id: entry for entry in await self._skipped_entries(store, due)}
        ages = {order_id: self._age(entry) for order_id, entry in entries.items()}
        over = [order_id for order_id in due if order_id not in ages or is_over(ages[order_id], follow_s=follow_s)]
        await skipped.remove(store, *over)
        for cluster in _clusters(entry for entry in entries.values() if entry.order_id not in over):
            companies = await _companies(api, cluster)
            for entry in cluster:
                if company_id := companies.get(entry.order_id):
                    await self._take_up(entry, company_id)
                elif (step_in := next_step_in(self._age(entry), follow_s=follow_s)) is not None:
                    await skipped.postpone(store, entry.order_id, self._clock() + step_in)
                else:
                    await skipped.remove(store, entry.order_id)

    async def _take_up(self, entry: Entry, company_id: int) -> None:
        """The record shows a Company: so the order is a Company's, and perhaps the customer's other orders are."""
        resources, store = self._resources, entry.store
        await self._requeue(entry, RECORD, company_id)
        if entry.customer_id:
            await Cache(resources.redis, store, clock=self._clock).forget_no_company_user(entry.customer_id)
            await resources.skipped.people_changed(store, entry.customer_id)

    # ── tried again because people changed ──────────────────────────────────────────────────────────────────

    async def _retry(self, api: StoreApi, follow_s: float) -> None:
        store, skipped = api.account.store_hash, self._resources.skipped
        changes = await skipped.changes(store)
        who = {change.partition(":")[0] for change in changes}
        latest = max((change for change in changes if change.startswith(EVERYBODY)), default=None)
        by_customer: dict[int, list[Entry]] = {}
        for entry in await self._skipped_entries(store, await skipped.all(store)):
            if self._age(entry) < follow_s:
                by_customer.setdefault(entry.customer_id or 0, []).append(entry)
        asked = await skipped.asked(store, latest) if latest else set()
        for customer_id, entries in by_customer.items():
            if str(customer_id) not in who:
                if latest is None or customer_id in asked:
                    continue
                is_user = await _is_company_user(api, customer_id)
                await skipped.note_asked(store, latest, customer_id)
                if not is_user:
                    continue
            await Cache(self._resources.redis, store, clock=self._clock).forget_no_company_user(customer_id)
            for entry in entries:
                await self._requeue(entry, COMPANY_USER)
        if changes:
            await skipped.handled(store, changes)

    async def _requeue(self, entry: Entry, source: str, company_id: int | None = None) -> None:
        store, order_id = entry.store, entry.order_id
        await self._resources.queue.retry(store, order_id, source, record_company_id=company_id)
        await self._resources.skipped.remove(store, order_id)
        log.info(Event.ORDER_TAKEN_UP, order_id=order_id, source=source)

    async def _skipped_entries(self, store: str, order_ids: list[int]) -> list[Entry]:
        """The entries of those that are still skipped for their buyer."""
        found: list[Entry] = []
        for start in range(0, len(order_ids), BATCH_LIMIT):
            batch = await self._resources.ledger.get_many(store, order_ids[start : start + BATCH_LIMIT])
            found += filter(is_skipped_for_buyer, batch)
        return found

    def _age(self, entry: Entry) -> float:
        """The order's age in seconds, on BigCommerce's clock."""
        return self._resources.transport.upstream_clock.now() - entry.times.get(Stage.CREATED, 0.0)


async def _companies(api: StoreApi, entries: list[Entry]) -> dict[int, int]:
    """The Company of each order whose record shows one, from all pages of the records made at that time."""
    times = [entry.times[Stage.CREATED] for entry in entries]
    found: dict[int, int] = {}
    offset: int | None = 0
    for _ in range(MAX_PAGES):
        page = await api.b2b.orders(
            min_created=int(min(times) - TOLERANCE_S), max_created=int(max(times) + TOLERANCE_S), offset=offset or 0
        )
        records = map(Record.model_validate, page.items)
        found |= {record.order_id: record.company_id for record in records if record.company_id}
        offset = page.next_offset
        if offset is None:
            break
    return found


async def _is_company_user(api: StoreApi, customer_id: int) -> bool:
    try:
        await api.b2b.user_of_customer(customer_id)
    except NotFound:
        return False
    return True


def _clusters(entries: Iterable[Entry]) -> list[list[Entry]]:
    """The orders in groups that were placed at about the same time."""
    clusters: list[list[Entry]] = []
    for entry in sorted(entries, key=lambda entry: entry.times.get(Stage.CREATED, 0.0)):
        last = clusters[-1][-1] if clusters else None
        if last and entry.times[Stage.CREATED] - last.times[Stage.CREATED] <= GAP_S:
            clusters[-1].append(entry)
        else:
            clusters.append([entry])
    return clusters
