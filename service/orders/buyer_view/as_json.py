"""Views of a buyer as JSON, for scripts and for the pages' ``.json``.

What was not shown is null, with its reason under ``not_shown``; what BigCommerce says is not there, under ``absent``.
"""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from service.bigcommerce.clients.storefront_models import BuyerOrder, Thumbnail
from service.bigcommerce.models import Page, Record
from service.orders.buyer_view.buyer_page import BuyerPage, ListedOrder
from service.orders.buyer_view.differences import Comparison
from service.orders.buyer_view.order_view import OrderView
from service.orders.buyer_view.products import ShownProduct
from service.orders.buyer_view.shown import Absent, NotShown


def order_view_as_dict(view: OrderView) -> dict[str, Any]:
    """What the buyer sees of one order."""
    record, seen, products = view.record, view.seen, view.products
    return {
        "customer_id": view.customer_id,
        "channel_id": view.channel_id,
        "order": _order(seen) if isinstance(seen, BuyerOrder) else None,
        "products": [_product(each) for each in products] if isinstance(products, tuple) else None,
        "record": _record(record) if isinstance(record, Record) else None,
        **_comparison(view.comparison),
        **_gaps({"order": seen, "products": products, "record": record}),
    }


def buyer_page_as_dict(page: BuyerPage) -> dict[str, Any]:
    """A page of the buyer's orders and one of their products. The next pages begin at ``next_offset``; null: none."""
    orders, products = page.orders, page.products
    return {
        "store": page.store,
        "customer_id": page.customer_id,
        "channel_id": page.channel_id,
        "company_id": page.company_id,
        "since": page.since.isoformat(),
        "orders": _list(orders, [_listed(each) for each in orders.items]) if isinstance(orders, Page) else None,
        "products": (
            _list(products, [_product(each) for each in products.items]) if isinstance(products, Page) else None
        ),
        **_gaps({"orders": orders, "products": products}),
    }


def _list(page: Page[Any], items: list[dict[str, Any]]) -> dict[str, Any]:
    return {"items": items, "total": page.total, "next_offset": page.next_offset}


def _listed(listed: ListedOrder) -> dict[str, Any]:
    return _order(listed.order) | _comparison(listed.comparison)


def _order(order: BuyerOrder) -> dict[str, Any]:
    fields = order.model_dump(exclude={"products", "created_at"})
    return fields | {"created_at": _iso(order.created_at)}


def _record(record: Record) -> dict[str, Any]:
    return {"po_number": record.po_number, "extra_fields": record.extra_fields, "company_id": record.company_id}


def _product(shown: ShownProduct) -> dict[str, Any]:
    fields = shown.product.model_dump(exclude={"image_url", "last_ordered_at"})
    thumbnail = shown.thumbnail
    return {
        **fields,
        "last_ordered_at": _iso(shown.product.last_ordered_at),
        "thumbnail": thumbnail.model_dump() if isinstance(thumbnail, Thumbnail) else None,
        **_gaps({"thumbnail": thumbnail}),
    }


def _comparison(comparison: Comparison) -> dict[str, Any]:
    return {
        "differences": [
            {
                "kind": each.kind.value,
                "name": each.name,
                "recorded": each.recorded,
                "seen": each.seen,
                "sentence": each.sentence,
            }
            for each in comparison.differences
        ],
        "not_compared": list(comparison.not_compared),
    }


def _gaps(parts: Mapping[str, object]) -> dict[str, dict[str, str]]:
    return {
        "not_shown": {name: part.reason for name, part in parts.items() if isinstance(part, NotShown)},
        "absent": {name: part.reason for name, part in parts.items() if isinstance(part, Absent)},
    }


def _iso(seconds: float | None) -> str | None:
    try:
        moment = None if seconds is None else datetime.fromtimestamp(seconds, UTC)
    except (ValueError, OverflowError, OSError):
        return None  # not a time
    return moment.isoformat(timespec="seconds").replace("+00:00", "Z") if moment else None
