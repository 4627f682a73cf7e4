"""The API gateway that every call passes: credentials, quota, faults, the handler, headers."""

import asyncio
import json
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from typing import Any

from starlette.datastructures import QueryParams
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from service.sandbox.nonsense import NonsenseAnswers, error_page
from service.sandbox.options import ApiName
from service.sandbox.quota import b2b_headers, core_headers
from service.sandbox.specs import Scope as OAuthScope
from service.sandbox.state import BuyerToken, Sandbox, Store


class Dialect(Enum):
    """The response format of an API."""

    V2 = "V2"
    V3 = "V3"
    B2B = "B2B Edition"
    STOREFRONT = "B2B Edition's storefront"

    @property
    def api(self) -> ApiName:
        """The API that uses this format."""
        match self:
            case Dialect.B2B:
                return "b2b"
            case Dialect.STOREFRONT:
                return "storefront"
            case _:
                return "core"

    def error(self, status: int, message: str, errors: dict[str, str] | None = None) -> Any:
        """The body of an error."""
        match self:
            case Dialect.V2:
                return [{"status": status, "message": message}]
            case Dialect.V3:
                type_ = "https://developer.bigcommerce.com/api-docs/getting-started/api-status-codes"
                return {"status": status, "title": message, "type": type_, "errors": errors or {}}
            case Dialect.B2B:
                data = {"errMsg": message} if status == 422 else {}
                return {"code": status, "data": data, "meta": {"message": message}}
            case Dialect.STOREFRONT:
                if status == 400:
                    return {"code": _BAD_ORDER_REQUEST, "message": message, "data": {}}
                return {"code": status, "message": _PHRASES.get(status, "Error"), "data": {"errMsg": message}}


_BAD_ORDER_REQUEST = 40013
"""400 of the resource Orders, whose number is 13: so the storefront API's documentation has it."""

_PHRASES = {401: "Unauthorized", 403: "Forbidden", 404: "Not Found Error", 429: "Too Many Requests"}


