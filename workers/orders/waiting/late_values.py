"""Late values: whether an order waits for them inside its window, and the poll that notices them."""

import hashlib
import json
from collections.abc import Collection
from datetime import UTC, datetime
from typing import Any

import structlog
from arq import Retry

from service.bigcommerce import Account, Priority, StoreApi, Transport
from service.bigcommerce.models import to_int
from service.configuration import ConfiguredStore
from service.errors import UpstreamError
from service.orders.create_window import WINDOW_LENGTH_S, Window
from service.orders.document.loading import Metafields, by_namespace
from service.orders.state.order_entry import Entry
from service.orders.state.worklists.late_orders import LIST, LateOrders
from service.rules import Evaluation
from workers.backoff import requeue
from workers.orders.result_types import AwaitingValues
from workers.orders.waiting.create_turns import CreateTurns
from workers.resources import Resources

log = structlog.get_logger()

MIN_WAIT_S = 0.25
"""Nothing waits for less: another attempt would cost more than it could bring."""

# The list is asked for metafields that were written a little before the oldest waiting order was placed.
MARGIN_S = 5.0
POLL_TIMEOUT_S = 3.0


def digest(metafields: Metafields, namespaces: Collection[str]) -> str:
    """Identifies the metafields of an order in these namespaces (all, where none is named); empty where it has none."""
    named = {name: values for name, values in metafields.items() if not namespaces or name in namespaces}
    return hashlib.sha256(json.dumps(named, sort_keys=True).encode()).hexdigest()[:16] if named else ""


async def await_values(
    evaluation: Evaluation,
    entry: Entry,
    configured: ConfiguredStore,
    window: Window,
    late: LateOrders,
    transport: Transport,
    *,
    metafields: Metafields,
) -> AwaitingValues | None:
    """Whether the order waits, inside its open window, for values that apps write after it was placed.

    Its entry then says until when. None: it goes on with the values that there are, also after it has waited.
    """
    rules, store = configured.rules, configured.store
    pending, late_until = rules.pending(evaluation), entry.late_until
    if entry.sent is not None or (not pending and late_until is None):
        return None
    turns = CreateTurns(late, transport, entry.store, store.late_values_s)
    may_wait = pending and (late_until or await late.is_worth_waiting(entry.store, entry.order_id))
    deadline = await turns.last_moment(entry.order_id, window) if may_wait else 0.0
    seconds = deadline - transport.upstream_clock.now()
    if seconds > MIN_WAIT_S:
        if late_until is None:
            entry.late_until, entry.late_rules = deadline, list(pending)
        entry.woken_by = None
        await turns.join(entry.order_id, window)
        seen = digest(metafields, rules.needs.metafield_namespaces) if rules.needs.metafields else None
        return AwaitingValues(pending, seconds, seen)
    if late_until is not None:
        brought = bool(set(entry.late_rules) - set(pending))
        await late.note_outcome(entry.store, brought_value=brought, woken_by=entry.woken_by)
    return None


class LateValuePoller:
    """The job that lists the metafields of a store's waiting orders and wakes those that have new ones."""

    def __init__(self, resources: Resources) -> None:
        self._resources = resources

    async def poll(self, ctx: dict[str, Any], store: str) -> None:
        """List once; raises Retry as long as orders wait. Core quota only."""
        with structlog.contextvars.bound_contextvars(store=store):
            try:
                if not await self._poll(store):
                    return
            except UpstreamError:
                pass  # in the log as `upstream_call`; the next poll is due soon
            except Exception as error:
                raise requeue(ctx, error) from error
        raise Retry(defer=await self._resources.late.poll_interval_s(store))

    async def _poll(self, store: str) -> bool:
        """Whether orders wait."""
        configured = self._resources.configuration.stores.get(store)
        waiting = await self._resources.late.waiting(store)
        if configured is None or not waiting or not configured.rules.needs.metafields:
            return False
        await CreateTurns(
            self._resources.late, self._resources.transport, store, configured.store.late_values_s
        ).move_up()
        namespaces = sorted(configured.rules.needs.metafield_namespaces)
        clock = self._resources.transport.upstream_clock
        api = StoreApi(
            self._resources.transport,
            Account(store, configured.store.access_tokens),
            timeout_s=POLL_TIMEOUT_S,
            priority=Priority.VERIFY,
        )
        since = datetime.fromtimestamp(clock.now() - WINDOW_LENGTH_S - MARGIN_S, UTC)
        found: dict[int, list[dict[str, Any]]] = {}
        for metafield in await api.core.orders_metafields(created_since=since, namespaces=namespaces):
            found.setdefault(to_int(metafield.get("resource_id")) or 0, []).append(metafield)
        for order_id, seen in waiting.items():
            now = digest(by_namespace(found.get(order_id, [])), namespaces)
            if now and now != seen:
                await self._resources.late.wake(store, order_id, source=LIST)
        return True
