"""A store's webhooks as BigCommerce has them now; registering and repairing them."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from service import hooks
from service.audit import ActionName
from service.console.people.access import Role
from service.console.routes import InvalidRequest, Visit
from service.console.runs.run_page import RunPage
from service.console.runs.runs import Run, Work
from service.errors import ConfigError
from service.hooks import HookState, ListedHook, StoreChanges

PATH = "/stores/{store:store}/webhooks"


async def begin_list(visit: Visit) -> Work:
    """List the webhooks."""
    store, configured, console = _parts(visit)

    async def work(run: Run) -> list[ListedHook]:
        run.does("Get All Webhooks")
        core = console.upstream.api(console.configuration.endpoints, configured, run).core
        return await hooks.read_listed(core, configured, (await HookState.read(console.redis, store)).destination)

    return work


async def begin_register(visit: Visit) -> Work:
    """Register what is missing at the URL of the form, as `enrich hooks register` does. Raises InvalidRequest."""
    store, configured, console = _parts(visit)
    endpoints = console.configuration.endpoints
    form = await visit.form()
    try:
        destination = hooks.destination_of(str(form.get("url", "")).strip(), from_sandbox=endpoints.is_local)
    except ConfigError as error:
        raise InvalidRequest(str(error).replace("--url ", "URL ")) from None
    does_move = form.get("move") == "on"

    async def work(run: Run) -> StoreChanges:
        run.does("Registering the webhooks")
        core = console.upstream.api(endpoints, configured, run).core
        changes = await hooks.register(core, configured, destination, move=does_move)
        if changes.is_complete:
            await hooks.set_destination(console.redis, store, destination)
        await hooks.request_check_now(console.redis, store)
        await visit.record_action(ActionName.REGISTER_HOOKS, store, detail=_detail(changes))
        return changes

    return work


async def begin_repair(visit: Visit) -> Work:
    """Repair the webhooks, as `enrich hooks repair` does."""
    store, configured, console = _parts(visit)

    async def work(run: Run) -> StoreChanges:
        run.does("Repairing the webhooks")
        core = console.upstream.api(console.configuration.endpoints, configured, run).core
        changes = await hooks.repair(core, configured, (await HookState.read(console.redis, store)).destination)
        await hooks.request_check_now(console.redis, store)
        await visit.record_action(ActionName.REPAIR_HOOKS, store, detail=_detail(changes))
        return changes

    return work


def _parts(visit: Visit) -> tuple[str, Any, Any]:
    store = visit.request.path_params["store"]
    return store, visit.store(store), visit.console


def _detail(changes: StoreChanges) -> str:
    kinds = [step.did.value for step in changes.steps]
    return ", ".join(f"{kinds.count(kind)} {kind}" for kind in dict.fromkeys(kinds))


async def _context(visit: Visit) -> Mapping[str, Any]:
    store = visit.request.path_params["store"]
    state = await HookState.read(visit.redis, store)
    return {"store": store, "store_name": visit.store_name(store), "destination": state.destination or ""}


def listed_as_dicts(listed: Sequence[ListedHook]) -> list[dict[str, Any]]:
    """The webhooks for scripts."""
    return [asdict(hook) for hook in listed]


def changes_as_dict(changes: StoreChanges) -> dict[str, Any]:
    """What was done, for scripts."""
    return {
        "destination": changes.destination,
        "complete": changes.is_complete,
        "steps": [asdict(step) for step in changes.steps],
        "elsewhere": list(changes.elsewhere),
        "blocked": dict(changes.blocked),
    }


PAGES = (
    RunPage(PATH, "store/webhooks.html", begin_list, listed_as_dicts, Role.VIEWER, context=_context),
    RunPage(
        f"{PATH}/register", "store/hook_changes.html", begin_register, changes_as_dict, is_write=True, context=_context
    ),
    RunPage(
        f"{PATH}/repair", "store/hook_changes.html", begin_repair, changes_as_dict, is_write=True, context=_context
    ),
)
