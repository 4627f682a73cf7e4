"""What people do with one order: retry it, set values by hand, clear them."""

from starlette.responses import Response

from service.audit import ActionName
from service.bigcommerce import Account, Priority, StoreApi
from service.console.pages.order.page import PATH, find_entry, load_with_form
from service.console.routes import Action, Visit, render
from service.console.values_form import ValuesForm
from service.errors import ConfigError
from service.orders.by_hand import OrderValues, SetResult
from service.orders.document.cache import Cache
from service.orders.state.queue import EnqueueResult, Queue
from service.orders.values.values_to_send import remembered_configs

# Of the one call for the store's extra fields, where they are not cached. Values are checked by the workers, too.
_SETTINGS_TIMEOUT_S = 5.0


async def retry(visit: Visit) -> Response:
    """Queue the order again, as `enrich orders retry` does. Raises NotFoundError, and Redis's errors."""
    store, order_id = _order_of(visit)
    await find_entry(visit, store, order_id)
    result = await Queue(visit.redis).retry(store, order_id, "retry")
    is_queued = result is EnqueueResult.QUEUED
    await visit.record_action(ActionName.RETRY, store, [order_id], "" if is_queued else "was in progress already")
    return visit.back(f"/orders/{store}/{order_id}", "retried" if is_queued else "in_progress")


async def set_values(visit: Visit) -> Response:
    """Set values by hand, as `enrich orders set` does; the form again where something is wrong with them.

    Raises NotFoundError, and Redis's errors.
    """
    store, order_id = _order_of(visit)
    entry, configured = await find_entry(visit, store, order_id), visit.store(store)
    sent = await visit.form()
    fields = {name: value for name, value in sent.items() if isinstance(value, str)}
    empty = ValuesForm.of(entry, configured, await remembered_configs(Cache(visit.redis, store)))
    form = empty.filled_in(fields, may_replace=fields.get("replace") == "on")
    if form.is_empty:
        return await _again(visit, ValuesForm(form.rows, form.may_replace, ["Write at least one value."]))
    texts = form.changes(entry.values_by_hand)
    if not texts:
        return visit.back(f"/orders/{store}/{order_id}", "set_already")
    try:
        outcome = await _values(visit, store).set(order_id, texts, who=visit.person.who, replace=form.may_replace)
    except ConfigError as error:
        return await _again(visit, form.with_problems(error))
    return visit.back(f"/orders/{store}/{order_id}", "set" if outcome.result is SetResult.QUEUED else "set_in_progress")


async def clear_values(visit: Visit) -> Response:
    """Forget the values by hand, as `enrich orders set --clear` does. Raises NotFoundError, and Redis's errors."""
    store, order_id = _order_of(visit)
    await find_entry(visit, store, order_id)
    try:
        await _values(visit, store).clear(order_id, who=visit.person.who)
    except ConfigError:  # a second click: there are none any more
        return visit.back(f"/orders/{store}/{order_id}", "cleared_already")
    return visit.back(f"/orders/{store}/{order_id}", "cleared")


def _order_of(visit: Visit) -> tuple[str, int]:
    params = visit.request.path_params
    return params["store"], params["order"]


def _values(visit: Visit, store: str) -> OrderValues:
    configured = visit.store(store)
    transport = visit.console.upstream.transport(visit.console.configuration.endpoints)
    account = Account(store, configured.store.access_tokens)
    # It does not wait for the quota: where the settings cannot be read, the workers check the values.
    api = StoreApi(transport, account, timeout_s=_SETTINGS_TIMEOUT_S, priority=Priority.BACKGROUND)
    return OrderValues(visit.redis, configured, api, record=visit.record)


async def _again(visit: Visit, form: ValuesForm) -> Response:
    return render(visit, "order/order.html", {"page": await load_with_form(visit, form)}, 400)


ACTIONS = (
    Action(f"{PATH}/retry", retry),
    Action(f"{PATH}/set", set_values),
    Action(f"{PATH}/clear", clear_values),
)
