"""Loads order documents for people to look at: a part that cannot be read becomes a gap, not an error.

Nothing here is urgent, and nothing is written.
"""

import asyncio
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

from service.bigcommerce import StoreApi
from service.bigcommerce.clients.core_api import PER_PAGE
from service.bigcommerce.models import to_int
from service.errors import CredentialsRefused, EnrichError, NotFound, Refused, TryAgain
from service.orders.create_window import Window
from service.orders.document.cache import Cache
from service.orders.document.loading import (
    Document,
    Metafields,
    NoCompanyUser,
    by_name,
    by_namespace,
    order_document,
    read_parts,
    read_people,
)
from service.orders.document.sources import no_sources, source_readers
from service.rules import Needs

MAX_CONCURRENT_ORDERS = 8
"""Orders whose parts are read at the same time. Few, so that an order in its window still finds a free connection."""

TIME_ZONE_MARGIN_S = 14 * 3600
"""The time zone of the metafield list's ``date_created:min`` is not documented. None is further from UTC."""

MIN_LIST_SPAN_S = 3600
"""Because of that margin, the list holds many other orders. For orders closer together, single reads are cheaper."""


@dataclass(frozen=True, slots=True)
class LoadedOrder:
    """An order's document. ``gaps`` maps each root that could not be read, and is empty here, to its error."""

    order_id: int
    document: Document
    gaps: Mapping[str, EnrichError]

    @property
    def order(self) -> Document:
        """The V2 order."""
        order: Document = self.document["order"]
        return order

    @property
    def customer_id(self) -> int:
        """0 for a guest."""
        return to_int(self.order.get("customer_id")) or 0

    @property
    def created_at(self) -> float | None:
        """Unix seconds on BigCommerce's clock; None when the order has no readable date."""
        return _created_at(self.order)

    @property
    def trouble(self) -> EnrichError | None:
        """Why the document differs from what a worker would read. A buyer who is no Company user is not an error."""
        return next((error for error in self.gaps.values() if not isinstance(error, NoCompanyUser)), None)


async def load_order(api: StoreApi, cache: Cache, order_id: int, needs: Needs) -> LoadedOrder:
    """Load one order's document, with the parts in ``needs``. Raises the errors of Get an Order; the rest are gaps."""
    order = await api.core.order(order_id, consignments=needs.consignments)
    return await load_parts(api, cache, order_id, order, needs, None)


async def load_newest(
    api: StoreApi,
    cache: Cache,
    count: int,
    needs: Needs,
    on_progress: Callable[[int, int], None],
    *,
    since: datetime | None = None,
    until: datetime | None = None,
    only: Collection[int] = (),
) -> list[LoadedOrder]:
    """Load the documents of the store's newest orders (at most 250), newest first.

    They were placed from ``since`` to ``until``. With ``only``, those of these ids that are among the newest 250 up
    to the largest of them. ``on_progress`` is called with how many are loaded, and of how many. Raises the errors of
    Get All Orders and CredentialsRefused, because a scope that is missing for one order is missing for all. Other
    errors are gaps of their order.
    """
    orders = await api.core.orders(
        min_id=min(only, default=None),
        max_id=max(only, default=None),
        min_date_created=since,
        max_date_created=until,
        limit=PER_PAGE if only else count,
        sort="id:desc",
        consignments=needs.consignments,
    )
    if only:
        orders = [order for order in orders if to_int(order.get("id")) in only][:count]
    metafields = await listed_metafields(api, orders, needs) if needs.metafields else None
    slots, done = asyncio.Semaphore(MAX_CONCURRENT_ORDERS), 0
    on_progress(done, len(orders))

    async def load(order: Document) -> LoadedOrder:
        nonlocal done
        order_id = to_int(order.get("id")) or 0
        known = None if metafields is None else metafields.get(order_id, {})
        async with slots:
            loaded = await load_parts(api, cache, order_id, order, needs, known)
        if isinstance(loaded.trouble, CredentialsRefused):
            raise loaded.trouble
        done += 1
        on_progress(done, len(orders))
        return loaded

    try:
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(load(order)) for order in orders]
    except ExceptionGroup as several:
        raise several.exceptions[0] from several
    return [task.result() for task in tasks]


