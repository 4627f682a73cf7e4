"""The receiver's health endpoints: liveness, readiness, metrics."""

import asyncio

from redis.exceptions import RedisError
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from service.metrics import CONTENT_TYPE, ReceiverMetrics
from service.orders.state.queue import Queue

# Probes usually time out after one to ten seconds; a Redis slower than this would not help a webhook either.
_READY_TIMEOUT_S = 1.0


async def healthz(_: Request) -> Response:
    """Liveness: 200 as long as the process answers."""
    return Response("ok\n", media_type="text/plain")


async def readyz(request: Request) -> Response:
    """Readiness: 200 when an order could be queued now, else 503; with the number of live workers and queued jobs.

    This writes to Redis: a replica, or a Redis without memory or disk, answers all else, and takes no order.
    """
    queue: Queue = request.state.queue
    try:
        async with asyncio.timeout(_READY_TIMEOUT_S):
            await queue.check_writable()
            counts = await queue.counts()
    except (RedisError, TimeoutError):
        return JSONResponse({"redis": False, "workers": None, "queued": None}, status_code=503)
    return JSONResponse({"redis": True, "workers": counts.workers, "queued": counts.queued})


async def metrics(request: Request) -> Response:
    """The receiver's metrics in Prometheus's text format."""
    receiver_metrics: ReceiverMetrics = request.state.metrics
    return Response(receiver_metrics.text(), headers={"content-type": CONTENT_TYPE})
