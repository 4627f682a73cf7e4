"""Client for the B2B Edition management API: records of orders, extra fields, users, companies.

Each method makes one documented call, which a comment names. All methods raise subclasses of UpstreamError (see
``service.errors``), TryAgain where a read's answer has an undocumented shape. Orders are identified by the store's
own id, bcOrderId.
"""

from collections.abc import Callable, Collection, Mapping
from typing import Any, Literal

from service.bigcommerce.apis import Api
from service.bigcommerce.complete_answers import (
    is_company,
    is_complete_record,
    is_complete_user,
    is_extra_field_config,
    is_listed_super_admin,
    is_super_admin_info,
    may_confirm_write,
    says_already_exists,
)
from service.bigcommerce.envelope import Document, data_of, raise_for_envelope, rows_of, unexpected_shape
from service.bigcommerce.models import ExtraFieldConfig, Page, Record, Values, to_int
from service.bigcommerce.transport import Answer, Call, Caller
from service.errors import AlreadyExists, Refused, TryAgain, Unsure

PER_PAGE = 200
MAX_PAGES = 50
"""10,000 entries, far more than any list that is read completely."""


class B2B:
    """The B2B Edition management API for one store."""

    def __init__(self, caller: Caller) -> None:
        self._caller = caller

    async def create_order(
        self, order_id: int, customer_id: int, values: Values, *, timeout_s: float | None = None
    ) -> Record:
        """Create the record with these values; possible only within ten seconds of the order's creation.

        Raises AlreadyExists when a record exists, whoever made it, and when the ten seconds are over; Unsure also when
        the answer is about something else.
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
        return _written_record(call, answer.body, order_id) or Record(order_id=order_id)

    async def order(self, order_id: int) -> Record:
        """The record of an order. Raises NotFound when there is none (yet)."""
        return Record.model_validate(await self.order_document(order_id))

    async def order_document(self, order_id: int) -> Document:
        """The record of an order, unchanged. Raises NotFound when there is none (yet)."""
        # B2B Edition API, Orders, Get an Order: ``data`` is documented as an array, and seen as an object
        operation = "Get an Order"
        answer = await self._get(operation, f"/v3/io/orders/{order_id:d}", {})
        for row in rows_of(operation, data_of(operation, answer.body)):
            if is_complete_record(row, order_id):
                return row
        raise unexpected_shape(operation)

    async def update_order(self, order_id: int, values: Values) -> Record | None:
        """Write the values to the record and return it, if the answer holds it.

        Raises NotFound without a record, Unsure when the answer is about something else.
        """
        # B2B Edition API, Orders, Update an Order
        call = Call("Update an Order", Api.B2B, "PUT", f"/v3/io/orders/{order_id:d}", json=values.body())
        return _written_record(call, (await self._call(call)).body, order_id)

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
    ) -> Page[Document]:
        """One page of records, with their extra fields, unchanged: often one row of a page is of interest.

        ``Record.model_validate`` reads one. Times are Unix seconds, exclusive. Without times, the API lists the last
        year.
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
        return await self._page("Get All Orders", "/v3/io/orders", params)

    async def extra_field_configs(self) -> list[ExtraFieldConfig]:
        """The configs of all extra fields of the store's orders. BigCommerce asks clients to cache them."""
        # B2B Edition API, Orders, Get Order Extra Field Configs
        rows = await self._list("Get Order Extra Field Configs", "/v3/io/orders/extra-fields")
        if not all(map(is_extra_field_config, rows)):
            raise unexpected_shape("Get Order Extra Field Configs")
        return [ExtraFieldConfig.model_validate(row) for row in rows]

    async def order_products(self, order_id: int) -> list[Document]:
        """The order's line items, as B2B Edition has them."""
        # B2B Edition API, Orders, Get Order Products
        operation = "Get Order Products"
        answer = await self._get(operation, f"/v3/io/orders/{order_id:d}/products", {})
        return rows_of(operation, data_of(operation, answer.body))

    async def assign_customer_orders(self, customer_id: int) -> int:
        """Assign the orders that a buyer placed before joining the Company to it; returns how many."""
        # B2B Edition API, Orders, Assign Customer Orders to Company
        path = f"/v3/io/customers/{customer_id:d}/orders/b2b"
        return _total(await self._call(Call("Assign Customer Orders to Company", Api.B2B, "PUT", path)))

    async def reassign_orders(self, customer_id: int, group_id: int) -> int:
        """Reassign a buyer's orders to a customer group's Company; returns how many. For Dependent Companies stores."""
        # B2B Edition API, Orders, Reassign Orders to a Different Company
        path = f"/v3/io/customers/{customer_id:d}/orders/company"
        operation = "Reassign Orders to a Different Company"
        return _total(await self._call(Call(operation, Api.B2B, "PUT", path, json={"bcGroupId": group_id})))

    async def user_of_customer(self, customer_id: int, *, extra_fields: bool = False) -> Document:
        """The Company user with this customer id. Raises NotFound when the customer is not a Company user.

        With ``extra_fields``, an answer that does not show them is tried again.
        """
        # B2B Edition API, Users, Get User Details by BigCommerce Customer ID
        path = f"/v3/io/users/customer/{customer_id:d}"
        return await self._one(
            "Get User Details by BigCommerce Customer ID",
            path,
            lambda row: is_complete_user(row, customer_id) and (not extra_fields or "extraFields" in row),
        )

    async def users(self, *, limit: int = PER_PAGE) -> list[Document]:
        """The store's first Company users: those with a customer account."""
        # B2B Edition API, Users, Get All B2B users
        page = await self._page("Get All B2B users", "/v3/io/users", {"limit": limit, "offset": 0})
        return [user for user in page.items if to_int(user.get("customerId"))]

    async def company(self, company_id: int) -> Document:
        """A Company, by its id in B2B Edition."""
        # B2B Edition API, Companies, Get Company Details
        path = f"/v3/io/companies/{company_id:d}"
        return await self._one("Get Company Details", path, lambda row: is_company(row, company_id))

    async def super_admin_ids(self) -> set[int]:
        """The own ids of all Super Admins, from the list read to its end; customer ids are not in it.

        Raises TryAgain when the list changed while it was read, and may be incomplete.
        """
        # B2B Edition API, Super Admins, Get All Super Admins with Assigned Companies
        operation = "Get All Super Admins with Assigned Companies"
        rows = await self._list(operation, "/v3/io/companies/super-admins")
        if not all(map(is_listed_super_admin, rows)):
            raise unexpected_shape(operation)
        ids = {to_int(row["id"]) or 0 for row in rows}
        if len(ids) < len(rows):
            raise TryAgain(operation, "the list changed while it was read", status=200)
        return ids

    async def super_admin_customer(self, super_admin_id: int) -> int:
        """The customer id of a Super Admin. Raises NotFound when there is no such Super Admin (any more)."""
        # B2B Edition API, Super Admins, Get Super Admin Details
        path = f"/v3/io/super-admins/info/{super_admin_id:d}"
        row = await self._one("Get Super Admin Details", path, lambda row: is_super_admin_info(row, super_admin_id))
        return to_int(row["customerId"]) or 0

    async def _call(self, call: Call, timeout_s: float | None = None) -> Answer:
        return raise_for_envelope(call, await self._caller.call(call, timeout_s=timeout_s), self._caller.account)

    async def _get(self, operation: str, path: str, params: Mapping[str, Any]) -> Answer:
        return await self._call(Call(operation, Api.B2B, "GET", path, params))

    async def _one(self, operation: str, path: str, is_complete: Callable[[Document], bool]) -> Document:
        answer = await self._get(operation, path, {})
        for row in rows_of(operation, data_of(operation, answer.body)):
            if is_complete(row):
                return row
        raise unexpected_shape(operation)

    async def _page(self, operation: str, path: str, params: Mapping[str, Any]) -> Page[Document]:
        answer = await self._get(operation, path, params)
        rows = rows_of(operation, data_of(operation, answer.body))
        total, offset = _total_count(answer.body), params["offset"]
        if not rows and total is not None and total > offset:
            raise unexpected_shape(operation)
        return Page.of(rows, total=total, limit=params["limit"], offset=offset)

    async def _list(self, operation: str, path: str) -> list[Document]:
        """All pages of a list."""
        items: list[Document] = []
        offset: int | None = 0
        for _ in range(MAX_PAGES):
            page = await self._page(operation, path, {"limit": PER_PAGE, "offset": offset})
            items += page.items
            offset = page.next_offset
            if offset is None:
                return items
        raise TryAgain(operation, f"the list does not end after {MAX_PAGES} pages", status=200)


def _written_record(call: Call, body: Any, order_id: int) -> Record | None:
    """The record in the answer to a successful write; None when there is none or its shape is unknown.

    Raises Unsure when the answer is about something else, such as another order: then the record must be read.
    """
    try:
        rows = rows_of(call.operation, data_of(call.operation, body))
    except TryAgain:
        return None
    if not all(may_confirm_write(row, order_id) for row in rows):
        raise Unsure(call.operation, "the answer is about something else", status=200)
    return Record.model_validate(rows[0]).of_order(order_id) if rows else None


def _total_count(body: Any) -> int | None:
    """A list's total: ``meta.pagination.totalCount``, or ``meta.totalCount`` as in some examples."""
    meta = body.get("meta") if isinstance(body, dict) else None
    if not isinstance(meta, dict):
        return None
    pagination = meta.get("pagination")
    return to_int((pagination if isinstance(pagination, dict) else meta).get("totalCount"))


def _total(answer: Answer) -> int:
    """``data.total``; 0 when the answer lacks it."""
    data = answer.body.get("data") if isinstance(answer.body, dict) else None
    return (to_int(data.get("total")) if isinstance(data, dict) else None) or 0
