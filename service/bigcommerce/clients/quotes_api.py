"""Client for the quotes of the B2B Edition management API.

Each method makes one documented call, which a comment names. All methods raise subclasses of UpstreamError (see
``service.errors``), TryAgain where an answer is incomplete or has an undocumented shape.
"""

from collections.abc import Collection, Mapping
from datetime import UTC, datetime
from typing import Any

from service.bigcommerce.apis import Api
from service.bigcommerce.complete_answers import is_complete_quote, is_listed_quote
from service.bigcommerce.envelope import Document, data_of, raise_for_envelope, rows_of, unexpected_shape
from service.bigcommerce.models import Page, to_int
from service.bigcommerce.transport import Answer, Call, Caller

PER_PAGE = 200
"""The documentation gives no maximum. This is the maximum of B2B Edition's other lists."""


class Quotes:
    """The quotes of one store."""

    def __init__(self, caller: Caller) -> None:
        self._caller = caller

    async def page(self, *, offset: int = 0, channel_ids: Collection[int] = ()) -> Page[Document]:
        """One page of quotes, the last updated first. Without channels, the API lists those of the default channel."""
        # B2B Edition API, Quotes, Get All Quotes: documented with the rows in ``data.list``, described with ``data``
        params = {
            "sortBy": "updatedAt",
            "orderBy": "desc",
            "limit": PER_PAGE,
            "offset": offset,
            "channelIds[]": ",".join(map(str, channel_ids)) or None,
        }
        operation = "Get All Quotes"
        answer = await self._get(operation, "/v3/io/rfq", params)
        data = data_of(operation, answer.body)
        rows = rows_of(operation, data["list"] if isinstance(data, dict) and "list" in data else data)
        total = _total_count(answer.body, data)
        if not all(map(is_listed_quote, rows)) or (not rows and total is not None and total > offset):
            raise unexpected_shape(operation)
        return Page.of(rows, total=total, limit=PER_PAGE, offset=offset)

    async def quote(self, quote_id: int, order_id: int, created_at: int | None) -> Document:
        """The quote of this order. ``created_at`` is the quote's own ``createdAt`` (Unix seconds), from the list."""
        # B2B Edition API, Quotes, Get Quote Details: ``date`` is required. Its time zone is not documented.
        operation = "Get Quote Details"
        answer = await self._get(operation, f"/v3/io/rfq/{quote_id:d}", {"date": _date(created_at)})
        for row in rows_of(operation, data_of(operation, answer.body)):
            if is_complete_quote(row, order_id):
                return row
        raise unexpected_shape(operation)

    async def _get(self, operation: str, path: str, params: Mapping[str, Any]) -> Answer:
        call = Call(operation, Api.B2B, "GET", path, params)
        return raise_for_envelope(call, await self._caller.call(call), self._caller.account)


def _date(time: int | None) -> str | None:
    try:
        return None if time is None else datetime.fromtimestamp(time, UTC).strftime("%m/%d/%Y")
    except (ValueError, OverflowError, OSError):
        return None  # not a time


def _total_count(body: Any, data: Any) -> int | None:
    """A list's total, from ``data.pagination`` as documented, or from ``meta.pagination`` as in other lists."""
    meta = body.get("meta") if isinstance(body, dict) else None
    for holder in (data, meta):
        pagination = holder.get("pagination") if isinstance(holder, dict) else None
        if isinstance(pagination, dict) and (total := to_int(pagination.get("totalCount"))) is not None:
            return total
    return None
