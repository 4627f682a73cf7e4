"""How many connections the receiver holds: a limit, room for health checks beyond it, and an acceptor that can wait.

uvloop's own acceptor takes whatever comes. When the process has no file descriptor left, it resets connections without
an answer and without a log line. Ours accepts only what can be answered; the rest waits in the kernel's backlog.
"""

import asyncio
import contextlib
import errno
import socket
import time
from collections.abc import Callable, Iterator

import structlog

from service.logs import Event

log = structlog.get_logger()

# A burst of webhooks waits for Redis rather than being refused. At most 4096 bodies and heads are some hundred MB.
CONNECTIONS_MAX = 4096

# Connections over the limit that are accepted all the same: to answer a health check, or 503.
OVERFLOW = 128

# For Redis (50 connections), the stores file, secrets, logs, and the event loop itself.
DESCRIPTORS_RESERVED = 128

# While the server is full, a connection that has been without a request for this long is closed for a new one.
EVICT_IDLE_S = 1.0

# A full server looks this often whether it can accept again.
FULL_RETRY_S = 0.05

# One log line, not one for each refused connection.
LOG_INTERVAL_S = 60.0

# Connections accepted before others get their turn in the event loop.
_ACCEPT_BATCH = 64

# What accept() says when descriptors or memory are short. Linux: accept(2)
_SHORTAGES = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM})


class Connection(asyncio.Protocol):
    """What a connection can be asked to do here."""

    over_limit = False

    def evict(self) -> None:
        """Close at once. Only idle connections are evicted, so no request is lost."""
        raise NotImplementedError

    def shutdown(self) -> None:
        """Close when the request in progress is answered."""
        raise NotImplementedError


def connection_limit(descriptors: int) -> int:
    """How many connections a process with so many file descriptors may hold, not counting the overflow."""
    return max(1, min(CONNECTIONS_MAX, descriptors - DESCRIPTORS_RESERVED - OVERFLOW))


class Connections:
    """All open connections, and which of them are idle."""

    def __init__(self, descriptors: int) -> None:
        self.descriptors = descriptors
        self.limit = connection_limit(descriptors)
        self._open: set[Connection] = set()
        # Since when each has been without a complete request head; the longest idle one comes first.
        self._awaiting_request: dict[Connection, float] = {}
        self._keep_alive: dict[Connection, float] = {}
        self._logged_at = float("-inf")

    def __len__(self) -> int:
        return len(self._open)

    def add(self, connection: Connection) -> None:
        """Count a connection that was just accepted, and say on it whether it is over the limit."""
        self._open.add(connection)
        connection.over_limit = len(self._open) > self.limit
        if connection.over_limit:
            self.report_shortage()

    def discard(self, connection: Connection) -> None:
        """Forget a connection that is closed."""
        self._open.discard(connection)
        self.busy(connection)

    def awaits_request(self, connection: Connection) -> None:
        """No complete head has come on it yet: it is the first to be closed when room is needed."""
        self._awaiting_request[connection] = time.monotonic()

    def keeps_alive(self, connection: Connection) -> None:
        """Its last request is answered: a proxy may keep it for the next one."""
        self._keep_alive[connection] = time.monotonic()

    def busy(self, connection: Connection) -> None:
        """A request is in progress on it: it is not evicted."""
        self._awaiting_request.pop(connection, None)
        self._keep_alive.pop(connection, None)

    def has_room(self) -> bool:
        """Whether one more may be accepted. At the limit an idle connection is closed for it, if there is one."""
        if len(self._open) >= self.limit:
            self._evict()
        return len(self._open) < self.limit + OVERFLOW

    def _evict(self) -> None:
        for idle in (self._awaiting_request, self._keep_alive):
            oldest = next(iter(idle.items()), None)
            if oldest and time.monotonic() - oldest[1] >= EVICT_IDLE_S:
                self.discard(oldest[0])
                oldest[0].evict()
                return

    def report_shortage(self) -> None:
        """Log, at most once a minute, that connections are answered 503 or have to wait."""
        now = time.monotonic()
        if now - self._logged_at >= LOG_INTERVAL_S:
            self._logged_at = now
            log.warning(Event.CONNECTIONS_EXHAUSTED, limit=self.limit, descriptors=self.descriptors)


class Acceptor:
    """Accepts connections as long as there is room. It stands in for an ``asyncio.Server`` in uvicorn's list."""

    def __init__(
        self, listener: socket.socket, connections: Connections, create_protocol: Callable[[], Connection]
    ) -> None:
        self.sockets: tuple[socket.socket, ...] = (listener,)
        self._loop = asyncio.get_running_loop()
        self._connections = connections
        self._create_protocol = create_protocol
        self._connecting: set[asyncio.Task[None]] = set()
        self._retry: asyncio.TimerHandle | None = None
        listener.setblocking(False)
        self._resume()

    def close(self) -> None:
        """Accept nothing more. Open connections stay."""
        for listener in self.sockets:
            self._loop.remove_reader(listener)
        self.sockets = ()
        if self._retry:
            self._retry.cancel()

    async def wait_closed(self) -> None:
        """Wait for connections that were just being accepted."""
        if self._connecting:
            await asyncio.wait(self._connecting)

    def _resume(self) -> None:
        for listener in self.sockets:
            self._loop.add_reader(listener, self._accept, listener)

    def _pause(self, listener: socket.socket) -> None:
        self._loop.remove_reader(listener)
        self._retry = self._loop.call_later(FULL_RETRY_S, self._resume)

    def _accept(self, listener: socket.socket) -> None:
        for accepted in self._waiting(listener):
            protocol = self._create_protocol()
            self._connections.add(protocol)
            task = self._loop.create_task(self._connect(accepted, protocol))
            self._connecting.add(task)
            task.add_done_callback(self._connecting.discard)

    def _waiting(self, listener: socket.socket) -> Iterator[socket.socket]:
        for _ in range(_ACCEPT_BATCH):
            if not self._connections.has_room():
                self._connections.report_shortage()
                self._pause(listener)
                return
            try:
                accepted, _address = listener.accept()
            except (BlockingIOError, InterruptedError, ConnectionAbortedError):
                return
            except OSError as error:
                # Others are network errors of the connection that was to be accepted.
                if error.errno in _SHORTAGES:
                    self._connections.report_shortage()
                self._pause(listener)
                return
            yield accepted

    async def _connect(self, accepted: socket.socket, protocol: Connection) -> None:
        accepted.setblocking(False)
        with contextlib.suppress(OSError):  # not TCP
            accepted.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        try:
            await self._loop.connect_accepted_socket(lambda: protocol, accepted)
        except OSError:
            self._connections.discard(protocol)
            accepted.close()
        if not self.sockets:
            protocol.shutdown()
