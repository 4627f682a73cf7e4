"""Handles a webhook: reads and authenticates it, queues its order, answers.

BigCommerce expects an empty answer and counts any 2xx as delivered ("Webhooks overview"). A webhook is answered with
200 only after Redis has stored it.
"""

import asyncio
import re
import time
from collections.abc import Callable
from contextlib import aclosing
from enum import StrEnum
from typing import Annotated, Any, Self

import structlog
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response

from service.bigcommerce.clients.hooks import (
    COMPANY_CHANGED,
    METAFIELD_WRITTEN,
    ORDER_CREATED,
    ORDER_UPDATED,
    STATUS_UPDATED,
)
from service.bigcommerce.models import to_int, to_number
from service.errors import QueueUnavailable
from service.logs import Event
from service.metrics import ReceiverMetrics
from service.orders.state.per_store.webhook_counts import ACCEPTED
from service.orders.state.queue import EnqueueResult, Queue, Webhook
from service.receiver.authentication import Refusal, StoreRegistry
from service.receiver.reporting import Reporter

log = structlog.get_logger()

BODY_LIMIT_BYTES = 64 * 1024

# Bodies of BigCommerce are about 200 bytes and arrive at once.
BODY_TIMEOUT_S = 10.0


class Answer(StrEnum):
    """The answer to a webhook, as counted in the metrics."""

    QUEUED = "queued"
    DUPLICATE = "duplicate"
    IGNORED = "ignored"
    NOT_A_WEBHOOK = "not_a_webhook"
    REFUSED = "refused"
    TOO_LARGE = "too_large"
    TOO_SLOW = "too_slow"
    DISCONNECTED = "disconnected"
    NOT_QUEUED = "not_queued"


_STATUS = {
    Answer.QUEUED: 200,
    Answer.DUPLICATE: 200,
    Answer.IGNORED: 200,
    Answer.NOT_A_WEBHOOK: 400,
    Answer.REFUSED: 401,
    Answer.TOO_LARGE: 413,
    Answer.TOO_SLOW: 408,
    Answer.DISCONNECTED: 400,  # the sender does not read it
    Answer.NOT_QUEUED: 503,
}
_HEADERS = {
    Answer.TOO_SLOW: {"connection": "close"},
    Answer.NOT_QUEUED: {"retry-after": "1"},
}
# Created once: they are the same for all webhooks.
_RESPONSES = {answer: Response(status_code=_STATUS[answer], headers=_HEADERS.get(answer)) for answer in Answer}

# Characters of a sender's text that are kept out of the log and the ledger.
_UNSAFE = re.compile(r"[^!-~]")


def _short_text(value: object) -> str | None:
    return str(value)[:255] if isinstance(value, str | int | float) else None


def _unix_time(value: object) -> int | None:
    moment = to_number(value)
    return int(moment) if moment is not None and 0 <= moment < 2**53 else None


class Payload(BaseModel):
    """The fields of a webhook's body that are used. Other keys are ignored."""

    model_config = ConfigDict(strict=True, frozen=True)

    scope: Annotated[str, Field(min_length=1, max_length=255)]
    producer: Annotated[str, Field(pattern=r"^stores/[A-Za-z0-9]{1,64}$")]
    # Of the other fields only an order's id is required. Text instead of a number must not make BigCommerce resend an
    # authentic webhook for two days.
    data: Any = None
    hash: Annotated[str | None, BeforeValidator(_short_text)] = None
    created_at: Annotated[int | None, BeforeValidator(_unix_time)] = None

    @model_validator(mode="after")
    def _order_has_an_id(self) -> Self:
        if self.is_order and self.order_id is None:
            raise ValueError("an order's id is a positive integer")
        return self

    @property
    def is_order(self) -> bool:
        """Whether the event is the creation of an order or a change of its status."""
        return self.scope in (ORDER_CREATED, STATUS_UPDATED)

    @property
    def is_order_change(self) -> bool:
        """Whether the event is any change of an order, also of its status."""
        return self.scope == ORDER_UPDATED

    @property
    def is_metafield(self) -> bool:
        """Whether the event is a new or changed metafield of an order."""
        return self.scope in METAFIELD_WRITTEN

    @property
    def is_company(self) -> bool:
        """Whether the event may change who buys for a Company. It names no order."""
        return self.scope in COMPANY_CHANGED

    @property
    def order_id(self) -> int | None:
        """The order's id in the event's data; None when it is not a positive integer, or when there is no order."""
        return None if self.is_company else self._id("resource_id" if self.is_metafield else "id")

    @property
    def company_id(self) -> int | None:
        """The Company of an event about one; None when it is not a positive integer."""
        return self._id("company_id") if self.is_company else None

    @property
    def user_id(self) -> int | None:
        """The Company user of an event about one: B2B Edition's id, not the customer's."""
        return self._id("user_id") if self.is_company else None

    def _id(self, key: str) -> int | None:
        number = to_int(self.data.get(key)) if isinstance(self.data, dict) else None
        return number if number is not None and 0 < number < 2**63 else None

    @property
    def store_hash(self) -> str:
        """The store that the event comes from."""
        return self.producer.removeprefix("stores/")


