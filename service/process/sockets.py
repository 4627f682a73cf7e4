"""What the web servers of this product have in common: how a port is taken, and what a signal does."""

import asyncio
import errno
import signal
import socket
from collections.abc import Iterator
from contextlib import contextmanager

import uvicorn

from service.errors import ConfigError, Problem

# Connections that may wait to be taken; the system may allow fewer.
BACKLOG = 4096


class GracefulServer(uvicorn.Server):
    """A uvicorn that ends in order on SIGTERM and SIGINT, so that its process can exit 0."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """End in order on SIGTERM and SIGINT."""
        # uvicorn's own would raise the signal once more at the end.
        loop = asyncio.get_running_loop()
        signals = (signal.SIGTERM, signal.SIGINT)
        for number in signals:
            loop.add_signal_handler(number, self.handle_exit, number, None)
        try:
            yield
        finally:
            for number in signals:
                loop.remove_signal_handler(number)


def listen(host: str, port: int) -> socket.socket:
    """A socket that listens there; port 0 takes any free one. Raises ConfigError when it cannot be had."""
    if host == "::" and not socket.has_dualstack_ipv6():
        host = "0.0.0.0"  # noqa: S104 - "::" means every address, and this machine has no IPv6
    is_ipv6 = ":" in host
    try:
        return socket.create_server(
            (host, port),
            family=socket.AF_INET6 if is_ipv6 else socket.AF_INET,
            backlog=BACKLOG,
            dualstack_ipv6=host == "::",
        )
    except OSError as error:
        raise ConfigError(_why_not(error, host, port)) from None


def _why_not(error: OSError, host: str, port: int) -> Problem:
    place = f"{host}:{port}"
    match error.errno:
        case errno.EADDRINUSE:
            return Problem(place, "another program listens on this port.", "Stop it, or choose another with --port.")
        case errno.EACCES:
            return Problem(place, "this port is for the system only.", "Choose one from 1024 on with --port.")
        case _:
            return Problem(place, f"cannot listen there: {error}.", "Look at --host and --port.")
