"""Client for the core API: orders, order metafields, customers, webhooks, product images.

Each method makes one documented call, which a comment names, and returns documents unchanged. All methods raise
subclasses of UpstreamError (see ``service.errors``), TryAgain where an answer has an undocumented shape.
"""

from collections.abc import Callable, Collection, Mapping
from datetime import UTC, datetime
from http.client import NO_CONTENT
from typing import Any
from urllib.parse import quote

from service.bigcommerce.apis import Api
from service.bigcommerce.complete_answers import (
    is_cart_metafield,
    is_complete_order,
    is_customer,
    is_customer_group,
    is_hook,
    is_metafield,
    is_transaction,
)
from service.bigcommerce.envelope import Document, data_of, rows_of, unexpected_shape
from service.bigcommerce.models import to_int
from service.bigcommerce.transport import Answer, Call, Caller
from service.errors import TryAgain, Unsure

PER_PAGE = 250
MAX_PAGES = 100
"""25,000 entries. A longer list means that the API keeps returning the same page."""


class Core:
    """The core API for one store."""

    def __init__(self, caller: Caller) -> None:
        self._caller = caller

    async def order(self, order_id: int, *, consignments: bool = False) -> Document:
        """The order; ``consignments`` adds its line items and shipping addresses."""
        # Orders V2, Get an Order
        operation = "Get an Order"
        answer = await self._get(operation, f"/v2/orders/{order_id:d}", _consignments(consignments))
        for order in rows_of(operation, answer.body):
            if is_complete_order(order, consignments=consignments) and to_int(order["id"]) == order_id:
                return order
        raise unexpected_shape(operation)

    async def orders(
        self,
        *,
        min_id: int | None = None,
        max_id: int | None = None,
        min_date_created: datetime | None = None,
        max_date_created: datetime | None = None,
        min_date_modified: datetime | None = None,
        customer_id: int | None = None,
        limit: int = PER_PAGE,
        page: int = 1,
        consignments: bool = False,
        sort: str = "id:asc",
    ) -> list[Document]:
        """One page of orders, at most 250; empty when none matches."""
        # Orders V2, Get All Orders: 204 with no body when nothing matches
        params = {
            "min_id": min_id,
            "max_id": max_id,
            "min_date_created": _iso(min_date_created),
            "max_date_created": _iso(max_date_created),
            "min_date_modified": _iso(min_date_modified),
            "customer_id": customer_id,
            "limit": limit,
            "page": page,
            "sort": sort,
            **_consignments(consignments),
        }
        operation = "Get All Orders"
        answer = await self._get(operation, "/v2/orders", params)
        orders = [] if answer.status == NO_CONTENT else rows_of(operation, answer.body)
        if not all(to_int(order.get("id")) for order in orders):
            raise unexpected_shape(operation)
        return orders

    async def create_order(self, fields: Mapping[str, Any]) -> Document:
        """Make an order with these fields of a V2 order, and return it. Raises Unsure where the answer is none."""
        # Orders V2, Create an Order
        call = Call("Create an Order", Api.CORE, "POST", "/v2/orders", json=dict(fields))
        order = (await self._caller.call(call)).body
        if not isinstance(order, dict) or not is_complete_order(order):
            raise Unsure(call.operation, "the answer is no order", status=200)
        return order

    async def update_order(self, order_id: int, **changes: Any) -> None:
        """Change fields of an order, such as ``status_id``."""
        # Orders V2, Update an Order
        await self._caller.call(Call("Update an Order", Api.CORE, "PUT", f"/v2/orders/{order_id:d}", json=changes))

    async def count_orders(
        self, *, min_id: int | None = None, min_date_created: datetime, max_date_created: datetime
    ) -> int | None:
        """The number of orders of that time, from that id on; None when the answer lacks it."""
        # Orders V2, Get a Count of Orders
        params = {
            "min_id": min_id,
            "min_date_created": _iso(min_date_created),
            "max_date_created": _iso(max_date_created),
        }
        answer = await self._get("Get a Count of Orders", "/v2/orders/count", params)
        return to_int(answer.body.get("count")) if isinstance(answer.body, dict) else None

    async def metafields(self, order_id: int) -> list[Document]:
        """All metafields of an order that the token can see."""
        # Orders V3, Get Order Metafields
        return await self._list("Get Order Metafields", f"/v3/orders/{order_id:d}/metafields", {}, is_metafield)

    async def create_metafield(self, order_id: int, namespace: str, key: str, value: str) -> None:
        """Write a metafield of an order that only this API account can read."""
        # Orders V3, Create Metafields
        path = f"/v3/orders/{order_id:d}/metafields"
        metafield = {"permission_set": "app_only", "namespace": namespace, "key": key, "value": value}
        await self._caller.call(Call("Create Metafields", Api.CORE, "POST", path, json=metafield))

    async def orders_metafields(
        self,
        *,
        created_since: datetime | None = None,
        modified_since: datetime | None = None,
        namespaces: Collection[str] = (),
    ) -> list[Document]:
        """The metafields of many orders (``resource_id`` is the order) that were created or modified since then."""
        # Orders V3, Get All Order Metafields
        params = {
            "date_created:min": _iso_utc(created_since),
            "date_modified:min": _iso_utc(modified_since),
            "namespace:in": ",".join(namespaces) or None,
        }
        return await self._list("Get All Order Metafields", "/v3/orders/metafields", params, _is_metafield_of_an_order)

    async def cart_metafields(self, cart_id: str) -> list[Document]:
        """All metafields of a cart that the token can see. Raises NotFound when the cart is gone."""
        # Carts V3, Get Cart Metafields
        path = f"/v3/carts/{quote(cart_id, safe='')}/metafields"
        return await self._list("Get Cart Metafields", path, {}, lambda row: is_cart_metafield(row, cart_id))

    async def transactions(self, order_id: int) -> list[Document]:
        """The payments of an order. Raises NotFound when there is no such order."""
        # Orders V3, Get Transactions: 204 with no body when there are none
        path = f"/v3/orders/{order_id:d}/transactions"
        return await self._list(
            "Get Transactions", path, {}, lambda row: is_transaction(row, order_id), empty_as_no_content=True
        )

    async def customer(
        self, customer_id: int, *, attributes: bool = False, form_fields: bool = False
    ) -> Document | None:
        """The customer, optionally with attributes and form fields; None when there is none."""
        # Customers V3, Get All Customers
        include = [name for name, wanted in (("attributes", attributes), ("formfields", form_fields)) if wanted]
        params = {"id:in": customer_id, "include": ",".join(include) or None}
        operation = "Get All Customers"
        answer = await self._get(operation, "/v3/customers", params)
        rows = rows_of(operation, data_of(operation, answer.body))
        parts = [part for part, wanted in (("attributes", attributes), ("form_fields", form_fields)) if wanted]
        if not all(is_customer(row, customer_id, parts=parts) for row in rows):
            raise unexpected_shape(operation)
        return next(iter(rows), None)

    async def customer_attributes(self) -> dict[int, str]:
        """The names of all customer attributes by id: a customer document holds only the ids."""
        # Customers V3, Get All Customer Attributes
        rows = await self._list("Get All Customer Attributes", "/v3/customers/attributes", {})
        return {to_int(row.get("id")) or 0: str(row.get("name", "")) for row in rows}

    async def customer_group(self, group_id: int) -> Document:
        """A customer group. Raises NotFound when there is none with this id."""
        # Customers V2, Get a Customer Group
        operation = "Get a Customer Group"
        answer = await self._get(operation, f"/v2/customer_groups/{group_id:d}", {})
        for group in rows_of(operation, answer.body):
            if is_customer_group(group, group_id):
                return group
        raise unexpected_shape(operation)

    async def hooks(self, *, scope: str | None = None, destination: str | None = None) -> list[Document]:
        """The webhooks that this token's API account created."""
        # Webhooks V3, Get Webhooks
        return await self._list("Get Webhooks", "/v3/hooks", {"scope": scope, "destination": destination}, is_hook)

    async def create_hook(
        self, scope: str, destination: str, headers: Mapping[str, str] | None, is_active: bool = True
    ) -> Document:
        """Create a webhook. BigCommerce sends ``headers`` with each delivery."""
        # Webhooks V3, Create a Webhook
        hook = {"scope": scope, "destination": destination, "is_active": is_active, "headers": dict(headers or {})}
        call = Call("Create a Webhook", Api.CORE, "POST", "/v3/hooks", json=hook)
        return _written((await self._caller.call(call)).body)

    async def update_hook(self, hook_id: int, **changes: Any) -> Document:
        """Change ``scope``, ``destination``, ``is_active`` or ``headers`` of a webhook."""
        # Webhooks V3, Update a Webhook
        call = Call("Update a Webhook", Api.CORE, "PUT", f"/v3/hooks/{hook_id:d}", json=changes)
        return _written((await self._caller.call(call)).body)

    async def delete_hook(self, hook_id: int) -> None:
        """Delete a webhook."""
        # Webhooks V3, Delete a Webhook
        await self._caller.call(Call("Delete a Webhook", Api.CORE, "DELETE", f"/v3/hooks/{hook_id:d}"))

    async def hooks_admin(self) -> Document:
        """The API account's webhooks (``hooks_list``) and the domains blocked now (``blocked_domains``)."""
        # Webhooks V3, Get Admin Info
        operation = "Get Admin Info"
        answer = await self._get(operation, "/v3/hooks/admin", {})
        data = data_of(operation, answer.body)
        return data if data == {} else next(iter(rows_of(operation, data)), {})

    async def product_images(self, product_id: int) -> list[Document]:
        """All images of a product."""
        # Catalog V3, Get All Product Images
        return await self._list("Get All Product Images", f"/v3/catalog/products/{product_id:d}/images", {})

    async def _get(self, operation: str, path: str, params: Mapping[str, Any]) -> Answer:
        return await self._caller.call(Call(operation, Api.CORE, "GET", path, params))

    async def _list(
        self,
        operation: str,
        path: str,
        params: Mapping[str, Any],
        is_complete: Callable[[Document], bool] = lambda _: True,
        *,
        empty_as_no_content: bool = False,
    ) -> list[Document]:
        """All pages of a V3 list. ``empty_as_no_content``: the API answers 204 instead of an empty list."""
        items: list[Document] = []
        for page in range(1, MAX_PAGES + 1):
            answer = await self._get(operation, path, {**params, "limit": PER_PAGE, "page": page})
            if empty_as_no_content and answer.status == NO_CONTENT:
                return items
            found = rows_of(operation, data_of(operation, answer.body))
            is_last = _is_last_page(answer.body, page, len(found))
            if not all(map(is_complete, found)) or not (found or is_last):
                raise unexpected_shape(operation)
            items += found
            if is_last:
                return items
        raise TryAgain(operation, f"the list does not end after {MAX_PAGES} pages", status=200)


def _iso(moment: datetime | None) -> str | None:
    return None if moment is None else moment.astimezone(UTC).isoformat()


def _iso_utc(moment: datetime | None) -> str | None:
    """Without the zone: a ``+`` in it would need escaping that not every filter understands."""
    return None if moment is None else moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S")


def _consignments(wanted: bool) -> dict[str, str]:
    return {"include": "consignments.line_items", "consignment_structure": "object"} if wanted else {}


def _is_last_page(body: Any, page: int, found: int) -> bool:
    """Whether the answer says so; without page numbers, whether the page is not full."""
    try:
        return page >= int(body["meta"]["pagination"]["total_pages"])
    except (KeyError, TypeError, ValueError):
        return found < PER_PAGE


def _is_metafield_of_an_order(row: Document) -> bool:
    return is_metafield(row) and bool(to_int(row.get("resource_id")))


def _written(body: Any) -> Document:
    """The document in the answer to a successful write; empty when its shape is unknown."""
    data = body.get("data") if isinstance(body, dict) else None
    return data if isinstance(data, dict) else {}
