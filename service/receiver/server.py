"""The web server: uvicorn, set up for short requests that must not get lost."""

import socket

import structlog
import uvicorn
from starlette.types import ASGIApp

from service.logs import Event
from service.process.gc_tuning import freeze_gc
from service.process.sockets import BACKLOG, GracefulServer, listen

log = structlog.get_logger()

# Longer than load balancers and proxies keep an idle connection to us (60 s is usual), so that it is they who close
# it: one that we close just as they send the next webhook over it is an answer that never comes.
_KEEP_ALIVE_S = 75

# At a stop, what is in hand is finished: a body may take ten seconds, Redis two.
GRACE_S = 15

# A burst of webhooks waits for Redis rather than being turned away; this many are some hundred MB at the very worst.
_CONNECTIONS = 4096


class Server(GracefulServer):
    """Serves one app on one port until SIGTERM or SIGINT, or until ``should_exit`` is set.

    The port is taken at once; ConfigError when it cannot be had. Port 0 takes a free one, ``port`` tells which.
    """

    def __init__(self, app: ASGIApp, host: str, port: int) -> None:
        self._socket = listen(host, port)
        self.host, self.port = host, int(self._socket.getsockname()[1])
        super().__init__(
            uvicorn.Config(
                app,
                loop="uvloop",
                http="httptools",
                ws="none",
                lifespan="on",
                log_config=None,
                log_level="warning",
                access_log=False,
                server_header=False,
                proxy_headers=False,
                limit_concurrency=_CONNECTIONS,
                backlog=BACKLOG,
                timeout_keep_alive=_KEEP_ALIVE_S,
                timeout_graceful_shutdown=GRACE_S,
            )
        )

    async def serve(self, sockets: list[socket.socket] | None = None) -> None:
        """Serve in the running loop; returns when all that was in hand is answered."""
        with self._socket:
            await super().serve([self._socket])

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Open the port, and say so."""
        await super().startup(sockets)
        log.info(Event.RECEIVER_STARTED, host=self.host, port=self.port)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Finish what is in hand, and say so."""
        await super().shutdown(sockets)
        log.info(Event.RECEIVER_STOPPED)


def serve(app: ASGIApp, host: str, port: int) -> None:
    """Serve until SIGTERM or SIGINT. Raises ConfigError when the port cannot be had."""
    server = Server(app, host, port)
    freeze_gc()
    server.run()
