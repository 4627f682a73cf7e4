"""Is the receiver alive, is it ready, and how is it doing."""

import asyncio

from redis.exceptions import RedisError
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from service.metrics import CONTENT_TYPE, ReceiverMetrics
from service.orders.state.queue import Queue

# Probes usually give up after one to ten seconds; a Redis that takes longer than this is no use to a webhook either.
_READY_TIMEOUT_S = 1.0


async def healthz(_: Request) -> Response:
    """200 as long as the process answers at all."""
    return Response("ok\n", media_type="text/plain")


async def readyz(request: Request) -> Response:
    """200 when Redis answers, else 503; how many workers are alive and how many jobs wait, if that is known."""
    queue: Queue = request.state.queue
    try:
        async with asyncio.timeout(_READY_TIMEOUT_S):
            counts = await queue.counts()
    except (RedisError, TimeoutError):
        return JSONResponse({"redis": False, "workers": None, "queued": None}, status_code=503)
    return JSONResponse({"redis": True, "workers": counts.workers, "queued": counts.queued})


async def metrics(request: Request) -> Response:
    """The receiver's numbers in Prometheus's text format."""
    numbers: ReceiverMetrics = request.state.metrics
    return Response(numbers.text(), headers={"content-type": CONTENT_TYPE})
