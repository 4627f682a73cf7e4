"""What a buyer sees of an order, for ``enrich orders show --as-buyer``."""

from collections.abc import Iterator
from datetime import UTC, datetime
from math import ceil
from typing import Any

import typer
from rich.table import Table
from rich.text import Text

from service.bigcommerce.clients.storefront_models import BuyerOrder, Thumbnail
from service.cli.common.session import Session
from service.configuration import ConfiguredStore
from service.orders.buyer_view.as_json import order_view_as_dict
from service.orders.buyer_view.order_view import BuyerViews, NobodyToLookAs, OrderView, api_for_views
from service.orders.buyer_view.products import ShownProduct
from service.orders.buyer_view.shown import Absent, NotShown, Shown, shown

# Shorter waits are not told: calls of the lowest priority often wait a moment for their turn.
TOLD_FROM_S = 2.0

BuyerSight = OrderView | NobodyToLookAs | NotShown | Absent
"""What the buyer sees, or why that is not known."""


async def look_as_buyer(session: Session, store: ConfiguredStore, order_id: int) -> BuyerSight:
    """Read what the order's buyer sees; says on stderr when it waits for the quota."""
    api = api_for_views(session.transport, store.store, _say_that_it_waits)
    return await shown(BuyerViews(api, session.redis, store.store).order(order_id))


def is_known(sight: BuyerSight) -> bool:
    """Whether BigCommerce said what the buyer sees, even if that is nothing."""
    return isinstance(sight, OrderView) and sight.is_known


def sight_as_dict(sight: BuyerSight) -> dict[str, Any]:
    """For scripts. Without a buyer to look as, the reason stands under ``not_shown``."""
    if isinstance(sight, OrderView):
        return order_view_as_dict(sight)
    return {"order": None, "not_shown": {"order": sight.reason}}


def sight_parts(sight: BuyerSight) -> Iterator[Table | Text]:
    """For people: what differs first, then what the buyer sees."""
    yield Text("\nAs the buyer sees it in the Buyer Portal", "bold")
    if not isinstance(sight, OrderView):
        yield Text(f"not shown: {sight.reason}", "yellow")
        return
    for difference in sight.comparison.differences:
        yield Text(f"! {difference.sentence}", "red")
    for sentence in sight.comparison.not_compared:
        yield Text(f"? {sentence}", "yellow")
    if not sight.comparison.differences and not sight.comparison.not_compared:
        yield Text("The buyer sees what B2B Edition's record holds.", "green")
    yield _facts(sight)
    if isinstance(sight.products, tuple):
        yield _products(sight.products)
    else:
        yield Text(f"products: {_missing(sight.products)}", "yellow")


def _facts(sight: OrderView) -> Table:
    facts = Table(box=None, show_header=False, pad_edge=False)
    facts.add_column(style="bold", no_wrap=True)
    facts.add_column(overflow="fold")
    rows = {"buyer": f"customer {sight.customer_id}, on channel {sight.channel_id}", **_order_rows(sight.seen)}
    for name, value in rows.items():
        facts.add_row(Text(name), Text(value))
    return facts


def _order_rows(seen: Shown[BuyerOrder]) -> dict[str, str]:
    if not isinstance(seen, BuyerOrder):
        return {"order": _missing(seen)}
    fields = {f"field {name}": value for name, value in (seen.extra_fields or {}).items()}
    total = " ".join(filter(None, (seen.total, seen.currency)))
    return {
        "PO number": _text(seen.po_number),
        **(fields or {"extra fields": "not shown" if seen.extra_fields is None else "none"}),
        **({"reference number": seen.reference_number} if seen.reference_number else {}),
        "status": _text(seen.status),
        "total": total or "not shown",
        "placed": _time(seen.created_at),
    }


def _products(products: tuple[ShownProduct, ...]) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in ("PRODUCT", "QUANTITY", "SKU", "NAME", "IMAGE"):
        table.add_column(column, overflow="fold", justify="right" if column == "QUANTITY" else "left")
    for each in products:
        product, image = each.product, each.thumbnail
        table.add_row(
            str(product.product_id),
            "not shown" if product.quantity is None else str(product.quantity),
            Text(_text(product.sku)),
            Text(_text(product.name)),
            Text(f"{image.url} ({image.source})" if isinstance(image, Thumbnail) else _missing(image)),
        )
    return table


def _missing(part: NotShown | Absent) -> str:
    return f"not shown: {part.reason}" if isinstance(part, NotShown) else f"none: {part.reason}"


def _text(value: str | None) -> str:
    return "not shown" if value is None else value or "none"


def _time(seconds: float | None) -> str:
    try:
        moment = None if seconds is None else datetime.fromtimestamp(seconds, UTC)
    except (ValueError, OverflowError, OSError):
        moment = None
    return moment.strftime("%Y-%m-%d %H:%M:%S UTC") if moment else "not shown"


def _say_that_it_waits(operation: str, seconds: float) -> None:
    if seconds >= TOLD_FROM_S:
        typer.echo(f"{operation}: waiting {ceil(seconds)} s for BigCommerce's quota; orders go first.", err=True)
