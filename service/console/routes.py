"""How a page or an action is declared: its path, the role that it needs, and what it does.

``Page`` makes the routes of a page and of its ``.json`` and ``.csv``; ``Action`` makes the route of a write. Both ask
``authorize`` before anything else, with the role that they declare and the store that their path names.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

import structlog
from redis.asyncio import Redis
from starlette.convertors import Convertor, register_url_convertor
from starlette.datastructures import FormData
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from service import audit
from service.configuration import Configuration, ConfiguredStore
from service.configuration.reloading import LiveConfiguration
from service.console import rendering
from service.console.address import ConsoleAddress
from service.console.people.access import Person, Role, authorize
from service.console.people.proxy_sign_in import SignInProxy
from service.console.people.sessions import Sessions
from service.console.rules.editor import RulesEditor
from service.console.runs.runs import Runs
from service.console.runs.upstream import Upstream
from service.csv_tables import Cell
from service.errors import EnrichError
from service.gauges import Gauges
from service.logs import Event

log = structlog.get_logger()

# A form is small, and comes at once.
_FORM_TIMEOUT_S = 10.0
_FORM_FIELDS_MAX = 1000


class _StoreConvertor(Convertor[str]):
    """A store hash in a path."""

    regex = "[a-z0-9]+"

    def convert(self, value: str) -> str:
        return value

    def to_string(self, value: str) -> str:
        return value


register_url_convertor("store", _StoreConvertor())


class _IdConvertor(Convertor[str]):
    """The id of a group of orders, or of a job."""

    regex = "[0-9a-f]{16}"

    def convert(self, value: str) -> str:
        return value

    def to_string(self, value: str) -> str:
        return value


register_url_convertor("id", _IdConvertor())


class NotFoundError(EnrichError):
    """There is no such thing as the page is about. The message is for the person."""


class InvalidRequest(EnrichError):
    """What the person asked for cannot be understood. The message names what, and the cure."""


@dataclass(frozen=True, slots=True)
class Console:
    """What all pages share. Redis's timeouts are those of ``service.redis.client``."""

    redis: Redis
    live: LiveConfiguration
    address: ConsoleAddress
    proxy: SignInProxy | None
    sessions: Sessions
    rules: RulesEditor
    upstream: Upstream
    runs: Runs
    gauges: Gauges

    @property
    def configuration(self) -> Configuration:
        """The stores file in force."""
        return self.live.current

    async def person(self, request: Request) -> Person | None:
        """Who sends the request: whom the sign-in proxy names, else who has the session of its cookie.

        Raises ForgedIdentity and NotListed.
        """
        if self.proxy and (named := self.proxy.identify(request.headers, self.configuration.people)):
            return named
        secret = request.cookies.get(self.address.cookie_name)
        return await self.sessions.find(secret) if secret else None


@dataclass(frozen=True, slots=True)
class Visit:
    """One request of a person who may make it."""

    request: Request
    console: Console
    person: Person

    @property
    def redis(self) -> Redis:
        return self.console.redis

    @property
    def stores(self) -> list[str]:
        """The hashes of the stores that the person may see, in the order of the stores file."""
        return self.person.stores_of(self.console.configuration.stores)

    def may(self, needs: Role) -> bool:
        """Whether to show what needs this role. The action itself asks ``authorize``."""
        return self.person.role.includes(needs)

    def store(self, store: str) -> ConfiguredStore:
        """A store that the request names elsewhere than in its path. Raises AccessDenied."""
        configured = self.console.configuration.stores
        authorize(self.person, Role.VIEWER, configured=configured, store=store)
        return configured[store]

    def store_name(self, store: str) -> str:
        """The store's name, else its hash."""
        return self.console.configuration.stores[store].store.name or store

    def path(self, path: str) -> str:
        """The path of another page of the console."""
        return self.console.address.path(path)

    async def form(self) -> FormData:
        """The fields of a form. Raises InvalidRequest when they do not come in time."""
        try:
            async with asyncio.timeout(_FORM_TIMEOUT_S):
                return await self.request.form(max_files=0, max_fields=_FORM_FIELDS_MAX)
        except TimeoutError:
            raise InvalidRequest("The form did not arrive in time. Send it again.") from None

    def back(self, path: str, message: str = "") -> Response:
        """After a write: to the page at ``path``, which a reload does not write again.

        ``message`` names one of the sentences in ``templates/messages.html``.
        """
        query = f"?done={message}" if message else ""
        return RedirectResponse(self.path(path) + query, 303)

    def log_action(
        self, action: audit.ActionName, store: str | None = None, orders: Sequence[int] = (), detail: str = ""
    ) -> None:
        """Log a write of this person: one line for each."""
        log.info(
            Event.CONSOLE_ACTION,
            who=self.person.who,
            role=self.person.role.value,
            action=action.value,
            store=store,
            orders=list(orders[: audit.MAX_ORDERS_LOGGED]),
            orders_count=len(orders),
            detail=detail,
        )

    async def record(self, action: audit.Action) -> None:
        """Record on the orders what this person did, and log it. Errors are Redis's own."""
        self.log_action(audit.ActionName(action.action), action.store, action.orders, action.detail)
        await audit.record_on_orders(self.redis, action)

    async def record_action(
        self, action: audit.ActionName, store: str | None = None, orders: Sequence[int] = (), detail: str = ""
    ) -> None:
        """As ``record``, for what has just been done."""
        await self.record(audit.Action(self.person.who, action, store, orders, detail))


