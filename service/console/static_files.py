"""The files under /static. Only the style sheet and the icon are for everybody: the sign-in page needs them."""

import gzip
import hashlib
from functools import cache
from importlib.resources import files

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from service.console.people.access import Role, authorize
from service.console.routes import Console, NotFoundError

_MEDIA_TYPES = {
    "console.css": "text/css",
    "icon.svg": "image/svg+xml",
    "htmx.min.js": "text/javascript",
    "live.js": "text/javascript",
}

PUBLIC = frozenset({"console.css", "icon.svg"})

# The address has the file's hash, so that a browser may keep each version for ever.
_CACHE_CONTROL = "private, max-age=31536000, immutable"


def path_of(name: str) -> str:
    """The path of a static file, with its version."""
    return f"/static/{name}?v={_version(name)}"


def routes(console: Console) -> list[Route]:
    """The route of the static files."""

    async def endpoint(request: Request) -> Response:
        name: str = request.path_params["name"]
        if name not in PUBLIC:
            authorize(await console.person(request), Role.VIEWER, configured=console.configuration.stores)
        if name not in _MEDIA_TYPES:
            raise NotFoundError("There is no such file.")
        # A version that is not ours is one of a server that is being replaced: nobody may keep it under that name.
        is_ours = request.query_params.get("v") == _version(name)
        headers = {"cache-control": _CACHE_CONTROL if is_ours else "no-store"}
        content = _content(name)
        if "gzip" in request.headers.get("accept-encoding", ""):
            content = _compressed(name)
            headers |= {"content-encoding": "gzip", "vary": "Accept-Encoding"}
        return Response(content, media_type=_MEDIA_TYPES[name], headers=headers)

    return [Route("/static/{name}", endpoint)]


@cache
def _content(name: str) -> bytes:
    return files("service.console").joinpath("static", name).read_bytes()


@cache
def _compressed(name: str) -> bytes:
    """Compressed once, and better than is worth it for a page."""
    return gzip.compress(_content(name), 9, mtime=0)


@cache
def _version(name: str) -> str:
    return hashlib.sha256(_content(name)).hexdigest()[:12]
