"""Client for the B2B Edition storefront API, which shows what a buyer sees; it takes the buyer's own token.

Each method makes one documented call, which a comment names, and returns documents unchanged; ``storefront_models``
reads them. Errors are those of the other APIs; here CredentialsRefused concerns the buyer's token, which expires after
one day. Documentation: https://developer.bigcommerce.com/b2b-edition/apis/rest-storefront/orders
"""

from collections.abc import Callable, Collection, Mapping
from datetime import date
from typing import Any

from pydantic import SecretStr

from service.bigcommerce.apis import Api
from service.bigcommerce.complete_answers import (
    is_buyer_order,
    is_buyer_product,
    is_order_details,
    is_order_image,
    may_confirm_buyer_write,
    says_already_exists,
)
from service.bigcommerce.envelope import Document, data_of, raise_for_envelope, rows_of, unexpected_shape
from service.bigcommerce.models import Page, Values, to_int
from service.bigcommerce.transport import Account, Answer, Call, Caller, is_sendable
from service.errors import AlreadyExists, Refused, Unsure

PER_PAGE = 50

DEFAULT_CHANNEL = 1
"""The id of a store's default storefront."""


class Storefront:
    """The storefront API for one store."""

    def __init__(self, caller: Caller) -> None:
        self._caller = caller

    async def storefront_token(self, customer_id: int, channel_id: int = DEFAULT_CHANNEL) -> SecretStr:
        """A token that acts as this customer on this channel. It expires after one day."""
        # https://developer.bigcommerce.com/b2b-edition/apis/rest-management/authentication
        # Get a B2B Storefront Token. Stores with one storefront need no channel, and had better send none.
        operation = "Get a B2B Storefront Token"
        path = "/io/auth/customers/storefront"
        channel = {} if channel_id == DEFAULT_CHANNEL else {"channelId": channel_id}
        call = Call(operation, Api.B2B, "POST", path, json={"customerId": customer_id, **channel})
        answer = raise_for_envelope(call, await self._caller.call(call), self._caller.account)
        for row in rows_of(operation, data_of(operation, answer.body)):
            tokens = row.get("token")
            for text in tokens if isinstance(tokens, list) else [tokens]:
                if isinstance(text, str) and is_sendable(token := SecretStr(text)):
                    return token
        raise unexpected_shape(operation)

    async def orders(
        self,
        token: SecretStr,
        *,
        since: date | None = None,
        whole_company: bool = False,
        limit: int = PER_PAGE,
        offset: int = 0,
    ) -> Page[Document]:
        """One page of the buyer's orders, the newest first; without ``since``, the API lists the last 30 days.

        ``whole_company`` adds the orders of the Company's other buyers, for Admins and Senior Buyers only.
        """
        # https://developer.bigcommerce.com/b2b-edition/apis/rest-storefront/orders#get-all-orders (List Orders)
        filters = {"beginDateAt": _date(since), "isShowMy": 1 if whole_company else None}
        return await self._page(token, "Get All Orders", "/v2/orders", filters, limit, offset)

    async def order_details(self, token: SecretStr, order_id: int) -> Document:
        """An order with its PO number, products and money format. Raises NotFound when the buyer does not see it."""
        # https://developer.bigcommerce.com/b2b-edition/apis/rest-storefront/orders#get-order-details
        operation = "Get Order Details"
        for row in await self._rows(token, operation, f"/v2/orders/{order_id:d}/details"):
            if is_order_details(row, order_id):
                return row
        raise unexpected_shape(operation)

    async def order_products(self, token: SecretStr, order_id: int) -> list[Document]:
        """An order's products. Raises NotFound when the buyer does not see the order."""
        # https://developer.bigcommerce.com/b2b-edition/apis/rest-storefront/orders#get-order-products
        # (List Order Products)
        return await self._rows(
            token, "Get Order Products", f"/v2/orders/{order_id:d}/products", is_complete=is_buyer_product
        )

    async def order_images(self, token: SecretStr, order_ids: Collection[int]) -> list[Document]:
        """The product images of orders: ``orderId``, ``imageUrl``."""
        # https://developer.bigcommerce.com/b2b-edition/apis/rest-storefront/orders#get-order-images
        # (List Order Images)
        params = {"orderIds[]": list(order_ids)}
        return await self._rows(token, "Get Order Images", "/v2/orders/images", params, is_complete=is_order_image)

    async def ordered_products(
        self, token: SecretStr, *, since: date | None = None, limit: int = PER_PAGE, offset: int = 0
    ) -> Page[Document]:
        """One page of the products that the buyer has ordered; without ``since``, in the last 30 days."""
        # https://developer.bigcommerce.com/b2b-edition/apis/rest-storefront/orders#get-ordered-product-list
        # (List Ordered Products)
        filters = {"beginDateAt": _date(since)}
        operation = "Get Ordered Product List"
        return await self._page(token, operation, "/v2/ordered-products", filters, limit, offset, is_buyer_product)

    async def create_order(self, token: SecretStr, order_id: int, values: Values, *, keep_comment: bool) -> None:
        """Create the record as the storefront does for its buyer, within the same ten seconds.

        ``keep_comment`` decides whether the order's comment is saved. Raises AlreadyExists when a record exists or the
        ten seconds are over, Unsure also when the answer is about something else, CredentialsRefused when the token is.
        """
        # https://developer.bigcommerce.com/b2b-edition/apis/rest-storefront/orders#create-an-order
        # isSaveOrderComment: "0" saves the comment, "1" does not
        operation = "Create an Order"
        body = {"orderId": order_id, "isSaveOrderComment": "0" if keep_comment else "1", **values.body()}
        try:
            answer = await self._call(token, Call(operation, Api.STOREFRONT, "POST", "/v2/orders", json=body))
        except Refused as error:
            if says_already_exists(error.message):
                raise AlreadyExists(error.operation, error.message, status=error.status) from error
            raise
        data = answer.body.get("data") if isinstance(answer.body, dict) else None
        rows = data if isinstance(data, list) else [data]
        if not all(may_confirm_buyer_write(row, order_id) for row in rows if isinstance(row, dict)):
            raise Unsure(operation, "the answer is about something else", status=200)

    async def _call(self, token: SecretStr, call: Call) -> Answer:
        answer = await self._caller.call_with(token, call)
        return raise_for_envelope(call, answer, Account(self._caller.account.store_hash, (token,)))

    async def _data(self, token: SecretStr, operation: str, path: str, params: Mapping[str, Any]) -> tuple[Any, Any]:
        """The answer's ``data``, and its whole body."""
        answer = await self._call(token, Call(operation, Api.STOREFRONT, "GET", path, params))
        return data_of(operation, answer.body), answer.body

    async def _rows(
        self,
        token: SecretStr,
        operation: str,
        path: str,
        params: Mapping[str, Any] | None = None,
        *,
        is_complete: Callable[[Document], bool] = lambda _: True,
    ) -> list[Document]:
        data, _ = await self._data(token, operation, path, params or {})
        rows = rows_of(operation, data)
        if not all(map(is_complete, rows)):
            raise unexpected_shape(operation)
        return rows

    async def _page(
        self,
        token: SecretStr,
        operation: str,
        path: str,
        filters: Mapping[str, Any],
        limit: int,
        offset: int,
        is_complete: Callable[[Document], bool] = is_buyer_order,
    ) -> Page[Document]:
        data, body = await self._data(token, operation, path, {**filters, "limit": limit, "offset": offset})
        if not isinstance(data, dict):
            raise unexpected_shape(operation)
        rows = rows_of(operation, data.get("list"))
        # Described within ``data``; the examples have it beside ``data``.
        paginator = data.get("paginator") or body.get("paginator")
        total = to_int(paginator.get("totalCount")) if isinstance(paginator, dict) else None
        if not all(map(is_complete, rows)) or (not rows and total is not None and total > offset):
            raise unexpected_shape(operation)
        return Page.of(rows, total=total, limit=limit, offset=offset)


def _date(day: date | None) -> str | None:
    return None if day is None else day.strftime("%m/%d/%Y")