class Refusal(Exception):
    """An error response; ``message`` is for the caller."""

    def __init__(self, status: int, message: str, errors: dict[str, str] | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.message = message
        self.errors = errors


@dataclass(frozen=True, slots=True)
class Call:
    """One accepted call: the input of a handler. ``base_url`` is the URL of this sandbox.

    ``received_at`` is earlier than ``now`` where faults have delayed the call.
    """

    sandbox: Sandbox
    store: Store
    received_at: float
    now: float
    base_url: str
    path: dict[str, Any]
    query: QueryParams
    body: Any
    buyer: BuyerToken | None = None
    """Whom a call of the storefront API acts as."""

    @property
    def fields(self) -> dict[str, Any]:
        """The body, which must be a JSON object. Raises Refusal."""
        if not isinstance(self.body, dict):
            raise Refusal(400, "The request body is not a JSON object.")
        return self.body

    def number(self, name: str) -> int | None:
        """An integer of the query, or None. Raises Refusal for another value."""
        text = self.query.get(name, "")
        if not text:
            return None
        try:
            return int(text)
        except ValueError:
            raise Refusal(400, f"The parameter {name} is not a number.") from None


@dataclass(frozen=True, slots=True)
class Done:
    """A successful response. No body: 204."""

    body: Any = None
    status: int = 200


Handler = Callable[[Call], Done]


class TruncatedResponse(Response):
    """A response that ends half-way: its length is announced, but only half of the body is sent."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
        half = bytes(self.body)[: len(self.body) // 2]
        await send({"type": "http.response.body", "body": half, "more_body": True})


class Gateway:
    """Applies credentials, quota, faults and counts to every call."""

    def __init__(self, sandbox: Sandbox) -> None:
        self._sandbox = sandbox
        self._nonsense = NonsenseAnswers()
        self.operations: set[str] = set()

    def route(self, dialect: Dialect, method: str, path: str, operation: str, handler: Handler) -> Route:
        """Create the route of one operation, named as in BigCommerce's documentation."""

        scope = _scope_of(dialect, method, path)

        async def endpoint(request: Request) -> Response:
            return await self._serve(dialect, operation, scope, handler, request)

        self.operations.add(operation)
        return Route(path, endpoint, methods=[method], name=operation)

    async def _serve(
        self, dialect: Dialect, operation: str, scope: OAuthScope | None, handler: Handler, request: Request
    ) -> Response:
        store = self._store(dialect, request)
        if dialect.api != "core" and self._sandbox.faults.b2b_down:
            response, outcome = error_page(503), "503"
        elif store is None or not self._is_authorized(dialect, store, request):
            response, outcome = _error(dialect, 401, "Unauthorized. The credentials are not valid."), "401"
        elif scope in store.spec.missing_scopes:
            response, outcome = _error(dialect, 403, "You don't have a required scope to access the endpoint"), "403"
        elif not self._take_quota(dialect.api, store):
            response, outcome = _error(dialect, 429, "Too many requests."), "429"
        else:
            response, outcome = await self._handle(dialect, operation, handler, store, request)
        if store:
            store.calls[dialect.api, operation, outcome] += 1
            if outcome != "401" and self._sandbox.options.quota_headers:
                headers = core_headers if dialect.api == "core" else b2b_headers
                response.headers.update(headers(store.quotas[dialect.api], self._sandbox.now()))
        return response

    def _store(self, dialect: Dialect, request: Request) -> Store | None:
        if dialect is Dialect.STOREFRONT:
            token = _bearer(request)
            return next((store for store in self._sandbox.stores.values() if token in store.buyer_tokens), None)
        in_header = request.headers.get("X-Store-Hash", "")
        return self._sandbox.stores.get(in_header if dialect is Dialect.B2B else request.path_params["store_hash"])

    def _is_authorized(self, dialect: Dialect, store: Store, request: Request) -> bool:
        if dialect is Dialect.STOREFRONT:
            is_valid = store.buyer_tokens[_bearer(request)].expires_at > self._sandbox.now()
            return is_valid and not self._sandbox.faults.refuse_buyers
        refused = store.hash in self._sandbox.faults.refuse_credentials
        return not refused and request.headers.get("X-Auth-Token") in store.spec.access_token

    def _take_quota(self, api: ApiName, store: Store) -> bool:
        quota, now = store.quotas[api], self._sandbox.now()
        if api in self._sandbox.faults.exhausted:
            quota.exhaust(now)
        return quota.take(now)

    async def _handle(
        self, dialect: Dialect, operation: str, handler: Handler, store: Store, request: Request
    ) -> tuple[Response, str]:
        """Run the handler with the faults drawn for this call; returns the response and its name in the counts."""
        body = _parsed(await request.body())
        received_at = self._sandbox.now()
        faults = self._sandbox.injector.draw(self._sandbox.faults, dialect.api, operation)
        await asyncio.sleep(faults.hang + faults.latency / 2)
        if faults.error:
            return error_page(faults.error), str(faults.error)
        if faults.nonsense and not faults.nonsense_after_work:
            return self._nonsense.answer(faults.nonsense, dialect.api, operation, self._sandbox.injector), "nonsense"
        call = Call(
            sandbox=self._sandbox,
            store=store,
            received_at=received_at,
            now=self._sandbox.now(),
            base_url=str(request.base_url).rstrip("/"),
            path={name: value for name, value in request.path_params.items() if name != "store_hash"},
            query=request.query_params,
            body=body,
            buyer=store.buyer_tokens[_bearer(request)] if dialect is Dialect.STOREFRONT else None,
        )
        try:
            done = handler(call)
        except Refusal as refusal:
            done = Done(dialect.error(refusal.status, refusal.message, refusal.errors), refusal.status)
        else:
            self._nonsense.remember(dialect.api, operation, done.body)
        await asyncio.sleep(faults.latency / 2 + faults.late)
        if faults.nonsense:
            return self._nonsense.answer(faults.nonsense, dialect.api, operation, self._sandbox.injector), "nonsense"
        if faults.lost_as == "504":
            return error_page(504), "504"
        if faults.lost_as == "cut":
            return TruncatedResponse(json.dumps(done.body), done.status, media_type="application/json"), "cut"
        return _response(done), str(204 if done.body is None else done.status)


def _bearer(request: Request) -> str:
    return request.headers.get("Authorization", "").removeprefix("Bearer ")


def _scope_of(dialect: Dialect, method: str, path: str) -> OAuthScope | None:
    if dialect is Dialect.B2B:
        return "b2b_read" if method == "GET" else "b2b_modify"
    if dialect is Dialect.STOREFRONT:
        return None
    scopes: dict[str, OAuthScope] = {
        "/customer": "customers",
        "/catalog": "products",
        "/carts": "carts",
        "/transactions": "transactions",
        "/orders": "orders",
    }
    scope = next((scope for part, scope in scopes.items() if part in path), None)
    return "orders_modify" if scope == "orders" and method != "GET" else scope


def _response(done: Done) -> Response:
    return Response(status_code=204) if done.body is None else JSONResponse(done.body, done.status)


def _error(dialect: Dialect, status: int, message: str) -> Response:
    return JSONResponse(dialect.error(status, message), status)


def _parsed(body: bytes) -> Any:
    try:
        return json.loads(body) if body else None
    except ValueError:
        return None
