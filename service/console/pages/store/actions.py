"""Stopping and resuming writes for a store. Resuming lets its held orders go on, and shows how far that is."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from starlette.responses import Response

from service.audit import ActionName
from service.console.routes import Action, Visit
from service.console.runs.run_page import RunPage
from service.console.runs.runs import Run, Work
from service.orders.state.per_store.pauses import Pauses
from service.orders.state.worklists.held_orders import HeldOrders

PATH = "/stores/{store:store}"


@dataclass(frozen=True, slots=True)
class Resumed:
    """How many held orders go on. ``is_paused``: somebody has paused the store again; ``is_read_only``: by its file."""

    released: int
    is_paused: bool
    is_read_only: bool


async def pause(visit: Visit) -> Response:
    """Stop writing for the store, as `enrich stores pause` does. Errors are Redis's own."""
    store: str = visit.request.path_params["store"]
    if await Pauses(visit.redis).begin(store, visit.person.who):
        await visit.record_action(ActionName.PAUSE, store)
    return visit.back(f"/stores/{store}", "paused")


async def begin_resume(visit: Visit) -> Work:
    """Go on writing for the store at once, as `enrich stores resume` does; the work releases its held orders."""
    store: str = visit.request.path_params["store"]
    is_read_only = visit.store(store).store.writes == "off"
    held = await HeldOrders(visit.redis).count(store)
    if await Pauses(visit.redis).end(store):
        await visit.record_action(ActionName.RESUME, store, detail=f"{held} orders held")

    async def work(run: Run) -> Resumed:
        def note(released: int) -> None:
            run.does(f"{released:,} of {max(held, released):,} held orders go on")

        note(0)
        # Where the file forbids writing, they would only be read and held again.
        released = 0 if is_read_only else await HeldOrders(visit.redis).release(store, note)
        return Resumed(released, await Pauses(visit.redis).read(store) is not None, is_read_only)

    return work


async def _context(visit: Visit) -> Mapping[str, Any]:
    store = visit.request.path_params["store"]
    return {"store": store, "store_name": visit.store_name(store), "pause": await Pauses(visit.redis).read(store)}


def as_dict(resumed: Resumed) -> dict[str, Any]:
    """As `enrich stores resume --json`."""
    return {
        "released": resumed.released,
        "paused": resumed.is_paused,
        "writes": "off" if resumed.is_read_only else "on",
    }


PAGES = (RunPage(f"{PATH}/resume", "store/resume.html", begin_resume, as_dict, is_write=True, context=_context),)
ACTIONS = (Action(f"{PATH}/pause", pause),)
