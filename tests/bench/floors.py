"""``python -m tests.bench.floors``: the minimum that any program on the same libraries must do.

``receiver`` reads each webhook's body and writes it into Redis with one SET, on the receiver's own server: no
signature, no parsing, no log. ``worker`` makes the same mix of calls as the product and parses the answers' JSON: no
queue, no rules, no log.
"""

import argparse
import asyncio
import json
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from itertools import count
from typing import Any

import httpx
import uvloop
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from service.bigcommerce.connection_pool import http_client
from service.orders.state.job_kinds import from_json, to_json
from service.receiver.server import serve
from service.redis.client import connect
from service.settings import Settings
from tests.bench.fake_bigcommerce.fake_store import po_number
from tests.bench.fake_bigcommerce.response_templates import ACCOUNT_FIELD, CUSTOMER_ID

# ── the receiver ────────────────────────────────────────────────────────────────────────────────────────────────


def bare_receiver(redis_url: str) -> Starlette:
    """An app with one route that writes the body into Redis and answers 200."""
    redis = connect(redis_url, serializer=to_json, deserializer=from_json)
    numbers = count()

    async def accept(request: Request) -> Response:
        body = await request.body()
        await redis.set(f"floor:{next(numbers)}", body)
        return Response()

    async def ready(_: Request) -> Response:
        return Response()

    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        async with redis:
            yield

    routes = [Route("/webhooks/bigcommerce", accept, methods=["POST"]), Route("/readyz", ready)]
    return Starlette(routes=routes, lifespan=lifespan)


# ── the worker ──────────────────────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True, slots=True)
class Mix:
    """The mix of calls that read and verify orders, beside one Create an Order for each."""

    listed_share: float
    """The share of the orders that are read by list calls, not one by one."""
    orders_a_list: int
    verifications: float
    """List calls for records per order; the next field is the number of records in one."""
    records_a_list: int

    @classmethod
    def of(cls, created: int, calls: dict[str, int], rows: dict[str, int]) -> "Mix":
        """The mix of a run, from the upstream's counts."""
        lists, checks = calls.get("Get All Orders", 0), calls.get("Get All Orders (B2B)", 0)
        return cls(
            listed_share=1 - min(1.0, calls.get("Get an Order", 0) / created),
            orders_a_list=max(1, round(rows.get("Get All Orders", 0) / max(1, lists))),
            verifications=checks / created,
            records_a_list=max(1, round(rows.get("Get All Orders (B2B)", 0) / max(1, checks))),
        )


@dataclass(slots=True)
class BareWorker:
    """Keeps a number of orders in flight, over the stores in rotation."""

    url: str
    stores: list[str]
    mix: Mix
    in_flight: int
    client: httpx.AsyncClient
    done: int = 0
    _next_ids: dict[str, int] = field(default_factory=dict)
    _listed: float = 0.0
    _checks: float = 0.0

    async def run(self, seconds: float, warm_up_s: float) -> float:
        """Run; returns orders per second from the first to the last one, after a warm-up."""
        await self._feed(warm_up_s)
        began, before = time.perf_counter(), self.done
        await self._feed(seconds)
        return (self.done - before) / (time.perf_counter() - began)

    async def _feed(self, seconds: float) -> None:
        until, room, rotation = time.perf_counter() + seconds, asyncio.Semaphore(self.in_flight), count()
        async with asyncio.TaskGroup() as group:
            while time.perf_counter() < until:
                store = self.stores[next(rotation) % len(self.stores)]
                size = self._next_size()
                for _ in range(size):
                    await room.acquire()
                first = self._next_ids.get(store, 1)
                self._next_ids[store] = first + size
                group.create_task(self._process(store, range(first, first + size), room))

    def _next_size(self) -> int:
        """The number of orders that the next call reads."""
        lists = min(self.mix.orders_a_list, self.in_flight)
        if lists > 1:
            self._listed += self.mix.listed_share / (lists - (lists - 1) * self.mix.listed_share)
        if self._listed < 1:
            return 1
        self._listed -= 1
        return lists

    async def _process(self, store: str, ids: range, room: asyncio.Semaphore) -> None:
        orders = f"/stores/{store}/v2/orders"
        if len(ids) == 1:
            await self._get(store, f"{orders}/{ids[0]}")
        else:
            await self._get(store, orders, min_id=ids[0], max_id=ids[-1], limit=250, page=1, sort="id:asc")
        async with asyncio.TaskGroup() as group:
            for order_id in ids:
                group.create_task(self._create(store, order_id, room))

    async def _create(self, store: str, order_id: int, room: asyncio.Semaphore) -> None:
        fields = [{"fieldName": ACCOUNT_FIELD, "fieldValue": "ERP-10001"}]
        body = {"bcOrderId": order_id, "customerId": CUSTOMER_ID, "poNumber": po_number(order_id)}
        answer = await self.client.post(
            f"{self.url}/api/v3/io/orders", headers=_headers(store), json={**body, "extraFields": fields}
        )
        _read(answer)
        self.done += 1
        room.release()
        self._checks += self.mix.verifications
        if self._checks >= 1:
            self._checks -= 1
            limit = self.mix.records_a_list
            params = {"minCreated": 1, "showExtra": "true", "limit": limit, "offset": 0, "orderBy": "ASC"}
            await self._get(store, "/api/v3/io/orders", **params)

    async def _get(self, store: str, path: str, **params: Any) -> None:
        _read(await self.client.get(f"{self.url}{path}", headers=_headers(store), params=params))


def _headers(store: str) -> dict[str, str]:
    return {"X-Auth-Token": "token", "X-Store-Hash": store}


def _read(answer: httpx.Response) -> Any:
    assert answer.status_code == 200, f"{answer.status_code} {answer.text}"
    return answer.json()


async def _bare_worker(
    url: str, stores: list[str], mix: Mix, in_flight: int, seconds: float, warm_up_s: float, *, with_our_client: bool
) -> float:
    transport = http_client() if with_our_client else httpx.AsyncHTTPTransport()
    async with httpx.AsyncClient(transport=transport) as client:
        return await BareWorker(url, stores, mix, in_flight, client).run(seconds, warm_up_s)


def _main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    modes = parser.add_subparsers(dest="mode", required=True)
    receiver = modes.add_parser("receiver")
    receiver.add_argument("--port", type=int, required=True)
    worker = modes.add_parser("worker")
    worker.add_argument("--url", required=True)
    worker.add_argument("--stores", required=True, help="comma-separated")
    worker.add_argument("--mix", required=True, help="JSON")
    worker.add_argument("--in-flight", type=int, required=True)
    worker.add_argument("--our-client", action="store_true", help="use the product's HTTP client, not httpx's own")
    worker.add_argument("--seconds", type=float, required=True)
    worker.add_argument("--warm-up", type=float, required=True)
    given = parser.parse_args()
    if given.mode == "receiver":
        serve(bare_receiver(Settings.load().require_redis_url()), "127.0.0.1", given.port)
        return
    mix, stores = Mix(**json.loads(given.mix)), given.stores.split(",")
    working = _bare_worker(
        given.url, stores, mix, given.in_flight, given.seconds, given.warm_up, with_our_client=given.our_client
    )
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        per_s = runner.run(working)
    print(json.dumps({"per_s": per_s}))  # noqa: T201 - the result


if __name__ == "__main__":
    _main()
