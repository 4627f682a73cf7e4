"""The B2B Edition management API: its records of orders, extra fields, users, companies.

Each method is one documented call, named above it. All methods raise UpstreamError's subclasses (see
``service.errors``); a read whose answer has another shape than documented is TryAgain. Orders are always named by
the store's own id, bcOrderId.
"""

import re
from collections.abc import Callable, Collection, Mapping
from typing import Any, Literal

from service.bigcommerce.apis import Api
from service.bigcommerce.completeness import (
    is_company,
    is_complete_record,
    is_complete_user,
    is_extra_field_config,
)
from service.bigcommerce.envelope import Document, data_of, opened, rows_of, unreadable
from service.bigcommerce.models import ExtraFieldConfig, Page, Record, Values, to_int
from service.bigcommerce.transport import Answer, Call, Caller
from service.errors import AlreadyExists, Refused, TryAgain

PER_PAGE = 200
MAX_PAGES = 50
"""10,000 entries: no list that is read as a whole comes near."""


def says_already_exists(message: str) -> bool:
    """Whether a refused Create an Order was refused because the record is there: "The order already exists."

    It is all that tells this refusal, a 400, from any other, so it is generous: whoever is told "already exists"
    reads the record, which does no harm.
    """
    return re.search(r"\balready\s+exist", message, re.IGNORECASE) is not None


