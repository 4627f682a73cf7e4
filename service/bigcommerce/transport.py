"""Sends every call to BigCommerce: headers, timeouts, quota, clock, errors, and a log event for each call."""

import asyncio
import json as json_module
import math
import re
import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import aclosing
from dataclasses import dataclass, field
from functools import lru_cache
from importlib.metadata import version
from typing import Any
from urllib.parse import quote

import httpx
import structlog
from pydantic import SecretStr

from service.bigcommerce import error_mapping
from service.bigcommerce.apis import Api
from service.bigcommerce.clock import UpstreamClock
from service.bigcommerce.complete_answers import is_api_error
from service.bigcommerce.quota_budget import Budget, BudgetState, Priority, Spent
from service.bigcommerce.quota_headers import Quota
from service.errors import CredentialsRefused, UpstreamError
from service.logs import Event

TIMEOUT_S = 3.0
"""For one attempt, from waiting for a connection to the last byte. Short, as an order's window has ten seconds."""

MAX_BODY_BYTES = 20_000_000
"""The size limit of an answer. 250 orders with their line items stay far below it."""

_UNREADABLE = object()

OnCall = Callable[[str, str, str, float], None]
"""Called after each call with the API, the operation, the verdict and the duration in seconds."""

_HEADERS = {
    "User-Agent": f"b2b-order-enrichment/{version('b2b-order-enrichment')}",
    "Accept": "application/json",  # without it the V2 API answers XML
    "Accept-Encoding": "gzip, deflate",
}
_SENDABLE = re.compile(r"[!-~]+")


def is_sendable(token: SecretStr) -> bool:
    """Whether this token is valid in an HTTP header."""
    return _SENDABLE.fullmatch(token.get_secret_value()) is not None


@dataclass(frozen=True, slots=True)
class Account:
    """A store and its access tokens. Any accepted one is used, so that tokens can be rotated."""

    store_hash: str
    access_tokens: tuple[SecretStr, ...]


@dataclass(frozen=True, slots=True)
class Call:
    """One API call; ``operation`` is its title in BigCommerce's documentation. Parameters of None are not sent."""

    operation: str
    api: Api
    method: str
    path: str
    params: Mapping[str, Any] = field(default_factory=dict)
    json: Any = None

    @property
    def is_write(self) -> bool:
        return self.method != "GET"


@dataclass(frozen=True, slots=True)
class Answer:
    """A 2xx answer. ``body`` is parsed JSON, None without a body (204); times are local Unix seconds."""

    status: int
    body: Any
    quota: Quota | None
    sent_at: float
    answered_at: float


