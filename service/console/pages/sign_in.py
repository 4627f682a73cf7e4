"""Signing in by a code that works once, and signing out.

The GET of a link only shows a button, and the POST spends the code: a mail or chat program that looks at links does
not use them up.
"""

import re

import structlog
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from service.console import rendering
from service.console.routes import Console
from service.logs import Event

log = structlog.get_logger()

PATH = "/sign-in"

_SPENT = (
    "This code does not work: it was used already, it is older than 15 minutes, or a part of it is missing. "
    "Ask for a new one (enrich console link)."
)

# What a code is made of. Anything else is not looked up.
_CODE = re.compile(r"[A-Za-z0-9_-]{43}")


def link(code: str) -> str:
    """The path of the link that signs in with this code."""
    return f"{PATH}?code={code}"


def routes(console: Console) -> list[Route]:
    """The routes of signing in, for everybody, and of signing out."""

    async def form(request: Request) -> Response:
        query = request.query_params
        return _page(request, query.get("code", ""), query.get("next", ""))

    async def spend(request: Request) -> Response:
        sent = await request.form(max_files=0, max_fields=10)
        code, path = str(sent.get("code", "")).strip(), str(sent.get("next", ""))
        begun = await console.sessions.spend(code) if _CODE.fullmatch(code) else None
        if begun is None:
            log.warning(Event.CONSOLE_REQUEST_REFUSED, reason="code")
            return _page(request, "", path, error=_SPENT)
        secret, person = begun
        await _end_session(request)
        stores = None if person.stores is None else sorted(person.stores)
        log.info(
            Event.CONSOLE_SIGNED_IN,
            who=person.who,
            role=person.role.value,
            stores=stores,
            session=(person.session_id or "")[:12],
        )
        answer = RedirectResponse(console.address.path(_own_path(path)), 303)
        _set_cookie(answer, secret)
        return answer

    async def sign_out(request: Request) -> Response:
        await _end_session(request)
        answer = RedirectResponse(console.address.path(PATH), 303)
        _set_cookie(answer, "", max_age=0)
        return answer

    async def _end_session(request: Request) -> None:
        secret = request.cookies.get(console.address.cookie_name)
        if secret and (before := await console.sessions.find(secret)) and before.session_id:
            await console.sessions.end([before.session_id])

    def _set_cookie(answer: Response, secret: str, max_age: int | None = None) -> None:
        address = console.address
        answer.set_cookie(
            address.cookie_name,
            secret,
            max_age=max_age,
            path=address.cookie_path,
            secure=address.is_https,
            httponly=True,
            samesite="lax",
        )

    return [
        Route(PATH, form),
        Route(PATH, spend, methods=["POST"]),
        Route("/sign-out", sign_out, methods=["POST"]),
    ]


def _page(request: Request, code: str, path: str, *, error: str = "") -> Response:
    context = {"code": code if _CODE.fullmatch(code) else "", "next": _own_path(path), "error": error}
    return rendering.html(request.app.state.templates, "sign_in.html", context, 401 if error else 200)


def _own_path(path: str) -> str:
    """A path of the console to go on to; the overview for anything that could lead elsewhere."""
    is_ours = re.fullmatch(r"/(?![/\\])[^\\\x00-\x1f]*", path) and "//" not in path.partition("?")[0]
    return path if is_ours else "/"
