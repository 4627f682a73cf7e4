"""Binding a port: which addresses it answers on. Stopping: what happens to requests in progress."""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from structlog.testing import capture_logs

from service.process.sockets import GracefulServer, listen, server_config

LOOPBACKS = {socket.AF_INET: "127.0.0.1", socket.AF_INET6: "::1"}


def has_ipv6() -> bool:
    try:
        socket.create_server(("::1", 0), family=socket.AF_INET6).close()
    except OSError:
        return False
    return True


needs_ipv6 = pytest.mark.skipif(not has_ipv6(), reason="this machine has no IPv6")


def reachable(listener: socket.socket) -> set[str]:
    port = listener.getsockname()[1]
    answering = set()
    for family, address in LOOPBACKS.items():
        with socket.socket(family) as client:
            if client.connect_ex((address, port)) == 0:
                answering.add(address)
    return answering


@needs_ipv6
@pytest.mark.parametrize("host", ["::", "[::]", "0:0:0:0:0:0:0:0"])
def test_all_of_ipv6_is_all_of_ipv4_too(host: str) -> None:
    with listen(host, 0) as listener:
        assert reachable(listener) == {"::1", "127.0.0.1"}


@needs_ipv6
@pytest.mark.parametrize(("host", "address"), [("::1", "::1"), ("[::1]", "::1"), ("127.0.0.1", "127.0.0.1")])
def test_one_address_is_no_other(host: str, address: str) -> None:
    with listen(host, 0) as listener:
        assert reachable(listener) == {address}


def test_all_of_ipv4_needs_no_ipv6() -> None:
    with listen("0.0.0.0", 0) as listener:
        assert "127.0.0.1" in reachable(listener)


class SlowApp:
    """Answers when ``release`` is set, and keeps how each request ended."""

    def __init__(self) -> None:
        self.reached, self.release = asyncio.Event(), asyncio.Event()
        self.ended: list[str] = []
        self.app = Starlette(routes=[Route("/", self._answer)])

    async def _answer(self, _: Request) -> Response:
        self.reached.set()
        try:
            await self.release.wait()
        except asyncio.CancelledError:
            self.ended.append("cancelled")
            raise
        self.ended.append("answered")
        return Response("done")


async def test_a_stop_waits_for_the_requests_in_progress() -> None:
    slow = SlowApp()
    async with stopping(slow, timeout_graceful_shutdown=60) as (listener, serving, asking):
        while listener.fileno() >= 0:  # noqa: ASYNC110 - until it accepts nothing new
            await asyncio.sleep(0.01)
        assert not serving.done()
        slow.release.set()
        await serving
        assert (await asking).text == "done"
    assert slow.ended == ["answered"]


async def test_a_stop_cancels_what_does_not_end_in_time_and_says_so() -> None:
    slow = SlowApp()
    with capture_logs() as lines:
        async with stopping(slow, timeout_graceful_shutdown=0) as (_, serving, asking):
            await serving
            await asyncio.wait([asking])
            asking.exception()
    assert slow.ended == ["cancelled"]
    assert lines == [{"event": "requests_cancelled", "log_level": "warning", "requests": 1}]


@asynccontextmanager
async def stopping(
    slow: SlowApp, **options: int
) -> AsyncIterator[tuple[socket.socket, "asyncio.Task[None]", "asyncio.Task[httpx.Response]"]]:
    """A server that stops while a request is in progress: its socket, its task, and the client's."""
    server = GracefulServer(server_config(slow.app, loop="asyncio", **options))
    async with httpx.AsyncClient(timeout=30, trust_env=False) as http:
        with listen("127.0.0.1", 0) as listener:
            url = f"http://127.0.0.1:{listener.getsockname()[1]}/"
            serving = asyncio.create_task(server.serve([listener]))
            asking = asyncio.create_task(http.get(url))
            await slow.reached.wait()
            server.should_exit = True
            yield listener, serving, asking
