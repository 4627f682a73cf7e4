"""Loads the order document that rules read, from both APIs. Only the parts that the rules name are fetched.

This file loads the order and its people, ``sources.py`` the cart, the quote and the payments. Reads that do not depend
on each other run in parallel.
"""

import asyncio
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from service.bigcommerce import StoreApi
from service.bigcommerce.clients.core_api import Core
from service.bigcommerce.models import to_int
from service.errors import EnrichError, NotFound
from service.orders.document.cache import COMPANY_TTL_S, CUSTOMER_TTL_S, Cache
from service.rules import Needs

Document = dict[str, Any]


class NoCompanyUser(EnrichError):
    """B2B Edition has no Company user for the customer. No other answer proves that."""


Metafields = dict[str, dict[str, Any]]
"""An order's metafield values, by namespace and key."""


async def read_order(api: StoreApi, order_id: int, needs: Needs) -> Document:
    """Load the order and, if ``needs`` names them, its metafields: the part of the document without people."""
    return order_document(*await read_parts(api.core, order_id, needs))


async def read_parts(
    core: Core, order_id: int, needs: Needs, order: Document | None = None
) -> tuple[Document, Metafields]:
    """Read the order, unless it is given, and its metafields if ``needs`` names them."""
    if order is not None:
        return order, await _metafields(core, order_id) if needs.metafields else {}
    if not needs.metafields:
        return await core.order(order_id, consignments=needs.consignments), {}
    return await asyncio.gather(core.order(order_id, consignments=needs.consignments), _metafields(core, order_id))


def order_document(order: Document, metafields: Metafields) -> Document:
    """Build the part of the document that the order and its metafields give."""
    return {
        "order": order,
        "products": _line_items(order),
        "shipping_addresses": _shipping_addresses(order),
        "metafields": metafields,
    }


async def read_people(
    api: StoreApi,
    cache: Cache,
    customer_id: int,
    needs: Needs,
    *,
    company_id: int | None = None,
    has_user: bool = True,
) -> Document:
    """Load the rest of the document: customer, Company user and Company, as far as ``needs`` names them.

    ``company_id`` is the Company that the order is for, if it is known: else it is the user's. Without ``has_user``,
    the buyer is known to be no Company user, as a Super Admin. Raises NoCompanyUser when the user is needed and the
    customer is no Company user.
    """
    wants_user = has_user and (needs.user or (needs.company and company_id is None))
    customer, user = dict[str, Any](), dict[str, Any]()
    if needs.customer and wants_user:
        customer, user = await asyncio.gather(
            _customer(api, cache, customer_id, needs),
            read_user(api, cache, customer_id, extra_fields=needs.user),
        )
    elif needs.customer:
        customer = await _customer(api, cache, customer_id, needs)
    elif wants_user:
        user = await read_user(api, cache, customer_id, extra_fields=needs.user)
    company_id = company_id or to_int(user.get("companyId"))
    company = await _company(api, cache, company_id) if needs.company and company_id else {}
    return {"customer": customer, "user": by_name(user), "company": by_name(company)}


async def read_user(api: StoreApi, cache: Cache, customer_id: int, *, extra_fields: bool = False) -> dict[str, Any]:
    """Load the Company user of a customer, with ``extra_fields`` if need be. Raises NoCompanyUser without one."""
    try:
        user: dict[str, Any] = await cache.get_or_read(
            f"user:{customer_id}",
            lambda: api.b2b.user_of_customer(customer_id, extra_fields=extra_fields),
            fresh_s=CUSTOMER_TTL_S,
            accepts=lambda user: not extra_fields or "extraFields" in user,
        )
    except NotFound as missing:
        raise NoCompanyUser(f"customer {customer_id} is no Company user") from missing
    return user


def by_namespace(metafields: Iterable[Mapping[str, Any]]) -> Metafields:
    """Arrange one order's metafields as rules read them."""
    found: Metafields = {}
    for metafield in metafields:
        found.setdefault(str(metafield.get("namespace")), {})[str(metafield.get("key"))] = metafield.get("value")
    return found


async def _metafields(core: Core, order_id: int) -> Metafields:
    return by_namespace(await core.metafields(order_id))


