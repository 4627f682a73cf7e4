"""The connection pool: first come, first served, directly or through Sentinels, and safe across failovers."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any
from weakref import WeakSet

from redis import exceptions
from redis.asyncio import Redis
from redis.asyncio.connection import (
    AbstractConnection,
    Connection,
    ConnectionPool,
    SSLConnection,
    UnixDomainSocketConnection,
)
from redis.asyncio.sentinel import (
    Sentinel,
    SentinelConnectionPool,
    SentinelManagedConnection,
    SentinelManagedSSLConnection,
)
from redis.connection import HiredisRespSerializer

from service.redis.errors import WRONG_SERVER_ERRORS, typed
from service.redis.url import RedisUrl

# In a burst a command waits this long for a free connection: at about 0.5 ms a command, thousands have their turn.
_POOL_WAIT_S = 2.0

_PACKER = HiredisRespSerializer()

# The end of uvloop's RuntimeError where asyncio has an OSError, the only one that redis-py expects.
_CLOSED_BY_UVLOOP = "the handler is closed"


class FairPool(ConnectionPool):
    """A pool that gives connections out first come, first served.

    redis-py's own blocking pool lets newcomers overtake waiting tasks, so in a long burst some wait for ever; and a
    task that is cancelled while it gives its connection back can remove it from the pool for good.

    An answer of ``WRONG_SERVER_ERRORS`` on one connection makes all of them stale, and so does a command without an
    answer in time. A stale connection is opened again before its next command, and so resolves the name again: after a
    failover the name leads to another server, while the old one keeps its connections. What has dropped one connection
    without a word, such as a firewall, has mostly dropped the others, and each would cost a command its whole timeout.
    Errors have the types of ``service.redis.errors``.
    """

    def __init__(self, *, max_connections: int, **kwargs: Any) -> None:
        super().__init__(max_connections=max_connections, **kwargs)
        self._free = asyncio.Semaphore(max_connections)
        self._stale = WeakSet[AbstractConnection]()

    def is_stale(self, connection: AbstractConnection | None) -> bool:
        return connection in self._stale

    def make_connection(self) -> AbstractConnection:
        connection: AbstractConnection = super().make_connection()  # type: ignore[no-untyped-call]
        # hiredis packs a command several times as fast; redis-py's asyncio half does not use it for that.
        connection.pack_command = _PACKER.pack  # type: ignore[method-assign,assignment]
        connection.send_packed_command = _sending(connection.send_packed_command)  # type: ignore[method-assign,assignment]
        # Every answer passes here: of commands, pipelines, transactions, subscriptions and the login.
        connection.read_response = self._watched(connection.read_response)  # type: ignore[method-assign,assignment]
        return connection

    def _watched(self, read_response: Callable[..., Awaitable[Any]]) -> Callable[..., Awaitable[Any]]:
        async def read(*args: Any, **options: Any) -> Any:
            try:
                return await read_response(*args, **options)
            except exceptions.TimeoutError:
                self._stale.update([*self._available_connections, *self._in_use_connections])
                raise
            except (exceptions.ResponseError, exceptions.BusyLoadingError) as error:
                named = typed(error) if isinstance(error, exceptions.ResponseError) else error
                if isinstance(named, WRONG_SERVER_ERRORS):
                    self._stale.update([*self._available_connections, *self._in_use_connections])
                raise named from None

        return read

    async def get_connection(self, command_name: Any = None, *keys: Any, **options: Any) -> AbstractConnection:
        if self._free.locked():
            try:
                async with asyncio.timeout(_POOL_WAIT_S):
                    await self._free.acquire()
            except TimeoutError:
                raise exceptions.ConnectionError("no connection became free in time") from None
        else:
            await self._free.acquire()  # at once, so it needs no timer
        connection: AbstractConnection = self.get_available_connection()  # type: ignore[no-untyped-call]
        try:
            if connection in self._stale:
                self._stale.discard(connection)
                await connection.disconnect(nowait=True)
            await self.ensure_connection(connection)
        except BaseException:
            await self.release(connection)
            raise
        return connection

    async def release(self, connection: AbstractConnection) -> None:
        try:
            await super().release(connection)
        finally:
            self._free.release()


def _sending(send: Callable[..., Awaitable[None]]) -> Callable[..., Awaitable[None]]:
    """Sends a command; a connection that was reset a moment ago gives the same error on every event loop."""

    async def sending(*args: Any, **options: Any) -> None:
        try:
            await send(*args, **options)
        except RuntimeError as error:
            if _CLOSED_BY_UVLOOP not in str(error):
                raise
            raise exceptions.ConnectionError("the connection was reset") from error

    return sending


class FairSentinelPool(FairPool, SentinelConnectionPool):
    """The same, connected to the master that the Sentinels name."""

    sentinel_manager: Sentinel

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._discovery = asyncio.Lock()

    async def get_master_address(self) -> tuple[str, int]:
        # One at a time: redis-py moves the Sentinel that answered to the front of its list, and loses others of
        # the list when two answers do so at once.
        async with self._discovery:
            address: tuple[str, int] = await super().get_master_address()  # type: ignore[no-untyped-call]
            return address

    async def disconnect(self, inuse_connections: bool = True) -> None:
        await super().disconnect(inuse_connections)
        if inuse_connections:  # the pool is being closed, so the connections to the Sentinels are closed, too
            for sentinel in self.sentinel_manager.sentinels:
                await sentinel.aclose()


def is_stale(redis: Redis, connection: AbstractConnection | None) -> bool:
    """Whether a connection that is held for long may lead to a server that is not the master anymore."""
    return isinstance(redis.connection_pool, FairPool) and redis.connection_pool.is_stale(connection)


def pool_for(url: RedisUrl, common: dict[str, Any], size: int) -> ConnectionPool:
    """A pool of at most ``size`` connections to a Redis; ``common`` goes to each connection."""
    if url.scheme == "unix":
        return FairPool(connection_class=UnixDomainSocketConnection, path=url.path, max_connections=size, **common)
    common = common | {"socket_keepalive": True}
    tls = url.tls_options if url.is_tls else {}
    if url.scheme == "redis+sentinel":
        return _sentinel_pool(url, common, tls, size)
    host, port = url.hosts[0]
    connection = SSLConnection if url.is_tls else Connection
    return FairPool(connection_class=connection, host=host, port=port, **tls, max_connections=size, **common)


def _sentinel_pool(url: RedisUrl, common: dict[str, Any], tls: dict[str, Any], size: int) -> ConnectionPool:
    login = {
        "username": url.options.get("sentinel_username"),
        "password": url.options.get("sentinel_password"),
    }
    sentinel_kwargs = {**common, **login, **tls, "db": 0, "ssl": url.is_tls}
    return FairSentinelPool(
        service_name=url.options["master"],
        sentinel_manager=Sentinel(url.hosts, sentinel_kwargs=sentinel_kwargs),  # type: ignore[no-untyped-call]
        connection_class=SentinelManagedSSLConnection if url.is_tls else SentinelManagedConnection,
        **tls,
        max_connections=size,
        **common,
    )
