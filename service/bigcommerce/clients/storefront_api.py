"""Client for the B2B Edition storefront API, which shows what a buyer sees; it takes the buyer's own token.

Each method makes one documented call, which a comment names, and returns documents unchanged. Errors are those of
the other APIs; here CredentialsRefused concerns the buyer's token, which expires after one day.
"""

from collections.abc import Collection, Mapping
from typing import Any

from pydantic import SecretStr

from service.bigcommerce.apis import Api
from service.bigcommerce.envelope import Document, data_of, raise_for_envelope, rows_of, unexpected_shape
from service.bigcommerce.models import Page, Values, to_int
from service.bigcommerce.transport import Account, Answer, Call, Caller, is_sendable
from service.errors import NotFound

PER_PAGE = 50


class Storefront:
    """The storefront API for one store."""

    def __init__(self, caller: Caller) -> None:
        self._caller = caller

    async def storefront_token(self, customer_id: int) -> SecretStr:
        """A token that acts as this customer. It expires after one day."""
        # B2B Edition API, Authentication, Get a B2B Storefront Token
        operation = "Get a B2B Storefront Token"
        path = "/io/auth/customers/storefront"
        call = Call(operation, Api.B2B, "POST", path, json={"customerId": customer_id})
        answer = raise_for_envelope(call, await self._caller.call(call), self._caller.account)
        for row in rows_of(operation, data_of(operation, answer.body)):
            tokens = row.get("token")
            for text in tokens if isinstance(tokens, list) else [tokens]:
                if isinstance(text, str) and is_sendable(token := SecretStr(text)):
                    return token
        raise unexpected_shape(operation)

    async def orders(self, token: SecretStr, *, limit: int = PER_PAGE, offset: int = 0) -> Page[Document]:
        """One page of the buyer's orders."""
        # B2B Edition storefront API, Orders, Get All Orders
        return await self._page(token, "Get All Orders", "/v2/orders", limit, offset)

    async def order_details(self, token: SecretStr, order_id: int) -> Document:
        """An order with its PO number, products and money format."""
        # B2B Edition storefront API, Orders, Get Order Details
        operation = "Get Order Details"
        rows = await self._rows(token, operation, f"/v2/orders/{order_id:d}/details")
        if not rows:
            raise NotFound(operation, "the answer is empty", status=200)
        return rows[0]

    async def order_products(self, token: SecretStr, order_id: int) -> list[Document]:
        """An order's products."""
        # B2B Edition storefront API, Orders, Get Order Products
        return await self._rows(token, "Get Order Products", f"/v2/orders/{order_id:d}/products")

    async def order_images(self, token: SecretStr, order_ids: Collection[int]) -> list[Document]:
        """The product images of orders: ``orderId``, ``imageUrl``."""
        # B2B Edition storefront API, Orders, Get Order Images
        params = {"orderIds[]": list(order_ids)}
        return await self._rows(token, "Get Order Images", "/v2/orders/images", params)

    async def ordered_products(self, token: SecretStr, *, limit: int = PER_PAGE, offset: int = 0) -> Page[Document]:
        """One page of the products that the buyer has ordered."""
        # B2B Edition storefront API, Orders, Get Ordered Product List
        return await self._page(token, "Get Ordered Product List", "/v2/ordered-products", limit, offset)

    async def create_order(self, token: SecretStr, order_id: int, values: Values) -> list[Document]:
        """Create the record as the storefront does, within the same ten seconds. Keeps the order's comment."""
        # B2B Edition storefront API, Orders, Create an Order: isSaveOrderComment "0" keeps the comment
        operation = "Create an Order"
        body = {"orderId": order_id, "isSaveOrderComment": "0", **values.body()}
        answer = await self._call(token, Call(operation, Api.STOREFRONT, "POST", "/v2/orders", json=body))
        data = answer.body.get("data") if isinstance(answer.body, dict) else None
        return [row for row in data if isinstance(row, dict)] if isinstance(data, list) else []

    async def _call(self, token: SecretStr, call: Call) -> Answer:
        answer = await self._caller.call_with(token, call)
        return raise_for_envelope(call, answer, Account(self._caller.account.store_hash, (token,)))

    async def _data(self, token: SecretStr, operation: str, path: str, params: Mapping[str, Any]) -> Any:
        answer = await self._call(token, Call(operation, Api.STOREFRONT, "GET", path, params))
        return data_of(operation, answer.body)

    async def _rows(
        self, token: SecretStr, operation: str, path: str, params: Mapping[str, Any] | None = None
    ) -> list[Document]:
        return rows_of(operation, await self._data(token, operation, path, params or {}))

    async def _page(self, token: SecretStr, operation: str, path: str, limit: int, offset: int) -> Page[Document]:
        data = await self._data(token, operation, path, {"limit": limit, "offset": offset})
        if not isinstance(data, dict):
            raise unexpected_shape(operation)
        rows = rows_of(operation, data.get("list"))
        paginator = data.get("paginator")
        total = to_int(paginator.get("totalCount")) if isinstance(paginator, dict) else None
        return Page.of(rows, total=total, limit=limit, offset=offset)
