"""The hook monitor: reactivates a store's webhooks, keeps them from expiring, and logs what is wrong with them.

BigCommerce deactivates a webhook whose callbacks fail for two days or that has none for 90 days. It blocks a domain
that fails too often for three minutes. ("Webhooks overview" in BigCommerce's documentation)
"""

import time
from collections.abc import Callable, Iterable, Mapping, Sequence

import structlog

from service.bigcommerce import Account, Priority, QuotaWaitingApi, StoreApi
from service.bigcommerce.clients.hooks import Hook, read_blocked_domains, read_hooks
from service.configuration import ConfiguredStore
from service.errors import CredentialsRefused, Refused
from service.hooks import (
    HookProblem,
    HookState,
    ProblemKind,
    Scopes,
    find_problems,
    first_destination,
    needed_hooks,
    save_hook_state,
    scopes_of,
    was_check_requested,
)
from service.logs import Event
from service.stores import Store
from workers.periodic.periodic_task import PeriodicTask
from workers.periodic.polling import PollingFallback
from workers.periodic.store_state import StoreStates
from workers.resources import Resources

log = structlog.get_logger()

DAY_S = 86_400.0
# BigCommerce deactivates a webhook that had no callback for 90 days.
MAX_IDLE_S = 80 * DAY_S

# What is wrong with a webhook matters once an order comes, and the first one that no webhook told of asks for a run.
QUIET_S = 1_800.0

TIMEOUT_S = 15.0

# Somebody has changed the webhooks during a run, which may not have seen it.
CHANGED_MEANWHILE_S = 0.5


class HookMonitor(PeriodicTask):
    """The periodic task that monitors a store's webhooks: every ``every_s``, ``problem_every_s`` while one fails.

    Where no order has come for a day and nothing speaks against the webhooks, it runs every ``quiet_every_s``.
    """

    name = "hook_monitor"

    def __init__(
        self,
        resources: Resources,
        *,
        every_s: float = 600.0,
        quiet_every_s: float = QUIET_S,
        problem_every_s: float = 30.0,
        clock: Callable[[], float] = time.time,
    ) -> None:
        super().__init__(resources, every_s=every_s, clock=clock)
        self._quiet_every_s = quiet_every_s
        self._problem_every_s = problem_every_s
        self._states = StoreStates(resources.redis)
        self._polling = PollingFallback(resources.redis, clock=clock)

    async def run_once(self, store: Store) -> float:
        """Check and repair the store's webhooks; returns in how many seconds the next run is due."""
        began = self._clock()
        configured = self._resources.configuration.stores.get(store.hash)
        if configured is None:
            return self._every_s
        # While webhooks are missing, orders may miss their windows.
        polling = await self._polling.get(store.hash)
        api = QuotaWaitingApi(
            self._resources.transport,
            Account(store.hash, store.access_tokens),
            timeout_s=TIMEOUT_S,
            priority=Priority.VERIFY if polling else Priority.BACKGROUND,
        )
        known = await HookState.read(self._resources.redis, store.hash)
        hooks = needed_hooks(await read_hooks(api.core), configured)
        blocked = await read_blocked_domains(api.core)

        destination = known.destination or first_destination(hooks, configured)
        ours = [hook for hook in hooks if hook.destination == destination]
        problems = find_problems(hooks, configured, destination, blocked)
        blocking = [problem for problem in problems if problem.blocks_delivery]
        if blocking:
            await self._polling.start(store.hash, f"webhook {blocking[0].kind}")
            api.priority = Priority.VERIFY
        touched_at = known.touched_at
        if store.writes == "off" or await self._resources.pauses.read(store.hash):
            inactive = [hook.scope for hook in ours if not hook.is_active]
            refusals = dict.fromkeys(inactive, "nothing is written for this store now")
        else:
            refusals = await _reactivate(api, ours, scopes_of(configured))
            touched_at = await self._touch_idle(api, configured, ours, known)
        _log_changes(known.problems, problems, blocked, refusals, is_new_store=destination is None)
        await save_hook_state(self._resources.redis, store.hash, destination, problems, touched_at, checked_at=began)
        if await was_check_requested(self._resources.redis, store.hash, since=began, now=self._clock()):
            return CHANGED_MEANWHILE_S
        if blocking:
            return self._problem_every_s
        return self._quiet_every_s if not problems and await self._is_quiet(store.hash) else self._every_s

    async def _is_quiet(self, store: str) -> bool:
        """Whether no order has come lately, and webhooks are proven to arrive."""
        state = await self._states.read(store, interval_s=self._every_s)
        return state.evidence(self._clock(), state.cursor).are_webhooks_proven

    async def _touch_idle(
        self, api: StoreApi, configured: ConfiguredStore, hooks: Iterable[Hook], known: HookState
    ) -> float | None:
        """Update webhooks that had no event for long, so that they do not expire; returns when that was last done."""
        now, store, scopes = self._clock(), configured.store.hash, scopes_of(configured)
        touched_at, webhook_at = known.touched_at or 0.0, await self._polling.webhook_at(store) or 0.0

        def is_idle(hook: Hook) -> bool:
            # When an order came tells nothing of events that are rarer.
            event_at = webhook_at if scopes.is_essential(hook) else 0.0
            return now - max(event_at, touched_at, hook.updated_at) > MAX_IDLE_S

        active = [hook for hook in hooks if hook.is_active]
        if not any(map(is_idle, active)):
            return known.touched_at
        # All at once, because there is one time for all of them.
        for hook in active:
            if await _switch_on(api, hook, scopes) is None:
                log.info(Event.HOOK_IDLE, store=store, scope=hook.scope, hook_id=hook.id)
        return now


