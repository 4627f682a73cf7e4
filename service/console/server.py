"""The console's web server: uvicorn, for a few people."""

import socket
from collections.abc import Callable

import structlog
from starlette.types import ASGIApp

from service.logs import Event
from service.process.gc_tuning import tune_gc
from service.process.sockets import GracefulServer, listen, server_config

log = structlog.get_logger()

# At a stop, requests in progress are finished.
GRACE_S = 10

# Beyond that, requests get 503: a page costs a few milliseconds, and the console has few readers.
_CONCURRENCY_MAX = 200

REDIS_PASSES = 4
"""What a page reads at once it asks for from tasks inside tasks: so many passes of the event loop until all did."""


class ConsoleServer(GracefulServer):
    """Serves the console on one port until SIGTERM or SIGINT. It binds the port at once; ConfigError when it cannot."""

    def __init__(
        self, app: ASGIApp, host: str, port: int, *, url: str, on_start: Callable[[], None] | None = None
    ) -> None:
        """``url`` is where people reach it. ``on_start`` is called once it accepts connections."""
        self._socket = listen(host, port)
        self.host, self.port = host, int(self._socket.getsockname()[1])
        self._url = url
        self._on_start = on_start
        super().__init__(server_config(app, limit_concurrency=_CONCURRENCY_MAX, timeout_graceful_shutdown=GRACE_S))

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start the app, accept connections, and log that."""
        await super().startup([self._socket])
        if self.started:
            log.info(Event.CONSOLE_STARTED, host=self.host, port=self.port, url=self._url)
            if self._on_start is not None:
                self._on_start()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Finish the requests in progress, stop the app, and log that."""
        await super().shutdown([self._socket])
        log.info(Event.CONSOLE_STOPPED)


def serve(server: ConsoleServer) -> None:
    """Serve until SIGTERM or SIGINT."""
    tune_gc()
    server.run()