class Transport:
    """Sends calls; each returns an Answer or raises an UpstreamError.

    ``core_url`` and ``b2b_url`` are the two hosts; ``clock`` gives local Unix seconds. Without a ``budget`` every
    call is sent, and only BigCommerce limits them. ``on_call`` is called after each call. The caller closes ``http``.
    """

    def __init__(
        self,
        http: httpx.AsyncBaseTransport,
        *,
        core_url: str,
        b2b_url: str,
        clock: Callable[[], float] = time.time,
        budget: Budget | None = None,
        on_call: OnCall | None = None,
    ) -> None:
        self._http = http
        self._core_url = core_url.rstrip("/")
        self._b2b_url = b2b_url.rstrip("/")
        self._clock = clock
        self._budget = budget
        self._on_call = on_call
        self._accepted: dict[str, SecretStr] = {}
        self._answered_at: dict[Api, float] = {}
        self._log = structlog.get_logger().bind()  # else each line of the log, also one that is not wanted, binds anew
        self.upstream_clock = UpstreamClock(clock)

    def tokens(self, account: Account) -> list[SecretStr]:
        """The store's tokens that are valid in a header, the one accepted last first."""
        sendable = [token for token in account.access_tokens if is_sendable(token)]
        return sorted(sendable, key=lambda token: token != self._accepted.get(account.store_hash))

    def remember(self, account: Account, token: SecretStr) -> None:
        """Remember that BigCommerce accepted this token, to try it first from now on."""
        self._accepted[account.store_hash] = token

    def idle_s(self, api: Api) -> float:
        """Seconds since this process last used a connection to the API that stayed open; infinite if there is none.

        After a call without an answer it is infinite, too.
        """
        return self._clock() - self._answered_at.get(api, -math.inf)

    async def quota_left(self, store: str, api: Api) -> BudgetState | None:
        """What is left of a store's quota; None when nothing is known of it. Errors are Redis's own."""
        return await self._budget.left(store, api) if self._budget else None

    def quota_spent_for_s(self, store: str, api: Api) -> float:
        """Seconds until a store's quota resets where this process knows that nothing is left of it; else 0."""
        return self._budget.spent_for_s(store, api) if self._budget else 0.0

    async def spend(
        self,
        account: Account,
        api: Api,
        priority: Priority,
        *,
        operation: str,
        calls: int = 1,
        unless: str | None = None,
    ) -> Spent | None:
        """Take calls from the store's budget; required before each request. Raises OutOfBudget.

        While the key ``unless`` is in Redis, none is taken.
        """
        if self._budget is None:
            return None
        store = account.store_hash
        return await self._budget.spend(store, api, priority, operation=operation, calls=calls, unless=unless)

    async def exchange(
        self, account: Account, call: Call, token: SecretStr, timeout_s: float, spent: Spent | None
    ) -> Answer:
        """Send one request and return its answer, or raise its error. ``timeout_s`` limits the whole exchange.

        The quota headers of the answer correct the budget that the call was ``spent`` from. A call that was cancelled
        or got no answer stays spent: BigCommerce may have counted it.
        """
        started = time.perf_counter()
        quota: Quota | None = None
        status: int | None = None
        verdict = "none"  # the caller cancelled it
        try:
            response, body, sent_at, answered_at = await self._send(account, call, token, timeout_s)
            headers = dict(response.headers.items())  # httpx looks through all of them for each name
            status, quota = response.status_code, Quota.from_headers(headers)
            if headers.get("connection", "").lower() != "close":
                self._answered_at[call.api] = answered_at
            if "age" not in headers:  # with it, the answer and its Date come from a cache
                self.upstream_clock.observe(headers.get("date"), sent_at, answered_at)
            if error := _error_of(call, status, body, quota, token):
                raise error
            verdict = "ok"
            return Answer(status, body, quota, sent_at, answered_at)
        except UpstreamError as error:
            verdict = type(error).__name__
            if status is None:
                self._answered_at.pop(call.api, None)
            raise
        finally:
            seconds = time.perf_counter() - started
            if self._on_call:
                self._on_call(call.api.value, call.operation, verdict, seconds)
            self._log.debug(
                Event.UPSTREAM_CALL,
                api=call.api.value,
                operation=call.operation,
                status=status,
                verdict=verdict,
                ms=round(seconds * 1000),
                quota_left=quota.left if quota else None,
            )
            if self._budget and spent and quota:
                await self._budget.correct(spent, quota, refused=status == 429)

    async def _send(
        self, account: Account, call: Call, token: SecretStr, timeout_s: float
    ) -> tuple[httpx.Response, Any, float, float]:
        sent_at = self._clock()
        request = httpx.Request(
            call.method,
            _url(self._root(account, call.api) + call.path),
            params={name: value for name, value in call.params.items() if value is not None} or None,
            headers=_headers(call.api, account.store_hash, token, has_body=call.json is not None),
            # As a stream, for the connection adds ``Host`` and ``Content-Length`` itself.
            stream=httpx.ByteStream(b"" if call.json is None else json_module.dumps(call.json).encode()),
            extensions=_timeouts(timeout_s),
        )
        try:
            async with asyncio.timeout(timeout_s):
                response = await self._http.handle_async_request(request)
                answered_at = self._clock()
                async with aclosing(response):
                    return response, await _read(response), sent_at, answered_at
        except (httpx.RequestError, TimeoutError) as error:
            raise error_mapping.error_from_exception(call.operation, error, is_write=call.is_write) from error

    def _root(self, account: Account, api: Api) -> str:
        if api is Api.CORE:
            return f"{self._core_url}/stores/{quote(account.store_hash, safe='')}"
        return f"{self._b2b_url}/api"


