"""What is read from BigCommerce for one order when somebody asks: the record now, a preview, what its buyer sees."""

from collections.abc import Callable, Mapping
from typing import Any

from service import audit
from service.bigcommerce import StoreApi
from service.bigcommerce.models import Record
from service.console.pages.order.page import PATH
from service.console.people.access import Role
from service.console.routes import Visit
from service.console.runs.run_page import RunPage
from service.console.runs.runs import Run, Work
from service.errors import NotFound
from service.orders.buyer_view.as_json import order_view_as_dict
from service.orders.buyer_view.order_view import BuyerViews, NobodyToLookAs, OrderView, api_for_views
from service.orders.buyer_view.shown import Absent, NotShown, shown
from service.orders.preview import Preview
from service.orders.preview_reading import PreviewReader
from service.orders.state.ledger import Ledger

BuyerSight = OrderView | NobodyToLookAs | NotShown | Absent


async def _context(visit: Visit) -> Mapping[str, Any]:
    params = visit.request.path_params
    store, order_id = params["store"], params["order"]
    entry = await Ledger(visit.redis).get(store, order_id)
    return {"store": store, "order_id": order_id, "entry": entry, "store_name": visit.store_name(store)}


async def begin_record(visit: Visit) -> Work:
    """Get an Order: what the record holds now."""
    order_id = visit.request.path_params["order"]
    api = _api(visit)

    async def work(run: Run) -> Record | Absent:
        run.does("Get an Order")
        try:
            return await api(run).b2b.order(order_id)
        except NotFound:
            return Absent("B2B Edition has no record of this order.")

    return work


async def begin_preview(visit: Visit) -> Work:
    """Read the order again, and apply today's rules."""
    store, order_id = visit.request.path_params["store"], visit.request.path_params["order"]
    api, configured, redis = _api(visit), visit.store(store), visit.redis

    async def work(run: Run) -> Preview:
        run.does("Reading the order")
        reader = PreviewReader(redis, configured, api(run))
        return await reader.preview(await reader.load(order_id))

    return work


async def begin_as_buyer(visit: Visit) -> Work:
    """Look at the order as its buyer. Who looks is recorded before the first call as the buyer."""
    store, order_id = visit.request.path_params["store"], visit.request.path_params["order"]
    configured, console = visit.store(store), visit.console

    async def on_look(customer_id: int) -> None:
        detail = f"customer {customer_id}"
        await visit.record(audit.Action(visit.person.who, audit.ActionName.LOOK_AS_BUYER, store, [order_id], detail))

    async def work(run: Run) -> BuyerSight:
        transport = console.upstream.transport(console.configuration.endpoints)
        api = api_for_views(transport, configured.store, run.waits)
        return await shown(BuyerViews(api, console.redis, configured.store, on_look).order(order_id))

    return work


def _api(visit: Visit) -> Callable[[Run], StoreApi]:
    console, configured = visit.console, visit.store(visit.request.path_params["store"])

    def api(run: Run) -> StoreApi:
        return console.upstream.api(console.configuration.endpoints, configured, run)

    return api


def record_as_dict(record: Record | Absent) -> dict[str, Any] | None:
    """The record for scripts; None: there is none."""
    if isinstance(record, Absent):
        return None
    return {
        "po_number": record.po_number,
        "fields": record.extra_fields,
        "reference_number": record.reference_number,
        "company_id": record.company_id,
    }


def preview_as_dict(preview: Preview) -> dict[str, Any]:
    """The preview for scripts."""
    merged = preview.merged
    return {
        "outcome": preview.outcome.value,
        "reason": preview.reason,
        "rule": preview.rule,
        "payload": preview.payload,
        "rules": [
            {
                "rule": result.trace.name,
                "source": result.trace.source,
                "found": result.trace.text,
                "field": result.field,
                "sent": result.sent,
                "dropped": result.dropped,
                "error": result.error,
            }
            for result in preview.results
        ],
        "update": merged.values.body() if merged and merged.values else None,
        "kept": list(merged.kept) if merged else [],
    }


def sight_as_dict(sight: BuyerSight) -> dict[str, Any]:
    """What the buyer sees, for scripts. Without a buyer to look as, the reason stands under ``not_shown``."""
    if isinstance(sight, OrderView):
        return order_view_as_dict(sight)
    return {"order": None, "not_shown": {"order": sight.reason}}


PAGES = (
    RunPage(f"{PATH}/record", "order/record.html", begin_record, record_as_dict, Role.VIEWER, context=_context),
    RunPage(f"{PATH}/preview", "order/preview.html", begin_preview, preview_as_dict, Role.VIEWER, context=_context),
    RunPage(f"{PATH}/as-buyer", "order/as_buyer.html", begin_as_buyer, sight_as_dict, context=_context),
)
