"""How a page is declared that shows a run: GET shows its state, POST starts it."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Generic, TypeVar

from starlette.responses import Response
from starlette.routing import Route

from service.console import rendering
from service.console.people.access import Role
from service.console.routes import Console, Visit, declared, open_visit, render
from service.console.runs.runs import Run, RunKey, Work

T = TypeVar("T")


async def _nothing(_: Visit) -> Mapping[str, Any]:
    return {}


@dataclass(frozen=True, slots=True)
class RunPage(Generic[T]):
    """A page that starts something by POST and shows what came of it, to the person who started it.

    ``begin`` reads the form, logs what is to be logged, and returns the work; it is not called while the person's run
    is in progress. The template knows the ``run`` (None: there is none), and what ``context`` reads for it.
    ``as_json`` gives the result for scripts. ``is_write``: it changes something, so it needs at least an operator.
    """

    path: str
    template: str
    begin: Callable[[Visit], Awaitable[Work]]
    as_json: Callable[[T], Any]
    needs: Role = Role.OPERATOR
    is_write: bool = False
    context: Callable[[Visit], Awaitable[Mapping[str, Any]]] = field(default=_nothing)

    def routes(self, console: Console) -> list[Route]:
        """The routes of the page, of its JSON, and of its start."""

        def route(suffix: str, answer: Callable[[Visit, RunKey], Awaitable[Response]], method: str) -> Route:
            async def endpoint(request: Any) -> Response:
                visit = await open_visit(console, request, self.needs)
                return await answer(visit, _key(visit, suffix))

            made = declared(Route(self.path + suffix, endpoint, methods=[method]), self.needs)
            made.is_write = self.is_write and method == "POST"  # type: ignore[attr-defined]
            return made

        return [
            route(".json", self._json, "GET"),
            route("", self._html, "GET"),
            route("", self._start, "POST"),
        ]

    async def _html(self, visit: Visit, key: RunKey) -> Response:
        run = visit.console.runs.find(key)
        return render(visit, self.template, {"run": run, "path": key.path, **await self.context(visit)})

    async def _json(self, visit: Visit, key: RunKey) -> Response:
        run = visit.console.runs.find(key)
        return rendering.to_json(_as_dict(run, self.as_json))

    async def _start(self, visit: Visit, key: RunKey) -> Response:
        runs = visit.console.runs
        if not runs.is_running(key):
            runs.require_room()
            runs.start(key, await self.begin(visit))
            await runs.wait(key)
        return visit.back(key.path)


def _key(visit: Visit, suffix: str) -> RunKey:
    """The run of this page, also for its other formats."""
    path = visit.request.url.path.removeprefix(visit.console.address.prefix).removesuffix(suffix)
    person = visit.person
    return RunKey(person.session_id or f"proxy {person.who}", path)


def _as_dict(run: Run | None, as_json: Callable[[T], Any]) -> dict[str, Any]:
    if run is None:
        return {"state": "not_run"}
    if run.is_running:
        return {"state": "running", "progress": run.progress}
    if run.error:
        return {"state": "failed", "error": run.error, "ended_at": _iso(run.ended_at)}
    return {"state": "done", "ended_at": _iso(run.ended_at), "result": as_json(run.result)}


def _iso(seconds: float | None) -> str | None:
    return None if seconds is None else datetime.fromtimestamp(seconds, UTC).isoformat(timespec="seconds")