T = TypeVar("T")
Load = Callable[[Visit], Awaitable[T]]
Table = tuple[Sequence[str], Iterable[Sequence[Cell]]]
"""Column titles and rows."""


@dataclass(frozen=True, slots=True)
class Page(Generic[T]):
    """A page that shows what ``load`` finds: as HTML by its template, which knows it as ``page``, and as JSON.

    With ``as_table`` also as CSV. ``load_shown`` finds what the template shows, where that is less than the rest.
    """

    path: str
    template: str
    load: Load[T]
    as_json: Callable[[T], Any]
    as_table: Callable[[T], Table] | None = None
    needs: Role = Role.VIEWER
    load_shown: Load[T] | None = None

    def routes(self, console: Console) -> list[Route]:
        """The routes of the page and of its other formats; those come first, for ``/orders.json`` is no store."""
        formats = [self._route(console, ".csv", self.load, self._csv)] if self.as_table else []
        return [
            *formats,
            self._route(console, ".json", self.load, self._json),
            self._route(console, "", self.load_shown or self.load, self._html),
        ]

    def _route(self, console: Console, suffix: str, load: Load[T], answer: Callable[[Visit, T], Response]) -> Route:
        async def endpoint(request: Request) -> Response:
            visit = await open_visit(console, request, self.needs)
            return answer(visit, await load(visit))

        return declared(Route(self.path + suffix, endpoint), self.needs)

    def _html(self, visit: Visit, found: T) -> Response:
        return render(visit, self.template, {"page": found})

    def _json(self, _: Visit, found: T) -> Response:
        return rendering.to_json(self.as_json(found))

    def _csv(self, _: Visit, found: T) -> Response:
        assert self.as_table
        columns, rows = self.as_table(found)
        return rendering.to_csv(columns, rows, self.path.strip("/").partition("/")[0] or "stores")


@dataclass(frozen=True, slots=True)
class Action:
    """A write: a POST that needs at least an operator. ``run`` logs it by ``Visit.record_action`` and leads back."""

    path: str
    run: Callable[[Visit], Awaitable[Response]]
    needs: Role = Role.OPERATOR

    def routes(self, console: Console) -> list[Route]:
        """The route of the action."""

        async def endpoint(request: Request) -> Response:
            return await self.run(await open_visit(console, request, self.needs))

        return [declared(Route(self.path, endpoint, methods=["POST"]), self.needs)]


def render(visit: Visit, template: str, context: Mapping[str, Any], status: int = 200) -> Response:
    """A page for a person who is signed in."""
    return rendering.html(visit.request.app.state.templates, template, {"visit": visit, **context}, status)


async def open_visit(console: Console, request: Request, needs: Role) -> Visit:
    """The visit of whoever sends the request, if they have this role for its store. Raises AccessDenied."""
    person = authorize(
        await console.person(request),
        needs,
        configured=console.configuration.stores,
        store=request.path_params.get("store"),
    )
    return Visit(request, console, person)


def declared(route: Route, needs: Role) -> Route:
    """Note on the route what it needs, so that a walk over all routes can tell."""
    route.needs = needs  # type: ignore[attr-defined]
    return route
