"""The receiver's web application: routes, middleware, and the resources of its lifespan."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any

import structlog
from arq import ArqRedis
from redis.exceptions import RedisError
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from service.hooks import WEBHOOK_PATH
from service.logs import Event
from service.metrics import ReceiverMetrics
from service.orders.state.job_kinds import from_json, to_json
from service.orders.state.queue import Queue
from service.process.web_loops import BackgroundTask, running_loops
from service.receiver import health
from service.receiver.authentication import StoreRegistry
from service.receiver.reporting import Reporter
from service.receiver.webhook_endpoint import Answer, Receiver
from service.redis.client import connect
from service.redis.errors import diagnose
from service.redis.requirements import can_write, log_problems

log = structlog.get_logger()

# The interval at which a Redis that does not answer at the start is pinged.
REDIS_POLL_INTERVAL_S = 1.0

OpenQueue = Callable[[], AbstractAsyncContextManager[Queue]]


def redis_queue(redis_url: str) -> OpenQueue:
    """A context manager that opens the queue in this Redis. Raises ConfigError when the URL is invalid."""
    redis = connect(redis_url, serializer=to_json, deserializer=from_json)

    @asynccontextmanager
    async def opened() -> AsyncIterator[Queue]:
        async with redis:
            startup_check = asyncio.create_task(_log_until_available(redis))
            yield Queue(redis)
            startup_check.cancel()

    return opened


async def _log_until_available(redis: ArqRedis) -> None:
    """Log when Redis takes no orders at the start, and when it does. Later, each webhook not queued is logged."""
    lost = False
    while True:
        try:
            await can_write(redis, "start")
            await log_problems(redis)
            break
        except RedisError as error:
            if not lost:
                log.warning(Event.REDIS_LOST, error=str(diagnose(error)))
            lost = True
        await asyncio.sleep(REDIS_POLL_INTERVAL_S)
    if lost:
        log.info(Event.REDIS_BACK)


def create_app(
    stores: StoreRegistry,
    open_queue: OpenQueue,
    *,
    background_task: BackgroundTask | None = None,
    stand_by: BackgroundTask | None = None,
    clock: Callable[[], float] = time.time,
) -> Starlette:
    """The receiver's application for these stores. ``open_queue`` is entered at its start and left at its stop.

    ``background_task`` runs in between, to keep ``stores`` up to date, and ``stand_by``, which tells people when no
    worker is alive. Redis may be unavailable at the start: until
    it answers, webhooks get 503 and ``/readyz`` reports it.
    """

    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[dict[str, Any]]:
        metrics = ReceiverMetrics(tuple(Answer))
        async with open_queue() as queue:
            reporter = Reporter(queue, clock)
            receiver = Receiver(stores, queue, metrics, reporter, clock)
            async with running_loops({"reports": reporter.run, "stores": background_task, "alerts": stand_by}):
                yield {"receiver": receiver, "queue": queue, "metrics": metrics}

    app = Starlette(
        routes=[
            Route(WEBHOOK_PATH, _webhook, methods=["POST"]),
            Route("/healthz", health.healthz),
            Route("/readyz", health.readyz),
            Route("/metrics", health.metrics),
            Route("/webhooks{rest:path}", _near_path, methods=["POST"]),
        ],
        middleware=[Middleware(InternalErrorMiddleware)],
        exception_handlers={HTTPException: _empty_response},
        lifespan=lifespan,
    )
    app.router.redirect_slashes = False  # BigCommerce does not follow redirects
    return app


async def _webhook(request: Request) -> Response:
    receiver: Receiver = request.state.receiver
    return await receiver.receive(request)


async def _near_path(request: Request) -> Response:
    """A webhook whose path ends with a slash means the right one; any other is a mistake of who registered it."""
    receiver: Receiver = request.state.receiver
    if request.url.path == f"{WEBHOOK_PATH}/":
        return await receiver.receive(request)
    return await receiver.refuse_path(request)


async def _empty_response(_: Request, error: Exception) -> Response:
    """404 and 405 with an empty body."""
    assert isinstance(error, HTTPException)
    return Response(status_code=error.status_code, headers=error.headers)


class InternalErrorMiddleware:
    """Answers 500 with an empty body to an unexpected exception, and logs it once."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        started = False

        async def tracking_send(message: Message) -> None:
            nonlocal started
            started = True
            await send(message)

        try:
            await self._app(scope, receive, tracking_send)
        except Exception:
            log.exception(Event.INTERNAL_ERROR, place="receiver")
            if scope["type"] != "http" or started:
                raise
            await Response(status_code=500)(scope, receive, send)