async def _customer(api: StoreApi, cache: Cache, customer_id: int, needs: Needs) -> dict[str, Any]:
    attributes, form_fields = needs.customer_attributes, needs.customer_form_fields
    customer: dict[str, Any] | None = await cache.get_or_read(
        f"customer:{customer_id}:{attributes:d}{form_fields:d}",
        lambda: api.core.customer(customer_id, attributes=attributes, form_fields=form_fields),
        fresh_s=CUSTOMER_TTL_S,
    )
    if customer is None:
        return {}
    return {
        **customer,
        "attributes": await _attributes(api, cache, customer.get("attributes")) if attributes else {},
        "form_fields": pairs(customer.get("form_fields"), "name", "value"),
        "group": await _group(api, cache, to_int(customer.get("customer_group_id"))) if needs.customer_group else {},
    }


async def _group(api: StoreApi, cache: Cache, group_id: int | None) -> dict[str, Any]:
    """A customer's group; empty without one. BigCommerce shows 0 for a customer without a group."""
    if not group_id:
        return {}
    try:
        group: dict[str, Any] = await cache.get_or_read(
            f"customer-group:{group_id}", lambda: api.core.customer_group(group_id), fresh_s=CUSTOMER_TTL_S
        )
    except NotFound:
        return {}  # deleted since the customer was cached
    return group


async def _attributes(api: StoreApi, cache: Cache, listed: Any) -> dict[str, Any]:
    """A customer's attributes by name. The documented answer has only their ids; real answers also have names."""
    items = [item for item in listed if isinstance(item, Mapping)] if isinstance(listed, list) else []
    names: Mapping[str, str] = {}
    if any("attribute_name" not in item for item in items):
        # The cache is JSON, so the ids are text keys.
        names = await cache.get_or_read("customer-attributes", lambda: _attribute_names(api), fresh_s=CUSTOMER_TTL_S)
    return {
        str(item.get("attribute_name") or names.get(str(item.get("attribute_id")), "")): item.get("attribute_value")
        for item in items
    }


async def _attribute_names(api: StoreApi) -> dict[str, str]:
    return {str(attribute_id): name for attribute_id, name in (await api.core.customer_attributes()).items()}


async def _company(api: StoreApi, cache: Cache, company_id: int) -> dict[str, Any]:
    company: dict[str, Any] = await cache.get_or_read(
        f"company:{company_id}", lambda: api.b2b.company(company_id), fresh_s=COMPANY_TTL_S
    )
    return company


def by_name(owner: Mapping[str, Any]) -> dict[str, Any]:
    """A document of B2B Edition, such as a user, with its extra fields as ``{name: value}``."""
    return {**owner, "extraFields": pairs(owner.get("extraFields"), "fieldName", "fieldValue")} if owner else {}


def pairs(listed: Any, name: str, value: str) -> dict[str, Any]:
    """A list such as ``[{"name": …, "value": …}]`` as ``{name: value}``."""
    items: Iterable[Any] = listed if isinstance(listed, list) else ()
    return {str(item[name]): item.get(value) for item in items if isinstance(item, Mapping) and name in item}


def _shipping(order: Mapping[str, Any]) -> list[dict[str, Any]]:
    consignments = order.get("consignments")
    found = consignments.get("shipping") if isinstance(consignments, Mapping) else None
    return [item for item in found if isinstance(item, dict)] if isinstance(found, list) else []


def _shipping_addresses(order: Mapping[str, Any]) -> list[dict[str, Any]]:
    return [{key: value for key, value in item.items() if key != "line_items"} for item in _shipping(order)]


def _line_items(order: Mapping[str, Any]) -> list[dict[str, Any]]:
    """All line items, whatever kind of consignment carries them (shipping, pick-up, download, gift by e-mail)."""
    return [
        item for items in _find(order.get("consignments"), "line_items") for item in items if isinstance(item, dict)
    ]


def _find(node: Any, key: str) -> Iterator[list[Any]]:
    """Every list under ``key`` in nested objects and lists, in document order."""
    if isinstance(node, list):
        for item in node:
            yield from _find(item, key)
    elif isinstance(node, Mapping):
        if isinstance(node.get(key), list):
            yield node[key]
        else:
            for value in node.values():
                yield from _find(value, key)
