"""The guardian of a store's webhooks: it reactivates them, keeps them from expiring, and says what is wrong.

BigCommerce deactivates a webhook whose callbacks fail for two days or that has none for 90 days, and sends nothing
for three minutes to a domain that fails too often. ("Webhooks overview")
"""

import asyncio
import json
import random
import re
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import astuple, dataclass
from enum import StrEnum
from typing import Any, Self
from urllib.parse import urlsplit

import structlog
from redis.asyncio import Redis

from service.bigcommerce import Account, Priority, StoreApi
from service.bigcommerce.models import to_int, to_text
from service.bigcommerce.transport import Answer, Call
from service.errors import CredentialsRefused, Refused, WaitUntil
from service.logs import Event
from service.orders.jobs import GUARD
from service.orders.keys import hook_key
from service.stores import Store
from workers.chores import Chore
from workers.resources import Resources
from workers.watch import Watches

log = structlog.get_logger()

ORDER_CREATED = "store/order/created"
STATUS_UPDATED = "store/order/statusUpdated"
ALL_ORDER_EVENTS = "store/order/*"

# Where a receiver takes webhooks, wherever it is.
PATH = "/webhooks/bigcommerce"

DAY_S = 86_400.0
# BigCommerce takes 90 days without a callback for a sign that nobody wants any.
IDLE_S = 80 * DAY_S

TIMEOUT_S = 15.0

# A call of the lowest class gets its turn within a window of the quota, if others leave anything.
LONGEST_WAIT_S = 30.0
MOST_WAITS = 5


class Kind(StrEnum):
    """What can be wrong with a store's webhooks."""

    MISSING = "missing"
    INACTIVE = "inactive"
    BLOCKED = "blocked"
    FOREIGN = "foreign"


@dataclass(frozen=True, slots=True)
class Trouble:
    """Something that is wrong, and with what: a scope, a domain or, for a foreign one, a destination."""

    kind: Kind
    what: str

    @property
    def keeps_webhooks_away(self) -> bool:
        return self.kind is not Kind.FOREIGN


@dataclass(frozen=True, slots=True)
class Hook:
    """A webhook as BigCommerce lists it."""

    id: int | None
    scope: str
    destination: str
    is_active: bool
    updated_at: float

    @classmethod
    def of_document(cls, document: Mapping[str, Any]) -> Self:
        return cls(
            to_int(document.get("id")),
            to_text(document.get("scope")),
            to_text(document.get("destination")),
            document.get("is_active") is not False,
            float(to_int(document.get("updated_at")) or 0),
        )

    def covers(self, scope: str) -> bool:
        return self.scope in (scope, ALL_ORDER_EVENTS)


@dataclass(frozen=True, slots=True)
class Known:
    """What was known before this look. ``touched_at`` is when the webhooks were last touched, to keep them alive."""

    destination: str | None
    troubles: frozenset[Trouble]
    touched_at: float | None

    @classmethod
    async def read(cls, redis: Redis, store: str) -> Self:
        stored = await redis.hgetall(hook_key(store))  # type: ignore[misc]
        destination, touched = stored.get(b"destination"), stored.get(b"touched_at")
        return cls(
            None if destination is None else destination.decode(),
            _troubles(stored.get(b"troubles")),
            None if touched is None else float(touched),
        )


async def is_in_trouble(redis: Redis, store: str) -> bool:
    """Whether something was wrong, at the guardian's last look, that keeps webhooks away. Errors are Redis's own."""
    stored = await redis.hget(hook_key(store), "troubles")  # type: ignore[misc]
    return any(trouble.keeps_webhooks_away for trouble in _troubles(stored))


class _PatientApi(StoreApi):
    """Waits for the store's quota: a turn of several calls must not begin anew each time that it lacks the last."""

    async def call(self, call: Call, *, timeout_s: float | None = None) -> Answer:
        for _ in range(MOST_WAITS):
            try:
                return await super().call(call, timeout_s=timeout_s)
            except WaitUntil as wait:
                if wait.seconds > LONGEST_WAIT_S:
                    raise
                await asyncio.sleep(wait.seconds + random.uniform(0.0, 0.1))  # noqa: S311 - jitter, not a secret
        return await super().call(call, timeout_s=timeout_s)


