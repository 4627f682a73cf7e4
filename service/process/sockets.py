"""What all web servers of this product share: binding a port, file descriptors, and a graceful stop on a signal."""

import asyncio
import contextlib
import errno
import ipaddress
import resource
import signal
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import structlog
import uvicorn
from starlette.types import ASGIApp

from service.errors import ConfigError, Problem
from service.logs import Event

# Connections that may wait to be accepted. The system may allow fewer: net.core.somaxconn is 4096 since Linux 5.4.
BACKLOG = 4096


log = structlog.get_logger()

# Between two looks at whether the last answer is sent.
_STOP_POLL_S = 0.005


class PromptServer(uvicorn.Server):
    """A uvicorn server that stops as soon as its last answer is sent. By itself, uvicorn waits a tenth of a second."""

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Accept nothing more, finish the requests in progress, and stop the app.

        What is not finished after ``timeout_graceful_shutdown`` is cancelled; with ``force_exit``, nothing is awaited.
        """
        for server in self.servers:
            server.close()
        for listener in sockets or []:
            listener.close()
        state = self.server_state
        for connection in list(state.connections):
            connection.shutdown()
        await asyncio.sleep(0)  # connections without a request are closed now
        try:
            async with asyncio.timeout(self.config.timeout_graceful_shutdown):
                while (state.connections or state.tasks) and not self.force_exit:  # noqa: ASYNC110 - uvicorn's sets
                    await asyncio.sleep(_STOP_POLL_S)
                for server in self.servers:
                    await server.wait_closed()
        except TimeoutError:
            log.warning(Event.REQUESTS_CANCELLED, requests=len(state.tasks))
            for task in state.tasks:
                task.cancel()
        if not self.force_exit:
            await self.lifespan.shutdown()


class GracefulServer(PromptServer):
    """Stops gracefully on SIGTERM and SIGINT, so that its process can exit 0."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Stop gracefully on SIGTERM and SIGINT."""
        # uvicorn's own version raises the signal again at the end.
        loop = asyncio.get_running_loop()
        signals = (signal.SIGTERM, signal.SIGINT)
        for number in signals:
            loop.add_signal_handler(number, self.handle_exit, number, None)
        try:
            yield
        finally:
            for number in signals:
                loop.remove_signal_handler(number)


def server_config(app: ASGIApp, **options: Any) -> uvicorn.Config:
    """What all web servers of this product have in common. ``options`` are those of uvicorn, and come on top."""
    common: dict[str, Any] = {
        "loop": "uvloop",
        "http": "httptools",
        "ws": "none",
        "lifespan": "on",
        "log_config": None,
        "log_level": "warning",
        "access_log": False,
        "server_header": False,
        "proxy_headers": False,
    }
    return uvicorn.Config(app, **common | options)


def listen(host: str, port: int) -> socket.socket:
    """A socket that listens on ``host`` and ``port``. Port 0 is any free port; ``::`` is all of IPv6 and IPv4.

    Raises ConfigError when the port cannot be bound.
    """
    host = host.removeprefix("[").removesuffix("]")
    if host == "::" and not socket.has_dualstack_ipv6():
        host = "0.0.0.0"  # noqa: S104 - "::" means every address, and this machine has no IPv6
    is_ipv6 = ":" in host
    try:
        return socket.create_server(
            (host, port),
            family=socket.AF_INET6 if is_ipv6 else socket.AF_INET,
            backlog=BACKLOG,
            dualstack_ipv6=is_ipv6 and _is_unspecified(host) and socket.has_dualstack_ipv6(),
        )
    except OSError as error:
        raise ConfigError(_why_not(error, host, port)) from None


def _is_unspecified(host: str) -> bool:
    """Whether the host means all addresses: ``::``, also in its long forms."""
    try:
        return ipaddress.ip_address(host).is_unspecified
    except ValueError:
        return False


def raise_descriptor_limit() -> int:
    """Raise this process's soft limit of file descriptors to the hard one. Returns how many it may have then.

    The usual soft limit of 1,024 is fewer than the connections that a receiver holds in a burst.
    """
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with contextlib.suppress(OSError, ValueError):  # macOS refuses an infinite limit
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return soft if soft != resource.RLIM_INFINITY else 2**31


def _why_not(error: OSError, host: str, port: int) -> Problem:
    place = f"{host}:{port}"
    match error.errno:
        case errno.EADDRINUSE:
            return Problem(place, "another program listens on this port.", "Stop it, or choose another with --port.")
        case errno.EACCES:
            return Problem(place, "only root may use this port.", "Choose one from 1024 on with --port.")
        case _:
            return Problem(place, f"cannot listen there: {error}.", "Check --host and --port.")
