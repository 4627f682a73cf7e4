"""A load balancer in front of the receivers, as one stands there in production: it asks ``/readyz``."""

import asyncio
import itertools
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import httpx
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from service.process.task_cancellation import cancel_and_wait
from service.sandbox.app import running
from tests.chaos.network.namespaces import SWITCH_ADDRESS, Host
from tests.fakes.sandbox import free_port

RECEIVER_PORT = 8000

_CHECK_EVERY_S = 0.5
_CHECK_TIMEOUT_S = 1.5
# BigCommerce itself waits for ten seconds.
_TIMEOUT = httpx.Timeout(10.0, connect=1.0)


class LoadBalancer:
    """Gives requests to the receivers in turn, to those that are ready; to any where none is.

    A receiver that cannot be connected to is left out. One that does not answer costs the request.
    """

    def __init__(self, receivers: Sequence[Host]) -> None:
        self._receivers = [f"http://{host.address}:{RECEIVER_PORT}" for host in receivers]
        self._turn = itertools.count()
        self._ready: set[str] = set()
        self._client = httpx.AsyncClient(trust_env=False, timeout=_TIMEOUT)

    @asynccontextmanager
    async def serving(self) -> AsyncIterator[str]:
        """Its URL."""
        app = Starlette(routes=[Route("/{path:path}", self._forward, methods=["GET", "POST"])])
        checks = [asyncio.create_task(self._check(receiver)) for receiver in self._receivers]
        with free_port(SWITCH_ADDRESS) as listener:
            try:
                async with self._client, running(app, listener):
                    yield f"http://{SWITCH_ADDRESS}:{listener.getsockname()[1]}"
            finally:
                await cancel_and_wait(checks)

    async def _check(self, receiver: str) -> None:
        while True:
            try:
                answer = await self._client.get(f"{receiver}/readyz", timeout=_CHECK_TIMEOUT_S)
                is_ready = answer.status_code == 200
            except httpx.HTTPError:
                is_ready = False
            (self._ready.add if is_ready else self._ready.discard)(receiver)
            await asyncio.sleep(_CHECK_EVERY_S)

    async def _forward(self, request: Request) -> Response:
        headers = [(name, value) for name, value in request.headers.items() if name != "host"]
        body = await request.body()
        for receiver in self._in_turn():
            url = f"{receiver}{request.url.path}"
            try:
                answer = await self._client.request(request.method, url, headers=headers, content=body)
            except (httpx.ConnectError, httpx.ConnectTimeout):
                continue
            except httpx.HTTPError:
                return Response(status_code=504)
            return Response(answer.content, answer.status_code)
        return Response(status_code=502)

    def _in_turn(self) -> list[str]:
        first = next(self._turn) % len(self._receivers)
        in_turn = self._receivers[first:] + self._receivers[:first]
        return sorted(in_turn, key=lambda receiver: receiver not in self._ready)  # keeps the turn among those that are