class Guardian:
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
        self._chore = Chore(GUARD.function, every_s=every_s)
        self._watches = Watches(resources.redis, clock=clock)

    async def guard(self, _: dict[str, Any], store: str) -> None:
        """Look after the webhooks; raises Retry until the store is gone from the stores file."""
        configured = self._resources.configuration.stores.get(store)
        if configured is not None:
            await self._chore.turn(store, lambda: self._turn(configured.store))

    async def _turn(self, store: Store) -> float:
        """One turn; in how many seconds the next is due."""
        if await self._resources.breaker.is_open(store.hash):
            return self._every_s
        api = _PatientApi(
            self._resources.transport,
            Account(store.hash, store.access_tokens),
            timeout_s=TIMEOUT_S,
            priority=Priority.BACKGROUND,
        )
        known = await Known.read(self._resources.redis, store.hash)
        scopes = (ORDER_CREATED, STATUS_UPDATED) if store.incomplete_orders == "wait" else (ORDER_CREATED,)
        hooks = [hook for hook in map(Hook.of_document, await api.core.hooks()) if any(map(hook.covers, scopes))]
        blocked = await _blocked_domains(api)

        destination = known.destination or first_destination(hooks)
        ours = [hook for hook in hooks if hook.destination == destination]
        troubles = find_troubles(hooks, scopes, destination, blocked)
        serious = [trouble for trouble in troubles if trouble.keeps_webhooks_away]
        if serious:
            await self._watches.start(store.hash, f"webhook {serious[0].kind}")
            api.priority = Priority.VERIFY  # orders may be missing their windows
        refusals = await _reactivate(api, ours)
        touched_at = await self._touch(api, store.hash, ours, known)
        _tell(known.troubles, troubles, blocked, refusals)
        await self._remember(store.hash, destination, troubles, touched_at)
        return self._trouble_every_s if serious else self._every_s

    async def _touch(self, api: StoreApi, store: str, hooks: Iterable[Hook], known: Known) -> float | None:
        """Show BigCommerce that webhooks are wanted that had no event for long; when that was last done."""
        now = self._clock()
        last = max(await self._watches.webhook_at(store) or 0.0, known.touched_at or 0.0)
        idle = [hook for hook in hooks if hook.is_active and now - max(last, hook.updated_at) > IDLE_S]
        for hook in idle:
            if hook.id is not None:
                await api.core.update_hook(hook.id, is_active=True)
                log.info(Event.HOOK_IDLE, store=store, scope=hook.scope, hook_id=hook.id)
        return now if idle else known.touched_at

    async def _remember(
        self, store: str, destination: str | None, troubles: Iterable[Trouble], touched_at: float | None
    ) -> None:
        stored = {"troubles": json.dumps([astuple(trouble) for trouble in troubles])}
        if touched_at is not None:
            stored["touched_at"] = f"{touched_at:.3f}"
        async with self._resources.redis.pipeline(transaction=True) as pipe:
            if destination is not None:
                pipe.hsetnx(hook_key(store), "destination", destination)
            pipe.hset(hook_key(store), mapping=stored)
            await pipe.execute()


def first_destination(hooks: Sequence[Hook]) -> str | None:
    """Where our webhooks seem to go, by the path; rather one that is active."""
    ours = [hook for hook in hooks if _shown(hook.destination).rstrip("/").endswith(PATH)]
    return next((hook.destination for hook in sorted(ours, key=lambda hook: not hook.is_active)), None)


def find_troubles(
    hooks: Sequence[Hook], scopes: Iterable[str], destination: str | None, blocked: Mapping[str, int | None]
) -> list[Trouble]:
    """All that is wrong, the worst first. ``blocked`` are the domains that BigCommerce sends nothing to."""
    ours = [hook for hook in hooks if hook.destination == destination]
    foreign = [hook for hook in hooks if hook.destination != destination]
    host = _host(destination or "")
    return [
        *(Trouble(Kind.MISSING, scope) for scope in scopes if not any(hook.covers(scope) for hook in ours)),
        *(Trouble(Kind.INACTIVE, hook.scope) for hook in ours if not hook.is_active),
        *(Trouble(Kind.BLOCKED, domain) for domain in blocked if domain and domain == host),
        *(Trouble(Kind.FOREIGN, where) for where in sorted({_shown(hook.destination) for hook in foreign})),
    ]


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


async def _blocked_domains(api: StoreApi) -> dict[str, int | None]:
    """The domains that get no webhooks now, and for how many seconds more."""
    try:
        admin = await api.core.hooks_admin()
    except (Refused, CredentialsRefused):
        return {}  # no reason to neglect the webhooks themselves
    listed = admin.get("blocked_domains")
    entries = [entry for entry in listed if isinstance(entry, dict)] if isinstance(listed, list) else []
    return {_host(to_text(entry.get("destination"))): to_int(entry.get("time_left")) for entry in entries}


def _tell(
    before: Iterable[Trouble],
    now: Sequence[Trouble],
    blocked: Mapping[str, int | None],
    refusals: Mapping[str, str],
) -> None:
    """What has begun, and what has ended."""
    for trouble in now:
        if trouble in before:
            continue
        match trouble.kind:
            case Kind.MISSING:
                log.error(Event.HOOK_MISSING, scope=trouble.what)
            case Kind.INACTIVE if trouble.what in refusals:
                log.error(Event.HOOK_NOT_REACTIVATED, scope=trouble.what, reason=refusals[trouble.what])
            case Kind.INACTIVE:
                log.warning(Event.HOOK_REACTIVATED, scope=trouble.what)
            case Kind.BLOCKED:
                log.warning(Event.HOOK_BLOCKED, domain=trouble.what, seconds_left=blocked[trouble.what])
            case Kind.FOREIGN:
                log.warning(Event.HOOK_FOREIGN, destination=trouble.what)
    for trouble in before:
        if trouble not in now:
            log.info(Event.HOOK_OK, trouble=trouble.kind.value, what=trouble.what)


def _troubles(stored: bytes | None) -> frozenset[Trouble]:
    """Troubles as they were remembered; those of another version are forgotten."""
    try:
        return frozenset(Trouble(Kind(kind), str(what)) for kind, what in json.loads(stored or b"[]"))
    except (TypeError, ValueError):
        return frozenset()


def _host(text: str) -> str:
    """The host of a URL or a domain; empty when there is none."""
    try:
        return urlsplit(text if "//" in text else f"//{text}").hostname or ""
    except ValueError:
        return ""


def _shown(url: str) -> str:
    """A destination as it may stand in a log: without what could be a secret."""
    return re.sub(r"(?<=//)[^/?#]*@|[?#].*", "", url)
