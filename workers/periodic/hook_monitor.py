"""The guardian of a store's webhooks: it reactivates them, keeps them from expiring, and says what is wrong.

BigCommerce deactivates a webhook whose callbacks fail for two days or that has none for 90 days, and sends nothing
for three minutes to a domain that fails too often. ("Webhooks overview")
"""

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import structlog

from service.bigcommerce import Account, Priority, QuotaWaitingApi, StoreApi
from service.bigcommerce.hooks import Hook, read_blocked_domains, read_hooks
from service.errors import Refused
from service.hooks import (
    HookProblem,
    HookState,
    ProblemKind,
    about_orders,
    find_problems,
    first_destination,
    save_hook_state,
)
from service.logs import Event
from service.stores import Store
from workers.periodic.polling import PollingFallback
from workers.periodic.task import PeriodicTask
from workers.resources import Resources

log = structlog.get_logger()

DAY_S = 86_400.0
# BigCommerce takes 90 days without a callback for a sign that nobody wants any.
IDLE_S = 80 * DAY_S

TIMEOUT_S = 15.0


class HookMonitor:
    """The job that looks after a store's webhooks: ``every_s``, and ``trouble_every_s`` while something is wrong."""

    def __init__(
        self,
        resources: Resources,
        *,
        every_s: float = 600.0,
        trouble_every_s: float = 30.0,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._resources = resources
        self._every_s = every_s
        self._trouble_every_s = trouble_every_s
        self._clock = clock
        self._task = PeriodicTask("hook_monitor", every_s=every_s)
        self._watches = PollingFallback(resources.redis, clock=clock)

    async def guard(self, _: dict[str, Any], store: str) -> None:
        """Look after the webhooks; raises Retry until the store is gone from the stores file."""
        configured = self._resources.configuration.stores.get(store)
        if configured is not None:
            await self._task.turn(store, lambda: self._turn(configured.store))

    async def _turn(self, store: Store) -> float:
        """One turn; in how many seconds the next is due."""
        if await self._resources.breaker.is_open(store.hash):
            return self._every_s
        api = QuotaWaitingApi(
            self._resources.transport,
            Account(store.hash, store.access_tokens),
            timeout_s=TIMEOUT_S,
            priority=Priority.BACKGROUND,
        )
        known = await HookState.read(self._resources.redis, store.hash)
        hooks = about_orders(await read_hooks(api.core), store)
        blocked = await read_blocked_domains(api.core)

        destination = known.destination or first_destination(hooks)
        ours = [hook for hook in hooks if hook.destination == destination]
        troubles = find_problems(hooks, store, destination, blocked)
        serious = [trouble for trouble in troubles if trouble.blocks_delivery]
        if serious:
            await self._watches.start(store.hash, f"webhook {serious[0].kind}")
            api.priority = Priority.VERIFY  # orders may be missing their windows
        refusals = await _reactivate(api, ours)
        touched_at = await self._touch(api, store.hash, ours, known)
        _tell(known.troubles, troubles, blocked, refusals)
        await save_hook_state(self._resources.redis, store.hash, destination, troubles, touched_at)
        return self._trouble_every_s if serious else self._every_s

    async def _touch(self, api: StoreApi, store: str, hooks: Iterable[Hook], known: HookState) -> float | None:
        """Show BigCommerce that webhooks are wanted that had no event for long; when that was last done."""
        now = self._clock()
        last = max(await self._watches.webhook_at(store) or 0.0, known.touched_at or 0.0)
        idle = [hook for hook in hooks if hook.is_active and now - max(last, hook.updated_at) > IDLE_S]
        for hook in idle:
            if hook.id is not None:
                await api.core.update_hook(hook.id, is_active=True)
                log.info(Event.HOOK_IDLE, store=store, scope=hook.scope, hook_id=hook.id)
        return now if idle else known.touched_at


async def _reactivate(api: StoreApi, hooks: Iterable[Hook]) -> dict[str, str]:
    """Switch on what was switched off; why BigCommerce would not, by scope."""
    refusals = {}
    for hook in hooks:
        if hook.is_active:
            continue
        if hook.id is None:
            refusals[hook.scope] = "it has no id"
            continue
        try:
            await api.core.update_hook(hook.id, is_active=True)
        except Refused as refused:
            refusals[hook.scope] = refused.message
    return refusals


def _tell(
    before: Iterable[HookProblem],
    now: Sequence[HookProblem],
    blocked: Mapping[str, int | None],
    refusals: Mapping[str, str],
) -> None:
    """What has begun, and what has ended."""
    for trouble in now:
        if trouble not in before:
            _tell_of(trouble, blocked, refusals)
    for trouble in before:
        if trouble not in now:
            log.info(Event.HOOK_OK, trouble=trouble.kind.value, what=trouble.what)


def _tell_of(trouble: HookProblem, blocked: Mapping[str, int | None], refusals: Mapping[str, str]) -> None:
    match trouble.kind:
        case ProblemKind.MISSING:
            log.error(Event.HOOK_MISSING, scope=trouble.what)
        case ProblemKind.INACTIVE if trouble.what in refusals:
            log.error(Event.HOOK_NOT_REACTIVATED, scope=trouble.what, reason=refusals[trouble.what])
        case ProblemKind.INACTIVE:
            log.warning(Event.HOOK_REACTIVATED, scope=trouble.what)
        case ProblemKind.HEADERS:
            log.error(Event.HOOK_HEADERS_DIFFER, scope=trouble.what)
        case ProblemKind.BLOCKED:
            log.warning(Event.HOOK_BLOCKED, domain=trouble.what, seconds_left=blocked[trouble.what])
        case ProblemKind.FOREIGN:
            log.warning(Event.HOOK_FOREIGN, destination=trouble.what)
