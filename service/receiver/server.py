"""The web server: uvicorn, set up for short requests that must not get lost."""

import asyncio
import socket
from functools import partial
from typing import cast

import structlog
from starlette.types import ASGIApp

from service.logs import Event
from service.process.gc_tuning import tune_gc
from service.process.sockets import GracefulServer, listen, raise_descriptor_limit, server_config
from service.receiver.connections import Acceptor, Connections
from service.receiver.http_protocol import HTTPProtocol

log = structlog.get_logger()

# At a stop, requests in progress are finished: a body may take ten seconds, Redis two.
GRACE_S = 15


class Server(GracefulServer):
    """Serves one app on one port until SIGTERM or SIGINT, or until ``should_exit`` is set.

    It binds the port at once. Raises ConfigError when that fails. Port 0 is any free port; ``port`` says which.
    """

    def __init__(self, app: ASGIApp, host: str, port: int) -> None:
        self._socket = listen(host, port)
        self.host, self.port = host, int(self._socket.getsockname()[1])
        self._connections = Connections(raise_descriptor_limit())
        super().__init__(server_config(app, timeout_graceful_shutdown=GRACE_S))

    async def serve(self, sockets: list[socket.socket] | None = None) -> None:
        """Serve in the running loop. Returns when all requests in progress are answered."""
        with self._socket:
            await super().serve([])

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start the app, accept connections, and log that."""
        await super().startup(sockets)
        if self.started:
            # uvicorn closes what is in this list, and waits for it.
            self.servers = cast("list[asyncio.Server]", [self._acceptor()])
        log.info(Event.RECEIVER_STARTED, host=self.host, port=self.port)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Finish the requests in progress, stop the app, and log that."""
        await super().shutdown([self._socket])
        log.info(Event.RECEIVER_STOPPED)

    def _acceptor(self) -> Acceptor:
        create = partial(
            HTTPProtocol,
            self.config,
            self.server_state,
            self.lifespan.state,
            asyncio.get_running_loop(),
            connections=self._connections,
        )
        return Acceptor(self._socket, self._connections, create)


def serve(app: ASGIApp, host: str, port: int) -> None:
    """Serve until SIGTERM or SIGINT. Raises ConfigError when the port cannot be bound."""
    server = Server(app, host, port)
    tune_gc()
    server.run()
