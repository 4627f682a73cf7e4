"""When an order was made, decided once: at the first attempt that reads it."""

from datetime import UTC, datetime
from typing import Any

import structlog

from service.logs import Event
from service.orders.create_window import WEBHOOK_CONFIRMS_S, Dated, Window, judge_date
from service.orders.state.order_entry import Entry, Stage
from service.orders.state.per_store.store_history import StoreHistory

log = structlog.get_logger()

RECONCILED = "reconcile"
"""The source of orders whose webhook was lost: the list of orders has shown them, soon after they were made."""


async def date_order(entry: Entry, order: dict[str, Any], history: StoreHistory, now: float) -> Dated:
    """The window of the order that was just read, noted on its entry.

    ``now`` is on BigCommerce's clock. Raises ValueError when the order has no ``date_created`` that can be read.
    """
    dated = Window.of_order(str(order.get("date_created")))
    if entry.window_opened_at is not None:
        return Dated(Window(entry.window_opened_at), is_certain=False)
    if Stage.READ in entry.times:
        _note_changed_date(entry, dated.opened_at)
        entry.times[Stage.CREATED] = dated.opened_at
        return Dated(dated)
    announced_at, store, order_id = entry.announced_at, entry.store, entry.order_id
    is_confirmed = announced_at is not None and abs(announced_at - dated.opened_at) <= WEBHOOK_CONFIRMS_S
    if is_confirmed and now - dated.opened_at <= WEBHOOK_CONFIRMS_S:
        await history.note_date(store, order_id, dated.opened_at)
    judged = judge_date(
        dated,
        announced_at=announced_at,
        is_new=entry.source == RECONCILED,
        date_before=None if is_confirmed else await history.date_before(store, order_id),
        now=now,
    )
    if not judged.is_certain:
        entry.window_opened_at = judged.window.opened_at
    entry.times[Stage.CREATED] = judged.window.opened_at
    return judged


def _note_changed_date(entry: Entry, created_at: float) -> None:
    """An id is one order for ever, so a new date is told, and nothing else follows from it."""
    before = entry.times.get(Stage.CREATED)
    if before is not None and before != created_at:
        log.warning(Event.ORDER_DATE_CHANGED, before=_iso(before), now=_iso(created_at))


def _iso(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).isoformat(timespec="seconds")