async def _reactivate(api: StoreApi, hooks: Iterable[Hook], scopes: Scopes) -> dict[str, str]:
    """Switch on inactive webhooks; returns, by scope, why BigCommerce refused."""
    inactive = [hook for hook in hooks if not hook.is_active]
    reasons = {hook.scope: await _switch_on(api, hook, scopes) for hook in sorted(inactive, key=scopes.is_optional)}
    return {scope: reason for scope, reason in reasons.items() if reason is not None}


async def _switch_on(api: StoreApi, hook: Hook, scopes: Scopes) -> str | None:
    """Update a webhook as active; returns why BigCommerce refused. Raises other UpstreamErrors.

    An optional webhook may need an OAuth scope that the token lacks: that is a refusal, and says nothing of the others.
    """
    if hook.id is None:
        return "it has no id"
    try:
        await api.core.update_hook(hook.id, is_active=True)
    except Refused as refused:
        return refused.message
    except CredentialsRefused as refused:
        if refused.status == 403 and scopes.is_optional(hook):
            return refused.message
        raise
    return None


def _log_changes(
    before: Iterable[HookProblem],
    now: Sequence[HookProblem],
    blocked: Mapping[str, int | None],
    refusals: Mapping[str, str],
    *,
    is_new_store: bool,
) -> None:
    """Log new problems, and problems that are solved. ``is_new_store``: no webhook to us was ever seen."""
    new = [problem for problem in now if problem not in before]
    not_registered = [problem for problem in new if problem.is_optional and problem.kind is ProblemKind.MISSING]
    if not_registered:
        log.warning(Event.HOOKS_NOT_REGISTERED, scopes=[problem.what for problem in not_registered])
    for problem in new:
        if problem not in not_registered:
            _log_problem(problem, blocked, refusals, is_new_store=is_new_store)
    for problem in before:
        if problem not in now:
            log.info(Event.HOOK_OK, trouble=problem.kind.value, what=problem.what)


def _log_problem(
    problem: HookProblem, blocked: Mapping[str, int | None], refusals: Mapping[str, str], *, is_new_store: bool
) -> None:
    log_failure = log.warning if problem.is_optional else log.error
    match problem.kind:
        case ProblemKind.MISSING:
            # Somebody who sets up a store starts the service first, and registers its webhooks then.
            log_missing = log.warning if is_new_store else log.error
            log_missing(Event.HOOK_MISSING, scope=problem.what)
        case ProblemKind.INACTIVE if problem.what in refusals:
            log_failure(Event.HOOK_NOT_REACTIVATED, scope=problem.what, reason=refusals[problem.what])
        case ProblemKind.INACTIVE:
            log.warning(Event.HOOK_REACTIVATED, scope=problem.what)
        case ProblemKind.HEADERS:
            log_failure(Event.HOOK_HEADERS_DIFFER, scope=problem.what)
        case ProblemKind.BLOCKED:
            log.warning(Event.HOOK_BLOCKED, domain=problem.what, seconds_left=blocked[problem.what])
        case ProblemKind.FOREIGN:
            log.warning(Event.HOOK_FOREIGN, destination=problem.what)
