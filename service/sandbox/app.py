"""The sandbox's ASGI application and its server."""

import asyncio
import socket
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from email.utils import formatdate

import structlog
import uvicorn
from starlette.applications import Starlette
from starlette.datastructures import MutableHeaders
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from service import logs
from service.process.sockets import GracefulServer, PromptServer, listen
from service.sandbox.apis import (
    b2b_orders,
    b2b_people,
    b2b_quotes,
    b2b_users,
    core_hooks,
    core_metafields,
    core_order_writes,
    core_v2,
    core_v3,
    product_pictures,
)
from service.sandbox.apis.storefront import buyer_orders, order_creation, tokens
from service.sandbox.control_api import Control, refused
from service.sandbox.demo import DEMO_STORE_HASH, seed_demo_store
from service.sandbox.gateway import Gateway
from service.sandbox.options import Options
from service.sandbox.state import Sandbox
from service.sandbox.storefront import Storefront
from service.sandbox.webhooks import Webhooks

# Long, because a connection that the server closes just when a client reuses it would look like a fault.
KEEP_ALIVE_S = 75
STOP_TIMEOUT_S = 1

log = structlog.get_logger()


class DateHeader:
    """Middleware that sets the ``Date`` header of every response to the platform's own time."""

    def __init__(self, app: ASGIApp, sandbox: Sandbox) -> None:
        self._app = app
        self._sandbox = sandbox

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def send_with_date(message: Message) -> None:
            if message["type"] == "http.response.start":
                now = self._sandbox.shown(self._sandbox.now())
                MutableHeaders(scope=message)["Date"] = formatdate(int(now), usegmt=True)
            await send(message)

        await self._app(scope, receive, send_with_date if scope["type"] == "http" else send)


def create_app(options: Options | None = None, clock: Callable[[], float] = time.time) -> Starlette:
    """Create a new sandbox: BigCommerce's three APIs and, under ``/sandbox``, its control API."""
    sandbox = Sandbox(options or Options(), clock)
    webhooks = Webhooks(sandbox)
    storefront = Storefront(sandbox, webhooks)
    gateway = Gateway(sandbox)
    apis = [
        *core_v2.routes(gateway),
        *core_order_writes.routes(gateway, storefront),
        *core_v3.routes(gateway),
        *core_metafields.routes(gateway, storefront),
        *core_hooks.routes(gateway, webhooks),
        *b2b_orders.routes(gateway),
        *b2b_people.routes(gateway),
        *b2b_users.routes(gateway),
        *b2b_quotes.routes(gateway),
        *tokens.routes(gateway),
        *buyer_orders.routes(gateway),
        *order_creation.routes(gateway),
        *product_pictures.routes(),
    ]
    control = Control(sandbox, storefront, gateway.operations)
    if sandbox.options.demo_store:
        seed_demo_store(sandbox)

    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        async with webhooks.running():
            yield

    return Starlette(
        routes=[*apis, *control.routes()],
        middleware=[Middleware(DateHeader, sandbox=sandbox)],
        exception_handlers={HTTPException: refused},
        lifespan=lifespan,
    )


async def serve(options: Options, host: str, port: int) -> None:
    """Serve until SIGTERM or SIGINT. Port 0: any free port. Raises ConfigError when the port is not available."""
    with listen(host, port) as listener:
        url = f"http://{f'[{host}]' if ':' in host else host}:{listener.getsockname()[1]}"
        log.info(logs.Event.SANDBOX_STARTED, url=url, store=DEMO_STORE_HASH if options.demo_store else None)
        await GracefulServer(_config(create_app(options))).serve(sockets=[listener])


@asynccontextmanager
async def running(app: Starlette, listener: socket.socket) -> AsyncIterator[None]:
    """Serve on a bound socket inside this event loop, within the context. Installs no signal handlers."""
    listener.listen()  # from here on connections wait for the server instead of failing
    server = _EmbeddedServer(_config(app))
    serving = asyncio.create_task(server.serve(sockets=[listener]))
    try:
        yield
    finally:
        server.stop()
        await serving


class _EmbeddedServer(PromptServer):
    """A server that installs no signal handlers, for use inside another process, and stops at once."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self._stopping = asyncio.Event()

    def stop(self) -> None:
        self.should_exit = True
        self._stopping.set()

    async def main_loop(self) -> None:
        await self._stopping.wait()  # uvicorn's own loop looks for the end ten times a second

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


def _config(app: Starlette) -> uvicorn.Config:
    return uvicorn.Config(
        app,
        lifespan="on",
        ws="none",
        log_config=None,
        access_log=False,
        date_header=False,
        server_header=False,
        timeout_keep_alive=KEEP_ALIVE_S,
        timeout_graceful_shutdown=STOP_TIMEOUT_S,
    )