class Caller:
    """Makes and counts the calls of one unit of work, such as an order, to one store.

    ``calls`` is the number of requests sent; ``timeout_s`` is the timeout of each and ``priority`` their class in the
    budget: both can be changed. ``quotas`` are the store's quotas by the last answers. A call that the store's budget
    does not allow raises OutOfBudget and is not sent.
    """

    def __init__(
        self,
        transport: Transport,
        account: Account,
        *,
        timeout_s: float = TIMEOUT_S,
        priority: Priority = Priority.CREATE,
    ) -> None:
        self.transport = transport
        self.account = account
        self.timeout_s = timeout_s
        self.priority = priority
        self.calls = 0
        self.quotas: dict[Api, Quota] = {}
        self._ahead: dict[Api, list[Spent | None]] = {}

    async def spend_ahead(self, api: Api, calls: int, *, operation: str, unless: str | None = None) -> None:
        """Take the next calls of an API from the budget together, all or none. Raises OutOfBudget.

        For calls that depend on each other: what the first one reads is outdated if the second one has to wait. While
        the key ``unless`` is in Redis, none is taken.
        """
        missing = calls - len(self._ahead.get(api, ()))
        if missing > 0:
            spent = await self.transport.spend(
                self.account, api, self.priority, operation=operation, calls=missing, unless=unless
            )
            self._ahead.setdefault(api, []).extend([spent] * missing)

    async def call(self, call: Call, *, timeout_s: float | None = None) -> Answer:
        """Make a call with the store's token. A 401 means that nothing was done, so the next token is tried at once."""
        refused = CredentialsRefused(call.operation, "the store has no access token that is valid in a header")
        for token in self.transport.tokens(self.account):
            try:
                answer = await self.call_with(token, call, timeout_s=timeout_s)
            except CredentialsRefused as error:
                if error.status != 401:
                    raise
                refused = error
            else:
                self.transport.remember(self.account, token)
                return answer
        raise refused

    async def call_with(self, token: SecretStr, call: Call, *, timeout_s: float | None = None) -> Answer:
        """Make a call with this token only."""
        if ahead := self._ahead.get(call.api):
            spent = ahead.pop()
        else:
            spent = await self.transport.spend(self.account, call.api, self.priority, operation=call.operation)
        self.calls += 1
        timeout_s = self.timeout_s if timeout_s is None else timeout_s
        answer = await self.transport.exchange(self.account, call, token, timeout_s, spent)
        if answer.quota:
            self.quotas[call.api] = answer.quota
        return answer


def _headers(api: Api, store_hash: str, token: SecretStr, *, has_body: bool) -> httpx.Headers:
    headers = httpx.Headers(_common_headers(has_body=has_body))
    match api:
        case Api.CORE:
            headers["X-Auth-Token"] = token.get_secret_value()
        case Api.B2B:
            headers["X-Auth-Token"], headers["X-Store-Hash"] = token.get_secret_value(), store_hash
        case Api.STOREFRONT:
            headers["Authorization"] = f"Bearer {token.get_secret_value()}"
    return headers


@lru_cache(maxsize=2)  # httpx copies them in a moment, and makes them from texts in a long one
def _common_headers(*, has_body: bool) -> httpx.Headers:
    return httpx.Headers(_HEADERS | {"Content-Type": "application/json"} if has_body else _HEADERS)


@lru_cache(maxsize=256)
def _url(url: str) -> httpx.URL:
    """The URL, parsed: that of writes and lists is the same each time, and parsing it costs as much as the rest."""
    return httpx.URL(url)


@lru_cache(maxsize=16)
def _timeouts(timeout_s: float) -> dict[str, Any]:
    # Both together are shorter than the whole timeout, so that a call that was never sent is known as such.
    return {"timeout": httpx.Timeout(None, pool=timeout_s / 3, connect=timeout_s / 2).as_dict()}


async def _read(response: httpx.Response) -> Any:
    """The parsed body; None without one, ``_UNREADABLE`` when it is too large or not JSON."""
    if response.status_code in (204, 205):
        return None
    body = bytearray()
    async for chunk in _chunks(response):
        body += chunk
        if len(body) > MAX_BODY_BYTES:
            return _UNREADABLE
    try:
        return _JSON.decode(body.decode(json_module.detect_encoding(body), "surrogatepass"))
    except (ValueError, RecursionError):
        return _UNREADABLE


def _chunks(response: httpx.Response) -> AsyncIterator[bytes]:
    if "Content-Encoding" not in response.headers and isinstance(response.stream, httpx.AsyncByteStream):
        return aiter(response.stream)  # httpx's decoders cost much, also where there is nothing to decode
    return response.aiter_bytes()


def _reject_constant(name: str) -> None:
    raise ValueError(f"{name} is not JSON")


_JSON = json_module.JSONDecoder(parse_constant=_reject_constant)


def _error_of(call: Call, status: int, body: Any, quota: Quota | None, token: SecretStr) -> UpstreamError | None:
    if 200 <= status < 300:
        if body is not _UNREADABLE:
            return None
        message = "the answer is not JSON, or too large"
        return error_mapping.transient_error(call.operation, message, is_write=call.is_write, status=status)
    text = error_mapping.error_message(status, body, hide=token.get_secret_value())
    resets_in_s = quota.resets_in_s if quota else None
    is_from_api = is_api_error(call.api, body)
    return error_mapping.error_from_answer(
        call.operation, status, text, is_from_api=is_from_api, is_write=call.is_write, resets_in_s=resets_in_s
    )
