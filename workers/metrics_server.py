"""A worker's HTTP endpoints: health check and Prometheus metrics.

They run in the same event loop as the jobs, so a worker that hangs stops answering.
"""

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Callable, Iterator

import structlog
from redis.exceptions import RedisError
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from service.errors import ConfigError
from service.gauges import Gauges, State, metrics_text
from service.logs import Event
from service.metrics import CONTENT_TYPE, WorkerMetrics
from service.process.sockets import PromptServer, listen, server_config
from workers.resources import Resources

log = structlog.get_logger()

# Prometheus' default scrape timeout is ten seconds. Without Redis the worker's own metrics are still served.
REDIS_TIMEOUT_S = 3.0


def create_app(resources: Resources, stuck: Callable[[], list[str]] = list) -> Starlette:
    """``/healthz`` and ``/metrics`` of a worker."""
    gauges = Gauges(resources.redis)

    async def healthz(_: Request) -> Response:
        """200 as long as the process answers and its loops run, else 503. A Redis that is down is no reason."""
        if names := stuck():
            return Response(f"not running: {', '.join(names)}\n", status_code=503, media_type="text/plain")
        return Response("ok\n", media_type="text/plain")

    async def metrics(_: Request) -> Response:
        """This worker's metrics, and gauges of the queues if Redis answers."""
        state = None
        with contextlib.suppress(RedisError, TimeoutError):
            async with asyncio.timeout(REDIS_TIMEOUT_S):
                state = await gauges.read(resources.configuration.stores)
        # In a thread: for a thousand stores it takes a third of a second.
        text = await asyncio.to_thread(_text, resources.metrics, state)
        return Response(text, headers={"content-type": CONTENT_TYPE})

    return Starlette(routes=[Route("/healthz", healthz), Route("/metrics", metrics)])


def _text(metrics: WorkerMetrics, state: State | None) -> bytes:
    return metrics.text() + (metrics_text(state) if state else b"")


@contextlib.asynccontextmanager
async def serve_metrics(
    resources: Resources, host: str, port: int, stuck: Callable[[], list[str]] = list
) -> AsyncIterator[None]:
    """Serve at this address until the context ends; port 0 turns it off.

    ``stuck`` names the loops of this process that do not run. A port that is in use is logged, and the workers run
    without metrics.
    """
    try:
        listener = listen(host, port) if port else None
    except ConfigError as error:
        log.warning(Event.METRICS_NOT_SERVED, problem=str(error.problems[0].message), host=host, port=port)
        listener = None
    if listener is None:
        yield
        return
    server = _Server(server_config(create_app(resources, stuck), lifespan="off"))
    with listener:
        serving = asyncio.create_task(server.serve([listener]))
        try:
            yield
        finally:
            server.should_exit = True
            await serving


class _Server(PromptServer):
    """Leaves signals to the worker process."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Shut down without waiting for keep-alive connections."""
        self.force_exit = True
        await super().shutdown(sockets)
