"""What a worker shows of itself over HTTP: that it is alive, and its numbers for Prometheus.

It is served by the very loop that does the work, so a worker that hangs stops answering.
"""

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Callable, Iterator

import structlog
import uvicorn
from redis.exceptions import RedisError
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from service.errors import ConfigError
from service.gauges import Gauges, State, metrics_text
from service.logs import Event
from service.metrics import CONTENT_TYPE, WorkerMetrics
from service.process.sockets import listen
from workers.resources import Resources

log = structlog.get_logger()

# Prometheus gives up after ten seconds, by default; the worker's own numbers are worth having without Redis.
REDIS_PATIENCE_S = 3.0


def create_app(resources: Resources, stuck: Callable[[], list[str]] = list) -> Starlette:
    """``/healthz`` and ``/metrics`` of a worker."""
    gauges = Gauges(resources.redis)

    async def healthz(_: Request) -> Response:
        """200 as long as the process answers and its loops run, else 503. A Redis that is down is no reason."""
        if names := stuck():
            return Response(f"not running: {', '.join(names)}\n", status_code=503, media_type="text/plain")
        return Response("ok\n", media_type="text/plain")

    async def metrics(_: Request) -> Response:
        """This worker's numbers, and how things stand in Redis when it answers."""
        state = None
        with contextlib.suppress(RedisError, TimeoutError):
            async with asyncio.timeout(REDIS_PATIENCE_S):
                state = await gauges.read(resources.configuration.stores)
        # For a thousand stores it takes a third of a second, and orders are worked on meanwhile.
        text = await asyncio.to_thread(_text, resources.metrics, state)
        return Response(text, headers={"content-type": CONTENT_TYPE})

    return Starlette(routes=[Route("/healthz", healthz), Route("/metrics", metrics)])


def _text(metrics: WorkerMetrics, state: State | None) -> bytes:
    return metrics.text() + (metrics_text(state) if state else b"")


@contextlib.asynccontextmanager
async def monitored(
    resources: Resources, host: str, port: int, stuck: Callable[[], list[str]] = list
) -> AsyncIterator[None]:
    """Serve there for the length of the context; nowhere when the port is 0.

    ``stuck`` names the loops of this process that do not run.

    A port that cannot be had is told in the log, and the orders are worked off all the same.
    """
    try:
        listener = listen(host, port) if port else None
    except ConfigError as error:
        log.warning(Event.METRICS_NOT_SERVED, problem=str(error.problems[0].message), host=host, port=port)
        listener = None
    if listener is None:
        yield
        return
    server = _Server(
        uvicorn.Config(
            create_app(resources, stuck),
            http="httptools",
            ws="none",
            lifespan="off",
            log_config=None,
            log_level="warning",
            access_log=False,
            server_header=False,
        )
    )
    with listener:
        serving = asyncio.create_task(server.serve([listener]))
        try:
            yield
        finally:
            server.should_exit = True
            await serving


class _Server(uvicorn.Server):
    """Signals are the worker's."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """A scraper's connection that is kept alive must not hold up the end."""
        self.force_exit = True
        await super().shutdown(sockets)