class Receiver:
    """Handles the webhooks of all stores."""

    def __init__(
        self,
        stores: StoreRegistry,
        queue: Queue,
        metrics: ReceiverMetrics,
        reporter: Reporter,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._stores = stores
        self._queue = queue
        self._metrics = metrics
        self._reporter = reporter
        self._clock = clock

    async def receive(self, request: Request) -> Response:
        """Handle one webhook: answer, log and count it."""
        started = time.perf_counter()
        answer = await self._answer(request, self._clock(), started)
        self._metrics.answered(answer, time.perf_counter() - started)
        return _RESPONSES[answer]

    async def refuse_path(self, request: Request) -> Response:
        """Answer 404 to a request whose path only looks like the webhooks', and tell of it."""
        self._reporter.count_wrong_path(_sanitize(request.url.path))
        return Response(status_code=404)

    async def _answer(self, request: Request, received_at: float, started: float) -> Answer:
        try:
            body = (await _read_body(request)).decode()
            payload = Payload.model_validate_json(body)
        except ClientDisconnect:
            return Answer.DISCONNECTED
        except _TooLarge:
            return _refuse(Answer.TOO_LARGE, ms=_ms(started))
        except TimeoutError:
            return _refuse(Answer.TOO_SLOW, ms=_ms(started))
        except (UnicodeDecodeError, ValidationError):
            return _refuse(Answer.NOT_A_WEBHOOK, ms=_ms(started))

        store = self._stores.get(payload.store_hash)
        refusal = self._stores.refusal(payload.store_hash, request.headers, body)
        if store is None or refusal is not None:
            known = {"store": store.hash} if store else {}
            log.warning(Event.WEBHOOK_REFUSED, reason=refusal, **known, ms=_ms(started))
            self._reporter.count(refusal or Refusal.UNKNOWN_STORE, **known)
            return Answer.REFUSED

        self._reporter.count(ACCEPTED, store.hash)
        webhook_id = _sanitize(request.headers.get("webhook-id") or payload.hash or "")
        webhook_log = log.bind(store=store.hash, webhook_id=webhook_id)
        order_id = payload.order_id
        if not payload.is_order:
            await self._queue.note_event(store.hash, payload.scope, order_id, received_at)
        if payload.is_company:
            return await self._accept_people_change(webhook_log, payload, started)
        if order_id is None or not (payload.is_order or payload.is_order_change or payload.is_metafield):
            webhook_log.debug(Event.WEBHOOK_IGNORED, scope=_sanitize(payload.scope), ms=_ms(started))
            return Answer.IGNORED
        webhook_log = webhook_log.bind(order_id=order_id)
        webhook = Webhook(
            store_hash=store.hash,
            order_id=order_id,
            webhook_id=webhook_id,
            scope=payload.scope,
            created_at=payload.created_at,
            received_at=received_at,
            follow_s=store.follow_s,
        )
        try:
            accepted = await self._queue.accept(webhook)
        except QueueUnavailable:
            webhook_log.error(Event.WEBHOOK_NOT_QUEUED, ms=_ms(started))
            return Answer.NOT_QUEUED
        _log_enqueued(webhook_log, accepted, payload.scope, _ms(started))
        return Answer(accepted)

    async def _accept_people_change(
        self, webhook_log: structlog.typing.FilteringBoundLogger, payload: Payload, started: float
    ) -> Answer:
        try:
            accepted = await self._queue.accept_people_change(payload.store_hash)
        except QueueUnavailable:
            webhook_log.error(Event.WEBHOOK_NOT_QUEUED, ms=_ms(started))
            return Answer.NOT_QUEUED
        webhook_log.debug(Event.PEOPLE_CHANGED, scope=payload.scope, ms=_ms(started))
        return Answer(accepted)


def _log_enqueued(
    webhook_log: structlog.typing.FilteringBoundLogger, accepted: EnqueueResult, scope: str, ms: float
) -> None:
    match accepted:
        case EnqueueResult.QUEUED:
            webhook_log.info(Event.WEBHOOK_ACCEPTED, ms=ms)
        case EnqueueResult.DUPLICATE:
            webhook_log.info(Event.WEBHOOK_DUPLICATE, ms=ms)
        case EnqueueResult.IGNORED:
            webhook_log.debug(Event.WEBHOOK_IGNORED, scope=scope, ms=ms)


def _refuse(answer: Answer, *, ms: float) -> Answer:
    log.warning(Event.WEBHOOK_REFUSED, reason=answer.value, ms=ms)
    return answer


def _ms(started: float) -> float:
    return round((time.perf_counter() - started) * 1000, 1)


def _sanitize(text: str) -> str:
    """The sender's text, shortened and without unsafe characters, for the log and the ledger."""
    return _UNSAFE.sub("", text[:100])


class _TooLarge(Exception):
    pass


async def _read_body(request: Request) -> bytes:
    """The whole body. Raises _TooLarge, TimeoutError, ClientDisconnect.

    A body that is too large is not read to its end; the server discards the rest.
    """
    declared = request.headers.get("content-length", "")
    if declared.isdecimal() and (len(declared) > 18 or int(declared) > BODY_LIMIT_BYTES):
        raise _TooLarge
    body = bytearray()
    async with asyncio.timeout(BODY_TIMEOUT_S), aclosing(request.stream()) as chunks:
        async for chunk in chunks:
            body += chunk
            if len(body) > BODY_LIMIT_BYTES:
                raise _TooLarge
    return bytes(body)
