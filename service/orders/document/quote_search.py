"""Finds the quote that an order came from.

No call asks for the quote of an order. So the list of quotes is read, the last updated first, as far back as the
order's creation: a quote is updated when it becomes an order. For a new order that is one page. The list is cached,
and orders that existed before it was read share it: those of a burst, while one of them reads it.
"""

from dataclasses import dataclass
from typing import Any, Self

from service.bigcommerce import StoreApi
from service.bigcommerce.models import to_int
from service.errors import Refused, TryAgain
from service.orders.create_window import Window
from service.orders.document.cache import QUOTES_TTL_S, Cache
from service.orders.document.loading import Document, by_name

MAX_PAGES = 50
"""10,000 quotes. A store with more needs its older orders enriched by other rules."""

RECENT_S = 3600.0
"""Younger orders share the first page. Older ones, of a backfill, share a longer list and do not replace that page."""

_WHOLE_SECONDS_S = 1.0
"""An order may be created this much later than its ``date_created``, which has whole seconds."""

_KEPT = ("quoteId", "quoteNumber", "createdAt", "referenceNumber", "extraFields")
"""What is kept of a row: what identifies the quote, and what rules read most."""


@dataclass(frozen=True, slots=True)
class _QuoteList:
    """The quotes that have orders, by order id, as of ``asked_at``; times are Unix seconds on BigCommerce's clock.

    The list holds all quotes that were updated since ``since``; None: all quotes of the channel.
    """

    asked_at: float
    since: float | None
    by_order: dict[str, Document]

    @classmethod
    def of(cls, cached: Any) -> Self:
        """From JSON, as the cache keeps it."""
        return cls(cached["asked_at"], cached["since"], cached["by_order"])

    def as_json(self) -> Document:
        """As JSON, for the cache."""
        return {"asked_at": self.asked_at, "since": self.since, "by_order": self.by_order}

    def covers(self, created_at: float, now: float) -> bool:
        """Whether an order with this ``date_created``, which exists ``now``, shows in the list if it has a quote."""
        existed_at = min(created_at + _WHOLE_SECONDS_S, now)
        return self.asked_at > existed_at and (self.since is None or self.since < created_at)


async def read_quote(api: StoreApi, cache: Cache, order: Document, *, made_at: float | None = None) -> Document:
    """The quote that the order came from, with its extra fields by name; empty when there is none.

    ``made_at`` is when the order was made, where its ``date_created`` does not say.
    """
    order_id = to_int(order.get("id")) or 0
    listed = (await _list_quotes(api, cache, order, made_at)).by_order.get(str(order_id))
    if listed is None:
        return {}
    try:
        quote = await api.quotes.quote(to_int(listed["quoteId"]) or 0, order_id, to_int(listed.get("createdAt")))
    except Refused:
        quote = listed  # the list shows that there is one, and most of it
    return by_name(quote)


async def _list_quotes(api: StoreApi, cache: Cache, order: Document, made_at: float | None) -> _QuoteList:
    created_at = Window.of_order(str(order.get("date_created"))).opened_at if made_at is None else made_at
    channel_id = to_int(order.get("channel_id"))
    now = api.transport.upstream_clock.now()
    is_recent = created_at > now - RECENT_S
    cached = await cache.get_or_read(
        f"quotes:{channel_id or ''}:{'recent' if is_recent else 'all'}",
        lambda: _read_quotes(api, channel_id, created_at),
        fresh_s=QUOTES_TTL_S,
        accepts=lambda cached: _QuoteList.of(cached).covers(created_at, now),
    )
    return _QuoteList.of(cached)


async def _read_quotes(api: StoreApi, channel_id: int | None, created_at: float) -> Document:
    asked_at, offset = api.transport.upstream_clock.now(), 0
    by_order: dict[str, Document] = {}
    for _ in range(MAX_PAGES):
        page = await api.quotes.page(offset=offset, channel_ids=[channel_id] if channel_id else [])
        for row in page.items:
            if order_id := to_int(row.get("bcOrderId")):
                by_order.setdefault(str(order_id), {key: row[key] for key in _KEPT if key in row})
        since = to_int(page.items[-1].get("updatedAt")) if page.items else None
        if page.next_offset is None:
            return _QuoteList(asked_at, None, by_order).as_json()
        if since is not None and since < created_at:
            return _QuoteList(asked_at, since, by_order).as_json()
        offset = page.next_offset
    raise TryAgain("Get All Quotes", f"the list does not end after {MAX_PAGES} pages", status=200)
