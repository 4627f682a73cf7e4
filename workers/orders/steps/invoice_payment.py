"""Invoice payments are noticed before a record is made for them.

A buyer who pays an invoice places an ordinary order with one digital product. The platform tells it apart by an order
metafield with the key ``orderType``, in whatever namespace: ``invoice payment``, or ``online order``. It may come a
moment after the order. So an order of one digital line item waits for it; other orders cost no call.
"""

import asyncio
from contextlib import suppress
from typing import Any

from service.bigcommerce import StoreApi
from service.bigcommerce.clock import UpstreamClock
from service.bigcommerce.models import to_int
from service.errors import CredentialsRefused, Refused, UpstreamError
from service.orders.create_window import Window
from service.orders.document.loading import Document, Metafields, by_namespace
from service.orders.state.order_entry import Entry
from service.orders.state.per_store.store_history import StoreHistory
from workers.orders.waiting.create_turns import CREATE_NEEDS_S

KEY = "orderType"
INVOICE_PAYMENT = "invoice payment"

MAX_WAIT_S = 2.0
"""So long an order waits for the metafield, and never so long that its Create might miss the window."""

MIN_READ_S = 0.5
"""A read gets at least so much time."""

# Pauses between the reads: five or six in two seconds.
FIRST_PAUSE_S = 0.1
MAX_PAUSE_S = 0.5


def may_pay_invoice(document: Document) -> bool:
    """Whether the order has exactly one line item, and a digital one: others are no payments of invoices."""
    order, products = document["order"], document["products"]
    if not _is_true(order.get("order_is_digital")):
        return False
    return len(products) == 1 if products else to_int(order.get("items_total")) in (None, 1)


def order_type(metafields: Metafields) -> str | None:
    """The order's ``orderType``; None where it has none, or an empty one."""
    found = (keys[KEY] for keys in metafields.values() if KEY in keys)
    return next((text for value in found if (text := str(value or "").strip().lower())), None)


async def is_invoice_payment(
    document: Document, entry: Entry, api: StoreApi, history: StoreHistory, clock: UpstreamClock, window: Window
) -> bool:
    """Whether the order pays an invoice. Waits for the metafield that tells, if it may come and there is time.

    Raises TryAgain and WaitUntil when the window has closed and the metafields cannot be read: then nothing is urgent.
    """
    shown = order_type(document["metafields"])
    if shown is None and entry.order_type is None and may_pay_invoice(document):
        shown = await _wait_for_type(entry, api, history, clock, window)
        if shown is not None:
            await history.note_order_type(entry.store, is_shown=bool(shown))
        entry.order_type = shown or ""
    elif shown is not None:
        if entry.order_type != shown:
            await history.note_order_type(entry.store, is_shown=True)
        entry.order_type = shown
    return entry.order_type == INVOICE_PAYMENT


async def _wait_for_type(
    entry: Entry, api: StoreApi, history: StoreHistory, clock: UpstreamClock, window: Window
) -> str | None:
    """The order's type, empty where it has none; None where that is not known."""
    if not window.is_open(clock.now()):
        with suppress(Refused, CredentialsRefused):
            return await _read_type(entry, api)
        return None
    if not await history.is_order_type_expected(entry.store, entry.order_id):
        return None
    until, pause, shown = min(clock.now() + MAX_WAIT_S, window.closes_at - CREATE_NEEDS_S), FIRST_PAUSE_S, None
    while True:
        with suppress(UpstreamError, TimeoutError):  # the next read may show it
            async with asyncio.timeout(max(until - clock.now(), MIN_READ_S)):
                shown = await _read_type(entry, api)
        left = until - clock.now()
        if shown or left <= 0:
            return shown
        await asyncio.sleep(min(pause, left))
        pause = min(2 * pause, MAX_PAUSE_S)


async def _read_type(entry: Entry, api: StoreApi) -> str:
    return order_type(by_namespace(await api.core.metafields(entry.order_id))) or ""


def _is_true(value: Any) -> bool:
    return value is True or (isinstance(value, str) and value.lower() in ("true", "1")) or to_int(value) == 1