async def of_company(
    api: StoreApi, cache: Cache, loaded: LoadedOrder, needs: Needs, company_id: int | None
) -> LoadedOrder:
    """The same order as one of a Company, though its buyer may be no Company user: a Super Admin, for example.

    ``company_id`` is the Company that its record shows, if it is known. Then ``company`` is that one.
    """
    gaps = {name: gap for name, gap in loaded.gaps.items() if not isinstance(gap, NoCompanyUser)}
    company: dict[str, Any] = loaded.document["company"]
    if needs.company and company_id not in (None, to_int(loaded.document["user"].get("companyId"))):
        only_this = replace(needs, customer=False, user=False)
        try:
            people = await read_people(api, cache, loaded.customer_id, only_this, company_id=company_id, has_user=False)
            company = people["company"]
        except EnrichError as error:
            gaps["company"] = error
    return replace(loaded, document=loaded.document | {"company": company}, gaps=gaps)


async def load_parts(
    api: StoreApi, cache: Cache, order_id: int, order: Document, needs: Needs, metafields: Metafields | None
) -> LoadedOrder:
    """Load the rest of an order's document. ``metafields`` are the order's, when they are known already."""
    customer_id = to_int(order.get("customer_id")) or 0
    gaps: dict[str, EnrichError] = {}

    async def part(name: str, read: Callable[[], Awaitable[dict[str, Any]]]) -> dict[str, Any]:
        found: dict[str, Any] = (await source(name, read)).get(name, {})
        return found

    async def source(root: str, read: Callable[[], Awaitable[Any]]) -> Document:
        try:
            return {root: await read()}
        except EnrichError as error:
            gaps[root] = error
            return {}

    async def person(name: str) -> dict[str, Any]:
        only_this = replace(
            needs,
            customer=needs.customer and name == "customer",
            user=needs.user and name == "user",
            company=needs.company and name == "company",
        )
        return {name: await part(name, lambda: _person(api, cache, customer_id, only_this, name))}

    async def user_and_company() -> Document:
        user = await person("user")
        if needs.company and "user" in gaps:
            gaps["company"] = gaps["user"]
            return user | {"company": {}}
        return user | await person("company")

    readers = source_readers(api, cache, order, needs)
    if needs.record:
        readers["record"] = lambda: _record(api, order_id)
    found, customer, company, *sources = await asyncio.gather(
        part("metafields", lambda: _metafields(api, order_id, order, needs, metafields)),
        person("customer"),
        user_and_company(),
        *(source(root, read) for root, read in readers.items()),
    )
    document = order_document(order, found) | customer | company | no_sources()
    for each in sources:
        document |= each
    return LoadedOrder(order_id, document, gaps)


async def _person(api: StoreApi, cache: Cache, customer_id: int, needs: Needs, name: str) -> dict[str, Any]:
    if not (needs.customer or needs.user or needs.company):
        return {}
    if not customer_id:
        raise NoCompanyUser("the order is a guest's")
    if needs.user and await cache.is_no_company_user(customer_id):
        raise NoCompanyUser(f"customer {customer_id} is no Company user")
    try:
        found: dict[str, Any] = (await read_people(api, cache, customer_id, needs))[name]
    except NoCompanyUser:
        await cache.remember_no_company_user(customer_id)
        raise
    return found


async def _record(api: StoreApi, order_id: int) -> Document:
    """The record as B2B Edition has it; empty when there is none (yet)."""
    try:
        return by_name(await api.b2b.order_document(order_id))
    except NotFound:
        return {}


async def _metafields(
    api: StoreApi, order_id: int, order: Document, needs: Needs, known: Metafields | None
) -> Metafields:
    return (await read_parts(api.core, order_id, needs, order))[1] if known is None else known


async def listed_metafields(api: StoreApi, orders: Sequence[Document], needs: Needs) -> dict[int, Metafields] | None:
    """The metafields of all these orders from one list; None when reading them order by order is better."""
    times = [created for order in orders if (created := _created_at(order)) is not None]
    if len(times) < max(2, len(orders)) or max(times) - min(times) < MIN_LIST_SPAN_S:
        return None
    since = datetime.fromtimestamp(min(times) - TIME_ZONE_MARGIN_S, UTC)
    try:
        listed = await api.core.orders_metafields(created_since=since, namespaces=sorted(needs.metafield_namespaces))
    except (Refused, TryAgain):
        return None
    found: dict[int, list[Document]] = {}
    for metafield in listed:
        found.setdefault(to_int(metafield.get("resource_id")) or 0, []).append(metafield)
    # An empty list may mean that the list does not work.
    return {order_id: by_namespace(metafields) for order_id, metafields in found.items()} or None


def _created_at(order: Document) -> float | None:
    try:
        return Window.of_order(str(order.get("date_created"))).opened_at
    except ValueError:
        return None