class B2B:
    """The B2B Edition management API for one store."""

    def __init__(self, caller: Caller) -> None:
        self._caller = caller

    async def create_order(
        self, order_id: int, customer_id: int, values: Values, *, timeout_s: float | None = None
    ) -> Record:
        """Make the record, with the values in it; only within ten seconds of the order's creation.

        Raises AlreadyExists when there is a record, whoever made it, and when the ten seconds are over.
        """
        # B2B Edition API, Orders, Create an Order
        body = {"bcOrderId": order_id, "customerId": customer_id, **values.body()}
        call = Call("Create an Order", Api.B2B, "POST", "/v3/io/orders", json=body)
        try:
            answer = await self._call(call, timeout_s)
        except Refused as error:
            if says_already_exists(error.message):
                raise AlreadyExists(error.operation, error.message, status=error.status) from error
            raise
        return _written_record(answer.body, order_id) or Record(order_id=order_id)

    async def order(self, order_id: int) -> Record:
        """The record. NotFound when there is none (yet)."""
        # B2B Edition API, Orders, Get an Order: ``data`` is documented as an array, and seen as an object
        operation = "Get an Order"
        answer = await self._get(operation, f"/v3/io/orders/{order_id:d}", {})
        for row in rows_of(operation, data_of(operation, answer.body)):
            if is_complete_record(row, order_id):
                return Record.model_validate(row)
        raise unreadable(operation)

    async def update_order(self, order_id: int, values: Values) -> Record | None:
        """Write the values onto the record; what it holds then, if the answer tells. NotFound: no record yet."""
        # B2B Edition API, Orders, Update an Order
        call = Call("Update an Order", Api.B2B, "PUT", f"/v3/io/orders/{order_id:d}", json=values.body())
        return _written_record((await self._call(call)).body, order_id)

    async def orders(
        self,
        *,
        min_created: int | None = None,
        max_created: int | None = None,
        min_modified: int | None = None,
        max_modified: int | None = None,
        order_id: int | None = None,
        company_id: int | None = None,
        limit: int = PER_PAGE,
        offset: int = 0,
        sort_by: Literal["createdAt", "updatedAt"] = "createdAt",
        order_by: Literal["ASC", "DESC"] = "ASC",
        channel_ids: Collection[int] = (),
    ) -> Page[Record]:
        """One page of records, with their extra fields; times are Unix seconds, not themselves included.

        Without times, one year back.
        """
        # B2B Edition API, Orders, Get All Orders: at most 200 a page
        params: dict[str, Any] = {
            "minCreated": min_created,
            "maxCreated": max_created,
            "minModified": min_modified,
            "maxModified": max_modified,
            "bcOrderId": order_id,
            "companyId": company_id,
            "showExtra": "true",
            "limit": limit,
            "offset": offset,
            "sortBy": sort_by,
            "orderBy": order_by,
            "channelIds[]": list(channel_ids) or None,
        }
        operation = "Get All Orders"
        page = await self._page(operation, "/v3/io/orders", params)
        return Page([Record.model_validate(row) for row in page.items], page.total, page.next_offset)

    async def extra_field_configs(self) -> list[ExtraFieldConfig]:
        """All extra fields that the store's orders have. To be cached, BigCommerce asks."""
        # B2B Edition API, Orders, Get Order Extra Field Configs
        rows = await self._list("Get Order Extra Field Configs", "/v3/io/orders/extra-fields")
        if not all(map(is_extra_field_config, rows)):
            raise unreadable("Get Order Extra Field Configs")
        return [ExtraFieldConfig.model_validate(row) for row in rows]

    async def order_products(self, order_id: int) -> list[Document]:
        """The order's line items, as B2B Edition has them."""
        # B2B Edition API, Orders, Get Order Products
        operation = "Get Order Products"
        answer = await self._get(operation, f"/v3/io/orders/{order_id:d}/products", {})
        return rows_of(operation, data_of(operation, answer.body))

    async def assign_customer_orders(self, customer_id: int) -> int:
        """Move the orders that a buyer placed before joining the Company to it; how many there were."""
        # B2B Edition API, Orders, Assign Customer Orders to Company
        path = f"/v3/io/customers/{customer_id:d}/orders/b2b"
        return _total(await self._call(Call("Assign Customer Orders to Company", Api.B2B, "PUT", path)))

    async def reassign_orders(self, customer_id: int, group_id: int) -> int:
        """Move a buyer's orders to the Company of a customer group; how many. Dependent Companies stores only."""
        # B2B Edition API, Orders, Reassign Orders to a Different Company
        path = f"/v3/io/customers/{customer_id:d}/orders/company"
        operation = "Reassign Orders to a Different Company"
        return _total(await self._call(Call(operation, Api.B2B, "PUT", path, json={"bcGroupId": group_id})))

    async def user_of_customer(self, customer_id: int) -> Document:
        """The Company user behind a customer id. NotFound when the customer is no Company user."""
        # B2B Edition API, Users, Get User Details by BigCommerce Customer ID
        path = f"/v3/io/users/customer/{customer_id:d}"
        return await self._one("Get User Details by BigCommerce Customer ID", path, is_complete_user)

    async def company(self, company_id: int) -> Document:
        """A Company, by B2B Edition's id of it."""
        # B2B Edition API, Companies, Get Company Details
        path = f"/v3/io/companies/{company_id:d}"
        return await self._one("Get Company Details", path, lambda row: is_company(row, company_id))

    async def _call(self, call: Call, timeout_s: float | None = None) -> Answer:
        return opened(call, await self._caller.call(call, timeout_s=timeout_s), self._caller.account)

    async def _get(self, operation: str, path: str, params: Mapping[str, Any]) -> Answer:
        return await self._call(Call(operation, Api.B2B, "GET", path, params))

    async def _one(self, operation: str, path: str, is_complete: Callable[[Document], bool]) -> Document:
        answer = await self._get(operation, path, {})
        for row in rows_of(operation, data_of(operation, answer.body)):
            if is_complete(row):
                return row
        raise unreadable(operation)

    async def _page(self, operation: str, path: str, params: Mapping[str, Any]) -> Page[Document]:
        answer = await self._get(operation, path, params)
        rows = rows_of(operation, data_of(operation, answer.body))
        total, offset = _total_count(answer.body), params["offset"]
        if not rows and total is not None and total > offset:
            raise unreadable(operation)
        return Page.of(rows, total=total, limit=params["limit"], offset=offset)

    async def _list(self, operation: str, path: str) -> list[Document]:
        """A list, followed to its end."""
        items: list[Document] = []
        offset: int | None = 0
        for _ in range(MAX_PAGES):
            page = await self._page(operation, path, {"limit": PER_PAGE, "offset": offset})
            items += page.items
            offset = page.next_offset
            if offset is None:
                return items
        raise TryAgain(operation, f"the list has not ended after {MAX_PAGES} pages", status=200)


def _written_record(body: Any, order_id: int) -> Record | None:
    """The record in the answer to a write that succeeded; None, if there is none that can be understood."""
    try:
        rows = rows_of("", data_of("", body))
    except TryAgain:
        return None
    return Record.model_validate(rows[0]).of_order(order_id) if rows else None


def _total_count(body: Any) -> int | None:
    """How many entries a list has in all: ``meta.pagination.totalCount``, or ``meta.totalCount`` in examples."""
    meta = body.get("meta") if isinstance(body, dict) else None
    if not isinstance(meta, dict):
        return None
    pagination = meta.get("pagination")
    return to_int((pagination if isinstance(pagination, dict) else meta).get("totalCount"))


def _total(answer: Answer) -> int:
    """``data.total``; 0 where the answer does not tell."""
    data = answer.body.get("data") if isinstance(answer.body, dict) else None
    return (to_int(data.get("total")) if isinstance(data, dict) else None) or 0
