"""A scripted BigCommerce for unit tests: gives scripted answers and records the requests.

    upstream = FakeUpstream()
    upstream.on("POST /api/v3/io/orders", httpx.ReadTimeout("lost"), {"code": 200, "data": {}})
    async with store_api(upstream) as api:
        ...
    assert upstream.asked == ["POST /api/v3/io/orders"]

A route is method and path, the core API's without its ``/stores/{hash}``. The answers to a route are given in turn,
the last one repeatedly. An answer is a status, a JSON body (200), both as a tuple, an httpx.Response, an exception to
raise, or a function from the request to one of these.
"""

import json
import re
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import httpx
from pydantic import SecretStr

from service.bigcommerce import Account, Budget, StoreApi, Transport

STORE_HASH = "abc123"
CORE_URL = "https://core.test"
B2B_URL = "https://b2b.test"


class FakeUpstream:
    """``handle`` is the handler for an httpx.MockTransport; ``requests`` are all requests, in order."""

    def __init__(self) -> None:
        self.requests: list[httpx.Request] = []
        self._script: dict[str, list[Any]] = {}

    def on(self, route: str, *answers: Any) -> None:
        """Script the answers to a route, replacing earlier ones."""
        self._script[route] = list(answers)

    @property
    def asked(self) -> list[str]:
        """The routes of all requests, in order."""
        return [_route(request) for request in self.requests]

    def bodies(self, route: str) -> list[Any]:
        """The JSON bodies that were sent to a route."""
        return [json.loads(request.content) for request in self.requests if _route(request) == route]

    def handle(self, request: httpx.Request) -> httpx.Response:
        self.requests.append(request)
        answers = self._script.get(_route(request))
        if answers is None:
            raise AssertionError(f"no answer is scripted for {_route(request)}")
        return _response(answers.pop(0) if len(answers) > 1 else answers[0], request)


@asynccontextmanager
async def transport_to(
    upstream: FakeUpstream, *, clock: Callable[[], float] = time.time, budget: Budget | None = None
) -> AsyncIterator[Transport]:
    async with httpx.MockTransport(upstream.handle) as http:
        yield Transport(http, core_url=CORE_URL, b2b_url=B2B_URL, clock=clock, budget=budget)


@asynccontextmanager
async def store_api(
    upstream: FakeUpstream,
    *,
    tokens: tuple[str, ...] = ("access-token",),
    clock: Callable[[], float] = time.time,
    budget: Budget | None = None,
) -> AsyncIterator[StoreApi]:
    async with transport_to(upstream, clock=clock, budget=budget) as transport:
        yield StoreApi(transport, account(*tokens))


def account(*tokens: str) -> Account:
    return Account(STORE_HASH, tuple(SecretStr(token) for token in tokens))


def _route(request: httpx.Request) -> str:
    path = re.sub(r"^/stores/[^/]+", "", request.url.raw_path.partition(b"?")[0].decode())
    return f"{request.method} {path}"


def _response(answer: Any, request: httpx.Request) -> httpx.Response:
    if callable(answer):
        answer = answer(request)
    match answer:
        case Exception():
            raise answer
        case httpx.Response():
            # A new one each time: a response can be read only once.
            return httpx.Response(answer.status_code, headers=answer.headers, content=answer.content)
        case int():
            return httpx.Response(answer)
        case (int() as status, body):
            return _json(status, body)
        case body:
            return _json(200, body)


def _json(status: int, body: Any) -> httpx.Response:
    return httpx.Response(status, content=json.dumps(body), headers={"Content-Type": "application/json"})
