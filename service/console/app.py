"""The console's web application: its routes, and the resources of its lifespan."""

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any

from redis.asyncio import Redis
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.gzip import GZipMiddleware
from starlette.requests import Request
from starlette.responses import PlainTextResponse, RedirectResponse, Response
from starlette.routing import BaseRoute, Mount, Route

from service.configuration.reloading import LiveConfiguration
from service.console import rendering, static_files
from service.console.address import ConsoleAddress
from service.console.error_pages import ErrorPages
from service.console.guard import HEALTH_PATH, Guard
from service.console.image_hosts import ImageHosts
from service.console.pages import buyer, failures, orders, overview, retries, rules, sign_in
from service.console.pages.order import actions as order_actions
from service.console.pages.order import page as order
from service.console.pages.order import reads as order_reads
from service.console.pages.store import actions as store_actions
from service.console.pages.store import check as store_check
from service.console.pages.store import page as store
from service.console.pages.store import webhooks as store_webhooks
from service.console.people.proxy_sign_in import SignInProxy
from service.console.people.sessions import Sessions
from service.console.routes import Action, Console, Page
from service.console.rules.editor import RulesEditor
from service.console.runs.run_page import RunPage
from service.console.runs.runs import Runs
from service.console.runs.upstream import Upstream
from service.console.store_apis import StoreApis
from service.gauges import Gauges
from service.orders.failures.retry_runner import RetryRunner
from service.process.web_loops import BackgroundTask, running_loops
from service.rules.limited import LimitedEvaluator

PAGES: Sequence[Page[Any] | RunPage[Any] | Action] = (
    overview.PAGE,
    store.PAGE,
    orders.PAGE,
    order.PAGE,
    retries.PAGE,
    *retries.ACTIONS,
    *failures.PAGES,
    *failures.ACTIONS,
    rules.PAGE,
    *rules.ACTIONS,
    *order_actions.ACTIONS,
    *order_reads.PAGES,
    *store_actions.ACTIONS,
    *store_actions.PAGES,
    *store_webhooks.PAGES,
    store_check.PAGE,
    buyer.PAGE,
)
"""All pages and actions. A new one is added here and nowhere else."""

# Smaller answers are not worth it.
_GZIP_FROM_BYTES = 1000
_GZIP_LEVEL = 5


def create_app(
    redis: Redis,
    live: LiveConfiguration,
    address: ConsoleAddress,
    proxy: SignInProxy | None = None,
    *,
    background_tasks: Mapping[str, BackgroundTask | None] | None = None,
    upstream: Upstream | None = None,
    evaluator: LimitedEvaluator | None = None,
) -> Starlette:
    """The console for these stores, at this address. Redis may be unavailable: pages say so until it answers.

    ``background_tasks`` run meanwhile, by name: one keeps ``live`` up to date. ``upstream`` makes the calls to
    BigCommerce, ``evaluator`` is for rules that are being edited.
    """
    upstream = upstream or Upstream(redis)
    editor = RulesEditor(live, StoreApis(live, upstream), redis, evaluator)
    console = Console(redis, live, address, proxy, Sessions(redis), editor, upstream, Runs(), Gauges(redis))
    images = ImageHosts.of(live.current.endpoints)
    templates = rendering.environment(
        images, address=address, static=lambda name: address.path(static_files.path_of(name))
    )
    errors = ErrorPages(console, templates)

    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        async with running_loops({"retries": RetryRunner(redis).run, **(background_tasks or {})}):
            yield
        await console.runs.close()
        await editor.close()
        await upstream.close()
        await errors.close()

    app = Starlette(
        routes=_routes(console),
        middleware=[
            Middleware(Guard, address=address, on_bug=errors.bug, images=images),
            Middleware(GZipMiddleware, minimum_size=_GZIP_FROM_BYTES, compresslevel=_GZIP_LEVEL),
        ],
        exception_handlers=errors.handlers,
        lifespan=lifespan,
    )
    app.router.redirect_slashes = False
    app.state.templates = templates
    app.state.rules = editor
    return app


def _routes(console: Console) -> list[BaseRoute]:
    inner: list[BaseRoute] = [route for page in PAGES for route in page.routes(console)]
    inner += [*sign_in.routes(console), *static_files.routes(console), Route(HEALTH_PATH, _healthz)]
    prefix = console.address.prefix
    if not prefix:
        return inner

    async def to_overview(_: Request) -> Response:
        return RedirectResponse(console.address.path("/"), 307)

    return [Route(HEALTH_PATH, _healthz), Route(prefix, to_overview), Mount(prefix, routes=inner)]


async def _healthz(_: Request) -> Response:
    """Liveness: 200 as long as the process answers."""
    return PlainTextResponse("ok\n")
