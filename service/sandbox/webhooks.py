"""Delivery of webhooks as BigCommerce does it: signed, retried for 48 hours, then the hook is deactivated.

Sources: BigCommerce API, Webhooks, "Callback retry mechanism"; the Standard Webhooks specification for signatures.
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

RETRY_DELAYS_S = (60, 180, 300, 600, 900, 1800, 3600, 7200, 21600, 50400, 86400)
RESPONSE_TIMEOUT_S = 10.0
SUCCESS_WINDOW_S = 120.0
MIN_DELIVERIES = 100
MAX_FAILURES_PERCENT = 10
BLOCK_DURATION_S = 180.0
MAX_CONCURRENT = 100

ORDER_CREATED = "store/order/created"
STATUS_UPDATED = "store/order/statusUpdated"
COMPANY_USER_CREATED = "store/company/user/created"

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Event:
    """An event of a store; ``body`` is the same in every copy of its webhook. ``order`` is the one it is about."""

    store: Store
    order: Order | None
    scope: str
    body: str


@dataclass(frozen=True, slots=True)
class Block:
    """The blocking of a domain: its time span, and the failures that caused it."""

    since: float
    until: float
    reasons: Counter[str]


@dataclass(slots=True)
class Domain:
    """Recent deliveries to one domain, as (time, failure or None), and its block."""

    recent: deque[tuple[float, str | None]] = field(default_factory=deque)
    block: Block | None = None

    def record(self, now: float, failure: str | None, blocked_for: float) -> bool:
        """Record a delivery; True when it causes the domain to be blocked."""
        self.recent.append((now, failure))
        while self.recent[0][0] <= now - SUCCESS_WINDOW_S:
            self.recent.popleft()
        failures = Counter(reason for _, reason in self.recent if reason)
        if len(self.recent) < MIN_DELIVERIES or 100 * failures.total() <= MAX_FAILURES_PERCENT * len(self.recent):
            return False
        self.block = Block(now, now + blocked_for, failures)
        self.recent.clear()
        return True


class Webhooks:
    """Sends the webhooks of all stores, in tasks that end when ``running`` exits."""

    def __init__(self, sandbox: Sandbox) -> None:
        self._sandbox = sandbox
        self._domains: dict[tuple[str, str], Domain] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._slots = asyncio.Semaphore(MAX_CONCURRENT)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Deliver webhooks within the context."""
        # Short, because the receiver may close an idle connection just when it is used again.
        limits = httpx.Limits(max_connections=MAX_CONCURRENT, keepalive_expiry=2.0)
        async with httpx.AsyncClient(timeout=RESPONSE_TIMEOUT_S, limits=limits, trust_env=False) as self._http:
            try:
                yield
            finally:
                for task in self._tasks:
                    task.cancel()
                await asyncio.gather(*self._tasks, return_exceptions=True)

    def spawn(self, work: Coroutine[Any, Any, None]) -> None:
        """Run a background task until it is done or the sandbox stops."""
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def blocked(self, store: Store, now: float) -> dict[str, Block]:
        """The domains that are blocked now for this store's webhooks."""
        return {
            name: domain.block
            for (store_hash, name), domain in self._domains.items()
            if store_hash == store.hash and domain.block and domain.block.until > now
        }

    def notify(
        self, store: Store, order: Order, scope: str, *, delay: float = 0.0, duplicate: bool = False, **data: Any
    ) -> None:
        """Send an event to every active hook of the scope. ``delay`` and ``duplicate`` add to the active faults."""
        faults, injector = self._sandbox.faults, self._sandbox.injector
        if injector.happens(faults.webhook_drop_rate):
            return
        event = Event(store, order, scope, self._body(store, scope, {"type": "order", "id": order.id, **data}))
        self._send(event, 2 if duplicate or injector.happens(faults.webhook_duplicate_rate) else 1, delay)

    def notify_of_people(self, store: Store, scope: str, *, company_id: int, user_id: int) -> None:
        """Send an event about a Company or a Company user to every active hook of the scope."""
        data = {"company_id": company_id, "user_id": user_id}
        self._send(Event(store, None, scope, self._body(store, scope, data)), 1, 0.0)

    def _send(self, event: Event, copies: int, delay: float) -> None:
        store, scope, faults = event.store, event.scope, self._sandbox.faults
        for hook in store.hooks.values():
            if hook.is_active and (hook.scope == scope or (event.order and hook.scope == "store/order/*")):
                for _ in range(copies):
                    self.spawn(self._deliver(hook, event, delay + faults.webhook_delay))

    def _body(self, store: Store, scope: str, data: dict[str, Any]) -> str:
        happened_at = self._sandbox.shown(self._sandbox.now())
        payload = {
            "scope": scope,
            "store_id": store.store_id,
            "data": data,
            "created_at": int(happened_at),
            "producer": f"stores/{store.hash}",
        }
        unique = f"{happened_at}{json.dumps(payload)}".encode()
        return json.dumps({**payload, "hash": sha1(unique, usedforsecurity=False).hexdigest()})

    async def _deliver(self, hook: Hook, event: Event, delay: float) -> None:
        """Deliver a webhook, with retries while the hook is active; deactivate the hook after the last one."""
        webhook_id = f"msg_{uuid.uuid4().hex}"
        scale = self._sandbox.options.retry_scale
        for attempt, retry_delay in enumerate((delay, *(scale * seconds for seconds in RETRY_DELAYS_S)), start=1):
            await asyncio.sleep(retry_delay)
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
        if event.order:
            event.order.attempts.append(Attempt(event.scope, hook.id, webhook_id, attempt, sent_at, status, failure))
        if failure:
            log.warning(
                logs.Event.SANDBOX_WEBHOOK_NOT_ACKNOWLEDGED,
                store=event.store.hash,
                order_id=event.order.id if event.order else None,
                webhook_id=webhook_id,
                attempt=attempt,
                reason=failure,
            )
        if domain.record(self._sandbox.now(), failure, BLOCK_DURATION_S * self._sandbox.options.retry_scale):
            log.warning(logs.Event.SANDBOX_DOMAIN_BLOCKED, store=event.store.hash, domain=name)
        return failure is None

    async def _post(self, hook: Hook, event: Event, webhook_id: str) -> tuple[int | None, str | None]:
        """Send one webhook; returns the response's status and the failure, each None if there is none."""
        headers = {
            **(hook.headers or {}),
            "Content-Type": "application/json",
            **self._signature(event, webhook_id),
        }
        try:
            async with asyncio.timeout(RESPONSE_TIMEOUT_S):
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
