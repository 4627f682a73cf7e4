"""What the console answers when a request cannot be served: a page that says why, or JSON where JSON was asked for."""

import asyncio
from urllib.parse import quote

import structlog
from jinja2 import Environment
from redis.asyncio import Redis
from redis.exceptions import RedisError
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.types import ExceptionHandler

from service.console import rendering
from service.console.guard import BodyTooLarge
from service.console.people.access import AccessDenied, RoleRequired, SignInRequired, UnknownStore
from service.console.people.proxy_sign_in import ForgedIdentity, NotListed
from service.console.routes import Console, InvalidRequest, NotFoundError
from service.console.runs.runs import TooManyRuns
from service.logs import Event
from service.process.task_cancellation import cancel_and_wait
from service.redis.errors import TRANSIENT_ERRORS, diagnose

log = structlog.get_logger()

# How often a Redis that does not answer is asked whether it is back.
_REDIS_POLL_INTERVAL_S = 1.0

_STATUS: dict[type[Exception], int] = {
    SignInRequired: 401,
    ForgedIdentity: 401,
    NotListed: 403,
    RoleRequired: 403,
    UnknownStore: 404,
    NotFoundError: 404,
    InvalidRequest: 400,
    BodyTooLarge: 413,
    TooManyRuns: 429,
}

_TITLES = {
    400: "This cannot be understood",
    401: "You are not signed in",
    403: "You may not do this",
    404: "There is nothing here",
    405: "There is nothing to send here",
    413: "This is too large",
    429: "Too much at once",
    500: "Something went wrong",
    503: "Redis does not answer",
}

_AWAY = (
    "The console keeps what it knows in Redis, and cannot reach it now. "
    "This page tries again by itself. Whoever runs the service finds the cause in the log (redis_lost)."
)


class ErrorPages:
    """Answers errors. It logs once that Redis is lost, and once that it is back."""

    def __init__(self, console: Console, templates: Environment) -> None:
        self._console = console
        self._templates = templates
        self._waiting: asyncio.Task[None] | None = None
        ours: dict[type[Exception], ExceptionHandler] = dict.fromkeys((AccessDenied, *_STATUS), self._expected)
        away: dict[type[Exception], ExceptionHandler] = dict.fromkeys((RedisError, *TRANSIENT_ERRORS), self._redis_away)
        self.handlers: dict[type[Exception], ExceptionHandler] = {**ours, **away, HTTPException: self._unknown_path}

    async def close(self) -> None:
        """Stop waiting for Redis."""
        if self._waiting is not None:
            await cancel_and_wait([self._waiting])

    async def _expected(self, request: Request, error: Exception) -> Response:
        status = next(_STATUS[kind] for kind in type(error).__mro__ if kind in _STATUS)
        if isinstance(error, ForgedIdentity):
            log.warning(Event.CONSOLE_REQUEST_REFUSED, reason="proof")
        if isinstance(error, SignInRequired) and _is_page(request) and request.method in ("GET", "HEAD"):
            return RedirectResponse(self._sign_in_path(request), 303)
        return self._answer(request, status, str(error))

    def _sign_in_path(self, request: Request) -> str:
        """The sign-in page, which leads back to this one."""
        address = self._console.address
        path = request.url.path.removeprefix(address.prefix) or "/"
        if path == "/":
            return address.path("/sign-in")
        query = f"?{request.url.query}" if request.url.query else ""
        return address.path(f"/sign-in?next={quote(path + query, safe='')}")

    async def _unknown_path(self, request: Request, error: Exception) -> Response:
        """404 and 405. Who is not signed in does not learn which paths there are."""
        assert isinstance(error, HTTPException)
        try:
            person = await self._console.person(request)
        except RedisError as away:
            return await self._redis_away(request, away)
        except AccessDenied as denied:
            return await self._expected(request, denied)
        if person is None:
            return await self._expected(request, SignInRequired("You are not signed in."))
        answer = self._answer(request, error.status_code, "This address leads to no page of the console.")
        answer.headers.update(error.headers or {})
        return answer

    async def _redis_away(self, request: Request, error: Exception) -> Response:
        if self._waiting is None or self._waiting.done():
            log.warning(Event.REDIS_LOST, error=str(diagnose(error)))
            self._waiting = asyncio.create_task(_until_back(self._console.redis))
        answer = self._answer(request, 503, _AWAY)
        answer.headers["retry-after"] = "5"
        return answer

    def bug(self, request: Request) -> Response:
        """The answer to an unexpected exception, which is in the log."""
        return self._answer(request, 500, "The log says what (internal_error). Try again; if it stays, report it.")

    def _answer(self, request: Request, status: int, message: str) -> Response:
        if not _is_page(request):
            return rendering.to_json({"error": message}, status)
        context = {"title": _TITLES.get(status, "This did not work"), "message": message, "status": status}
        return rendering.html(self._templates, "error.html", context, status)


def _is_page(request: Request) -> bool:
    """Whether the request asks for a page: neither for data nor for a file."""
    return not request.url.path.endswith((".json", ".csv", ".js", ".css", ".svg"))


async def _until_back(redis: Redis) -> None:
    while True:
        await asyncio.sleep(_REDIS_POLL_INTERVAL_S)
        try:
            await redis.ping()
        except RedisError:
            continue
        log.info(Event.REDIS_BACK)
        return
