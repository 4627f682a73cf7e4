"""Stopping and resuming writes for a store."""

from starlette.responses import Response

from service.console.routes import Action, Visit
from service.orders.state.per_store.pauses import Pauses
from service.orders.state.worklists.held_orders import HeldOrders

PATH = "/stores/{store:store}"


async def pause(visit: Visit) -> Response:
    """Stop writing for the store, as `enrich stores pause` does. Errors are Redis's own."""
    store: str = visit.request.path_params["store"]
    if await Pauses(visit.redis).begin(store, visit.person.who):
        await visit.record_action("stores pause", store)
    return visit.back(f"/stores/{store}", "paused")


async def resume(visit: Visit) -> Response:
    """Go on writing for the store, as `enrich stores resume` does. Errors are Redis's own."""
    store: str = visit.request.path_params["store"]
    configured = visit.store(store).store
    ended = await Pauses(visit.redis).end(store)
    # Where the file forbids writing, they would only be read and held again.
    released = await HeldOrders(visit.redis).release(store) if configured.writes == "on" else 0
    if ended:
        await visit.record_action("stores resume", store, detail=f"{released} orders released")
    return visit.back(f"/stores/{store}", "resumed")


ACTIONS = (Action(f"{PATH}/pause", pause), Action(f"{PATH}/resume", resume))
