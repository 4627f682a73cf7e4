"""``python -m tests.bench.peers.python_peer receiver|worker``: the least service that does the work.

It uses the same libraries as ours, Starlette, arq and httpx, as their manuals show them. It checks the signature,
queues each order once, reads the order, creates the record with its two values, reads it back and notes that it is
right. It has no shared budget of calls, no window, no second look, no log, no outcome to look at, and it does not
share calls between orders.
"""

import argparse
import hmac
import json
import os
import time
from base64 import b64encode
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from hashlib import sha256
from typing import Any

import httpx
import uvicorn
import uvloop
from arq import create_pool
from arq.connections import ArqRedis, RedisSettings
from arq.worker import Worker, func
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

READY_KEY, VERIFIED_KEY = "peer:ready", "peer:verified"
"""The worker sets the first one when it is ready; the second one has each order with the time of its verification."""

PO_FIELD, ACCOUNT_FIELD = "PO Number", "Account No"

IN_FLIGHT = 20
"""httpx's pool looks at all its connections for each call: with 200 it makes less than half as many calls."""

# A webhook that comes again is ignored while arq has the result of its job.
_SEEN_FOR_S = 86_400

# arq has no notifications. Its default of half a second would be most of an order's time.
_POLL_INTERVAL_S = 0.01


def app(secret: bytes, redis_url: str) -> Starlette:
    """The receiver: 200 when the order is queued, or was before; 401 for a signature that is wrong."""

    async def accept(request: Request) -> Response:
        body, headers = await request.body(), request.headers
        signed = f"{headers['webhook-id']}.{headers['webhook-timestamp']}.".encode() + body
        right = b64encode(hmac.digest(secret, signed, sha256)).decode()
        if not hmac.compare_digest(f"v1,{right}", headers["webhook-signature"]):
            return Response(status_code=401)
        webhook = json.loads(body)
        store, order_id = webhook["producer"].removeprefix("stores/"), webhook["data"]["id"]
        queue: ArqRedis = request.state.queue
        await queue.enqueue_job("enrich", store, order_id, _job_id=f"{store}:{order_id}")
        return Response()

    async def ready(_: Request) -> Response:
        return Response()

    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[dict[str, Any]]:
        async with await create_pool(RedisSettings.from_dsn(redis_url)) as queue:
            yield {"queue": queue}

    routes = [Route("/webhooks/bigcommerce", accept, methods=["POST"]), Route("/readyz", ready)]
    return Starlette(routes=routes, lifespan=lifespan)


async def enrich(ctx: dict[str, Any], store: str, order_id: int) -> None:
    """Read an order, create its record, read it back and note it."""
    client, url = ctx["client"], ctx["url"]
    headers = {"X-Auth-Token": ctx["token"], "X-Store-Hash": store}
    order = _read(await client.get(f"{url}/stores/{store}/v2/orders/{order_id}", headers=headers))
    form = {field["name"]: field["value"] for field in order["billing_address"]["form_fields"]}
    fields = [{"fieldName": ACCOUNT_FIELD, "fieldValue": form[ACCOUNT_FIELD]}]
    wanted = {"poNumber": form[PO_FIELD], "extraFields": fields}
    body = {"bcOrderId": order_id, "customerId": order["customer_id"], **wanted}
    _read(await client.post(f"{url}/api/v3/io/orders", headers=headers, json=body))
    record = _read(await client.get(f"{url}/api/v3/io/orders/{order_id}", headers=headers))["data"]
    assert {name: record[name] for name in wanted} == wanted, record
    await ctx["redis"].zadd(VERIFIED_KEY, {f"{store}:{order_id}": time.time()})


def _read(answer: httpx.Response) -> Any:
    answer.raise_for_status()
    return answer.json()


async def work(url: str, token: str, redis_url: str) -> None:
    """Serve the queue until cancelled or SIGTERM."""
    async with httpx.AsyncClient() as client, await create_pool(RedisSettings.from_dsn(redis_url)) as redis:
        worker = Worker(
            [func(enrich, name="enrich")],
            redis_pool=redis,
            ctx={"client": client, "url": url, "token": token},
            max_jobs=IN_FLIGHT,
            poll_delay=_POLL_INTERVAL_S,
            keep_result=_SEEN_FOR_S,
        )
        await redis.set(READY_KEY, "1")
        await worker.async_run()


def _main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    modes = parser.add_subparsers(dest="mode", required=True)
    modes.add_parser("receiver").add_argument("--port", type=int, required=True)
    modes.add_parser("worker").add_argument("--url", required=True)
    given = parser.parse_args()
    redis_url = os.environ["REDIS_URL"]
    if given.mode == "receiver":
        receiver = app(os.environ["BENCH_SECRET"].encode(), redis_url)
        uvicorn.run(receiver, host="127.0.0.1", port=given.port, log_level="warning", access_log=False)
    else:
        uvloop.run(work(given.url, os.environ["BENCH_TOKEN"], redis_url))


if __name__ == "__main__":
    _main()
