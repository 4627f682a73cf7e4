"""A buyer: the orders and ordered products that the Buyer Portal shows them."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from service.audit import ActionName
from service.console.routes import InvalidRequest, Visit
from service.console.runs.run_page import RunPage
from service.console.runs.runs import Run, Work
from service.orders.buyer_view.as_json import buyer_page_as_dict
from service.orders.buyer_view.buyer_page import BuyerPage, Wanted, read_buyer_page
from service.orders.buyer_view.order_view import BuyerViews, NobodyToLookAs, api_for_views

PATH = "/buyers/{store:store}/{customer:int}"

_OFFSET_MAX = 100_000


async def begin(visit: Visit) -> Work:
    """Read one page of the buyer's orders and one of their products. Raises InvalidRequest.

    Who looks is recorded before the first call as the buyer.
    """
    store, customer_id = visit.request.path_params["store"], visit.request.path_params["customer"]
    configured, console = visit.store(store), visit.console
    form = await visit.form()
    wanted = replace(
        Wanted.of_last_year(datetime.now(UTC).date()),
        orders_offset=_offset(form.get("orders")),
        products_offset=_offset(form.get("products")),
    )

    async def on_look(customer_id: int) -> None:
        await visit.record_action(ActionName.LOOK_AS_BUYER, store, detail=f"customer {customer_id}")

    async def work(run: Run) -> BuyerPage | NobodyToLookAs:
        transport = console.upstream.transport(console.configuration.endpoints)
        api = api_for_views(transport, configured.store, run.waits)
        return await read_buyer_page(BuyerViews(api, console.redis, configured.store, on_look), customer_id, wanted)

    return work


def _offset(written: object) -> int:
    text = str(written or "0")
    if not text.isascii() or not text.isdigit() or len(text) > 6 or int(text) > _OFFSET_MAX:
        raise InvalidRequest("orders, products: write from which row on, such as 10.")
    return int(text)


async def _context(visit: Visit) -> Mapping[str, Any]:
    params = visit.request.path_params
    return {
        "store": params["store"],
        "customer_id": params["customer"],
        "store_name": visit.store_name(params["store"]),
    }


def as_dict(page: BuyerPage | NobodyToLookAs) -> dict[str, Any]:
    """The page for scripts. Without a buyer to look as, the reason stands under ``not_shown``."""
    if isinstance(page, BuyerPage):
        return buyer_page_as_dict(page)
    return {"orders": None, "products": None, "not_shown": {"orders": page.reason, "products": page.reason}}


PAGE = RunPage(PATH, "buyer.html", begin, as_dict, context=_context)
