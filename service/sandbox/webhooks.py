"""Webhooks as BigCommerce sends them: signed, retried for 48 hours, then given up.

BigCommerce API, Webhooks, "Callback retry mechanism"; signatures after the Standard Webhooks specification.
"""

import asyncio
import json
import uuid
from collections import Counter, deque
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from hashlib import sha1
from typing import Any

import httpx
import structlog
from standardwebhooks import Webhook

from service import logs
from service.sandbox.state import Attempt, Hook, Order, Sandbox, Store

RETRY_AFTER = (60, 180, 300, 600, 900, 1800, 3600, 7200, 21600, 50400, 86400)
ANSWER_WITHIN = 10.0
SUCCESS_WINDOW = 120.0
COUNTED_FROM = 100
MOST_FAILURES = 10  # in a hundred
BLOCKED_FOR = 180.0
AT_ONCE = 100

ORDER_CREATED = "store/order/created"
STATUS_UPDATED = "store/order/statusUpdated"

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Event:
    """Something that happened to an order; ``body`` is the same in every copy of it."""

    store: Store
    order: Order
    scope: str
    body: str


@dataclass(frozen=True, slots=True)
class Block:
    """A time in which a domain gets no webhooks, and why."""

    since: float
    until: float
    reasons: Counter[str]


@dataclass(slots=True)
class Domain:
    """How deliveries to one domain went: (when, what was wrong with it or None)."""

    recent: deque[tuple[float, str | None]] = field(default_factory=deque)
    block: Block | None = None

    def note(self, now: float, failure: str | None, blocked_for: float) -> bool:
        """Count a delivery; True when it is the one that gets the domain blocked."""
        self.recent.append((now, failure))
        while self.recent[0][0] <= now - SUCCESS_WINDOW:
            self.recent.popleft()
        failures = Counter(reason for _, reason in self.recent if reason)
        if len(self.recent) < COUNTED_FROM or 100 * failures.total() <= MOST_FAILURES * len(self.recent):
            return False
        self.block = Block(now, now + blocked_for, failures)
        self.recent.clear()
        return True


class Webhooks:
    """Sends the webhooks of all stores. Deliveries run in tasks that end with ``running``."""

    def __init__(self, sandbox: Sandbox) -> None:
        self._sandbox = sandbox
        self._domains: dict[tuple[str, str], Domain] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._slots = asyncio.Semaphore(AT_ONCE)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Deliver webhooks within the context."""
        # A connection that idles longer may be closed by the receiver just when it is used again.
        limits = httpx.Limits(max_connections=AT_ONCE, keepalive_expiry=2.0)
        async with httpx.AsyncClient(timeout=ANSWER_WITHIN, limits=limits, trust_env=False) as self._http:
            try:
                yield
            finally:
                for task in self._tasks:
                    task.cancel()
                await asyncio.gather(*self._tasks, return_exceptions=True)

    def spawn(self, work: Coroutine[Any, Any, None]) -> None:
        """Run something that may still wait, until it is done or the sandbox stops."""
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def blocked(self, store: Store, now: float) -> dict[str, Block]:
        """The domains that this store's webhooks are not sent to at present."""
        return {
            name: domain.block
            for (store_hash, name), domain in self._domains.items()
            if store_hash == store.hash and domain.block and domain.block.until > now
        }

    def announce(
        self, store: Store, order: Order, scope: str, *, delay: float = 0.0, duplicate: bool = False, **data: Any
    ) -> None:
        """Tell every active hook of the scope. ``delay`` and ``duplicate`` come on top of the faults in force."""
        faults, chance = self._sandbox.faults, self._sandbox.chance
        if chance.happens(faults.webhook_drop_rate):
            return
        event = Event(store, order, scope, self._body(store, order, scope, data))
        copies = 2 if duplicate or chance.happens(faults.webhook_duplicate_rate) else 1
        for hook in store.hooks.values():
            if hook.is_active and hook.scope in {scope, "store/order/*"}:
                for _ in range(copies):
                    self.spawn(self._deliver(hook, event, delay + faults.webhook_delay))

    def _body(self, store: Store, order: Order, scope: str, data: dict[str, Any]) -> str:
        happened_at = self._sandbox.shown(self._sandbox.now())
        payload = {
            "scope": scope,
            "store_id": store.store_id,
            "data": {"type": "order", "id": order.id, **data},
            "created_at": int(happened_at),
            "producer": f"stores/{store.hash}",
        }
        unique = f"{happened_at}{json.dumps(payload)}".encode()
        return json.dumps({**payload, "hash": sha1(unique, usedforsecurity=False).hexdigest()})

    async def _deliver(self, hook: Hook, event: Event, delay: float) -> None:
        """Try until it is acknowledged, the hook is gone or off, or the retries are spent."""
        webhook_id = f"msg_{uuid.uuid4().hex}"
        scale = self._sandbox.options.retry_scale
        for attempt, pause in enumerate((delay, *(scale * seconds for seconds in RETRY_AFTER)), start=1):
            await asyncio.sleep(pause)
            if not hook.is_active or hook.id not in event.store.hooks:
                return
            if await self._attempt(hook, event, webhook_id, attempt):
                return
        hook.is_active, hook.deactivated, hook.updated_at = False, True, self._sandbox.now()
        log.warning(logs.Event.SANDBOX_HOOK_DEACTIVATED, store=event.store.hash, hook_id=hook.id, scope=hook.scope)

    async def _attempt(self, hook: Hook, event: Event, webhook_id: str, attempt: int) -> bool:
        name = httpx.URL(hook.destination).netloc.decode()
        domain = self._domains.setdefault((event.store.hash, name), Domain())
        if domain.block and domain.block.until > self._sandbox.now():
            return False
        async with self._slots:
            sent_at = self._sandbox.now()
            status, failure = await self._post(hook, event, webhook_id)
        event.order.attempts.append(Attempt(event.scope, hook.id, webhook_id, attempt, sent_at, status, failure))
        if failure:
            log.warning(
                logs.Event.SANDBOX_WEBHOOK_NOT_ACKNOWLEDGED,
                store=event.store.hash,
                order_id=event.order.id,
                webhook_id=webhook_id,
                attempt=attempt,
                reason=failure,
            )
        if domain.note(self._sandbox.now(), failure, BLOCKED_FOR * self._sandbox.options.retry_scale):
            log.warning(logs.Event.SANDBOX_DOMAIN_BLOCKED, store=event.store.hash, domain=name)
        return failure is None

    async def _post(self, hook: Hook, event: Event, webhook_id: str) -> tuple[int | None, str | None]:
        """One delivery: the status of the answer and what was wrong with it, each None when there is none."""
        headers = {
            **(hook.headers or {}),
            "Content-Type": "application/json",
            **self._signature(event, webhook_id),
        }
        try:
            async with asyncio.timeout(ANSWER_WITHIN):
                response = await self._http.post(hook.destination, content=event.body, headers=headers)
        except (httpx.HTTPError, TimeoutError) as error:
            return None, type(error).__name__
        return response.status_code, None if response.is_success else f"HTTP {response.status_code}"

    def _signature(self, event: Event, webhook_id: str) -> dict[str, str]:
        signed_at = datetime.fromtimestamp(int(self._sandbox.shown(self._sandbox.now())), UTC)
        secrets = event.store.spec.client_secret
        signatures = (Webhook(secret.encode()).sign(webhook_id, signed_at, event.body) for secret in secrets)
        return {
            "webhook-id": webhook_id,
            "webhook-timestamp": str(int(signed_at.timestamp())),
            "webhook-signature": " ".join(signatures),
        }
