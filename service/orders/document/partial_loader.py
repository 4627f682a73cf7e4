"""The documents of orders that somebody looks at: part by part, going on where a part is not to be had.

Nothing here is in a hurry, and nothing is written.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

from service.bigcommerce import StoreApi
from service.bigcommerce.models import to_int
from service.errors import CredentialsRefused, EnrichError, Refused, TryAgain
from service.orders.create_window import Window
from service.orders.document.cache import Cache
from service.orders.document.loading import (
    Document,
    Metafields,
    NoCompanyUser,
    by_namespace,
    order_document,
    read_parts,
    read_people,
)
from service.rules import Needs

AT_ONCE = 8
"""Orders whose parts are read at the same time: no order in its window must find the connections taken."""

TIME_ZONES_S = 14 * 3600
"""In which time zone the list of metafields reads its ``date_created:min`` is not documented: so far apart they lie."""

LIST_PAYS_S = 3600
"""Orders placed closer together than this are read one by one: by that margin the list would hold too many others."""


@dataclass(frozen=True, slots=True)
class LoadedOrder:
    """An order's document. ``gaps`` says of each root that could not be had, and is empty now, why."""

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
        """Unix seconds on BigCommerce's clock; None when the order does not say."""
        return _created_at(self.order)

    @property
    def trouble(self) -> EnrichError | None:
        """Why the document is not what the order's life would see; a buyer who is no Company user is no trouble."""
        return next((error for error in self.gaps.values() if not isinstance(error, NoCompanyUser)), None)


async def load_order(api: StoreApi, cache: Cache, order_id: int, needs: Needs) -> LoadedOrder:
    """One order's document, as far as it is needed. Errors are those of Get an Order; all else is a gap."""
    order = await api.core.order(order_id, consignments=needs.consignments)
    return await _gather(api, cache, order_id, order, needs, None)


async def load_newest(
    api: StoreApi, cache: Cache, count: int, needs: Needs, tell: Callable[[int, int], None]
) -> list[LoadedOrder]:
    """The documents of the store's newest orders (at most 250), the newest first.

    ``tell`` hears how many are done, and of how many. Errors are those of Get All Orders and CredentialsRefused, as
    what the token may not do for one order it may not do for any; all else is a gap of its order.
    """
    orders = await api.core.orders(limit=count, sort="id:desc", consignments=needs.consignments)
    metafields = await _listed_metafields(api, orders, needs) if needs.metafields else None
    free, done = asyncio.Semaphore(AT_ONCE), 0
    tell(done, len(orders))

    async def gather(order: Document) -> LoadedOrder:
        nonlocal done
        order_id = to_int(order.get("id")) or 0
        known = None if metafields is None else metafields.get(order_id, {})
        async with free:
            gathered = await _gather(api, cache, order_id, order, needs, known)
        if isinstance(gathered.trouble, CredentialsRefused):
            raise gathered.trouble
        done += 1
        tell(done, len(orders))
        return gathered

    try:
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(gather(order)) for order in orders]
    except ExceptionGroup as several:
        raise several.exceptions[0] from several
    return [task.result() for task in tasks]


async def _gather(
    api: StoreApi, cache: Cache, order_id: int, order: Document, needs: Needs, metafields: Metafields | None
) -> LoadedOrder:
    """``metafields`` are the order's where they are known already."""
    customer_id = to_int(order.get("customer_id")) or 0
    gaps: dict[str, EnrichError] = {}

    async def part(name: str, read: Callable[[], Awaitable[dict[str, Any]]]) -> dict[str, Any]:
        try:
            return await read()
        except EnrichError as error:
            gaps[name] = error
            return {}

    async def person(name: str) -> dict[str, Any]:
        alone = replace(
            needs,
            customer=needs.customer and name == "customer",
            user=needs.user and name == "user",
            company=needs.company and name == "company",
        )
        return {name: await part(name, lambda: _person(api, cache, customer_id, alone, name))}

    async def user_and_company() -> Document:
        user = await person("user")
        if needs.company and "user" in gaps:
            gaps["company"] = gaps["user"]
            return user | {"company": {}}
        return user | await person("company")

    found, customer, company = await asyncio.gather(
        part("metafields", lambda: _metafields(api, order_id, order, needs, metafields)),
        person("customer"),
        user_and_company(),
    )
    return LoadedOrder(order_id, order_document(order, found) | customer | company, gaps)


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


async def _metafields(
    api: StoreApi, order_id: int, order: Document, needs: Needs, known: Metafields | None
) -> Metafields:
    return (await read_parts(api.core, order_id, needs, order))[1] if known is None else known


async def _listed_metafields(api: StoreApi, orders: Sequence[Document], needs: Needs) -> dict[int, Metafields] | None:
    """The metafields of all these orders from one list; None where each order is better asked for its own."""
    times = [created for order in orders if (created := _created_at(order)) is not None]
    if len(times) < max(2, len(orders)) or max(times) - min(times) < LIST_PAYS_S:
        return None
    since = datetime.fromtimestamp(min(times) - TIME_ZONES_S, UTC)
    try:
        listed = await api.core.orders_metafields(created_since=since, namespaces=sorted(needs.metafield_namespaces))
    except (Refused, TryAgain):
        return None
    found: dict[int, list[Document]] = {}
    for metafield in listed:
        found.setdefault(to_int(metafield.get("resource_id")) or 0, []).append(metafield)
    # A list that shows nothing may be one that does not work.
    return {order_id: by_namespace(metafields) for order_id, metafields in found.items()} or None


def _created_at(order: Document) -> float | None:
    try:
        return Window.of_order(str(order.get("date_created"))).opened_at
    except ValueError:
        return None
