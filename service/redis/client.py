"""One way to Redis, from its URL: time-outs everywhere, no hidden retries, waiting for a free connection."""

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import SplitResult, parse_qsl, unquote, urlsplit

from arq.connections import ArqRedis
from arq.jobs import Deserializer, Serializer
from redis import exceptions
from redis.asyncio.connection import (
    AbstractConnection,
    Connection,
    ConnectionPool,
    SSLConnection,
    UnixDomainSocketConnection,
)
from redis.asyncio.sentinel import (
    MasterNotFoundError,
    Sentinel,
    SentinelConnectionPool,
    SentinelManagedConnection,
    SentinelManagedSSLConnection,
)
from redis.connection import HiredisRespSerializer

from service.errors import ConfigError, Problem

# What may have passed a moment later: no connection, no answer, a failover, a Redis that loads or is full.
TRANSIENT_ERRORS: tuple[type[Exception], ...] = (
    exceptions.ConnectionError,
    exceptions.TimeoutError,
    exceptions.BusyLoadingError,
    MasterNotFoundError,
    exceptions.ReadOnlyError,
    exceptions.MasterDownError,
    exceptions.ClusterDownError,
    exceptions.OutOfMemoryError,
)

# A new connection takes some round trips (TCP, TLS, AUTH, SELECT), so it gets a little longer than a command.
_CONNECT_TIMEOUT_S = 1.0

# A burst waits this long for its turn on one of the pool's connections: at some 0.5 ms a command, room for thousands.
_POOL_WAIT_S = 2.0

# A connection that was idle for longer is tried with a PING first: the way may have been closed without a word.
_HEALTH_CHECK_S = 15

# Answers are read one after the other, so one exchange must not become so long that the first waits for the last.
_MOST_IN_ONE_EXCHANGE = 100

_PACKER = HiredisRespSerializer()

_ESCAPES = "in a password / is written %2F, ? %3F, # %23, @ %40"
_EXAMPLES = (
    "Expected redis://[user:password@]host:6379/0, rediss://…, unix:///path/to/redis.sock?db=0 "
    "or redis+sentinel://host1:26379,host2:26379/0?master=mymaster."
)


def connect(
    url: str,
    *,
    serializer: Serializer | None = None,
    deserializer: Deserializer | None = None,
    socket_timeout: float = 0.5,
    max_connections: int = 50,
) -> ArqRedis:
    """A client for the Redis at ``url``. It connects when it is first used; ``aclose()`` closes its connections.

    ``socket_timeout`` is in seconds and bounds each command. Errors are Redis's own; ``TRANSIENT_ERRORS`` lists
    those that are worth another try. Raises ConfigError when the URL cannot be used.
    """
    address = _parse(url)
    common: dict[str, Any] = {
        "db": address.db,
        "username": address.username,
        "password": address.password,
        "socket_timeout": socket_timeout,
        "socket_connect_timeout": max(socket_timeout, _CONNECT_TIMEOUT_S),
        "health_check_interval": _HEALTH_CHECK_S,
        "lib_name": None,  # saves a new connection two commands that older servers refuse
        "lib_version": None,
    }
    pool = address.pool(common, max_connections)
    redis = _Redis(pool, job_serializer=serializer, job_deserializer=deserializer)
    redis.auto_close_connection_pool = True  # nobody else holds the pool
    return redis


@dataclass(slots=True)
class _Asked:
    """A command, and whoever waits for its answer."""

    command: tuple[Any, ...]
    options: dict[str, Any]
    answer: asyncio.Future[Any]

    def settle(self, answer: Any) -> None:
        if self.answer.done():  # whoever waited has given up
            return
        if isinstance(answer, BaseException):
            self.answer.set_exception(answer)
        else:
            self.answer.set_result(answer)


class _Redis(ArqRedis):
    """Commands that are asked for in the same moment share one exchange with the server.

    An exchange costs a client in Python several times what a command in it does, and with many orders in hand there
    is hardly a moment with one command only. A command that fails does so for whoever asked for it, and for nobody
    else; a connection that breaks does so for all who shared it.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._asked: list[_Asked] = []
        self._exchanges: set[asyncio.Task[None]] = set()

    async def execute_command(self, *args: Any, **options: Any) -> Any:
        loop = asyncio.get_running_loop()
        asked = _Asked(args, options, loop.create_future())
        self._asked.append(asked)
        if len(self._asked) == 1:
            loop.call_soon(self._exchange_all)
        return await asked.answer

    def _exchange_all(self) -> None:
        asked, self._asked = [one for one in self._asked if not one.answer.done()], []
        for start in range(0, len(asked), _MOST_IN_ONE_EXCHANGE):
            exchange = asyncio.create_task(self._exchange(asked[start : start + _MOST_IN_ONE_EXCHANGE]))
            self._exchanges.add(exchange)
            exchange.add_done_callback(self._exchanges.discard)

    async def _exchange(self, asked: list[_Asked]) -> None:
        try:
            if len(asked) == 1:
                only = asked[0]
                answers = [await super().execute_command(*only.command, **only.options)]  # type: ignore[no-untyped-call]
            else:
                async with self.pipeline(transaction=False) as pipe:
                    for one in asked:
                        pipe.execute_command(*one.command, **one.options)
                    answers = await pipe.execute(raise_on_error=False)
        except (exceptions.DataError, UnicodeEncodeError) as error:
            if len(asked) > 1:
                # One of them cannot be written down, so nothing was sent: each by itself.
                await asyncio.gather(*(self._exchange([one]) for one in asked))
                return
            answers = [error]
        except BaseException as error:
            answers = [error] * len(asked)
        for one, answer in zip(asked, answers, strict=True):
            one.settle(answer)

    async def aclose(self, close_connection_pool: bool | None = None) -> None:
        self._exchange_all()
        await asyncio.gather(*self._exchanges)
        await super().aclose(close_connection_pool)


class _Pool(ConnectionPool):
    """Connections are given out first come, first served.

    redis-py's own blocking pool lets newcomers pass those who wait, so in a long burst some wait for ever; and a task
    that is cancelled while it gives its connection back can take it out of the pool for good.
    """

    def __init__(self, *, max_connections: int, **kwargs: Any) -> None:
        super().__init__(max_connections=max_connections, **kwargs)
        self._free = asyncio.Semaphore(max_connections)

    def make_connection(self) -> AbstractConnection:
        connection: AbstractConnection = super().make_connection()  # type: ignore[no-untyped-call]
        # hiredis packs a command several times as fast; redis-py's asyncio half does not use it for that.
        connection.pack_command = _PACKER.pack  # type: ignore[method-assign,assignment]
        return connection

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


class _SentinelPool(_Pool, SentinelConnectionPool):
    sentinel_manager: Sentinel

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._asking = asyncio.Lock()

    async def get_master_address(self) -> tuple[str, int]:
        # One at a time: redis-py moves the Sentinel that answered to the front of its list, and loses others of
        # the list when two answers do so at once.
        async with self._asking:
            address: tuple[str, int] = await super().get_master_address()  # type: ignore[no-untyped-call]
            return address

    async def disconnect(self, inuse_connections: bool = True) -> None:
        await super().disconnect(inuse_connections)
        if inuse_connections:  # the pool is being closed, and the Sentinels' connections with it
            for sentinel in self.sentinel_manager.sentinels:
                await sentinel.aclose()


def _flag(text: str) -> bool:
    if text.lower() not in ("true", "false"):
        raise ValueError
    return text.lower() == "true"


# What may stand behind the question mark. Anything else could change what the answers look like, so it is refused.
_TLS_OPTIONS: Mapping[str, Callable[[str], Any]] = {
    "ssl_ca_certs": str,
    "ssl_certfile": str,
    "ssl_keyfile": str,
    "ssl_check_hostname": _flag,
}
_SENTINEL_OPTIONS: Mapping[str, Callable[[str], Any]] = {
    "master": str,
    "sentinel_username": str,
    "sentinel_password": str,
    "ssl": _flag,
}
_OPTIONS: Mapping[str, Mapping[str, Callable[[str], Any]]] = {
    "redis": {"db": int},
    "rediss": {"db": int, **_TLS_OPTIONS},
    "unix": {"db": int, "username": str, "password": str},
    "redis+sentinel": {"db": int, **_SENTINEL_OPTIONS, **_TLS_OPTIONS},
}


@dataclass(frozen=True, slots=True)
class _Address:
    """What a Redis URL says."""

    scheme: str
    hosts: list[tuple[str, int]]
    path: str
    db: int
    username: str | None
    password: str | None
    options: dict[str, Any]

    def pool(self, common: dict[str, Any], size: int) -> ConnectionPool:
        if self.scheme == "unix":
            return _Pool(connection_class=UnixDomainSocketConnection, path=self.path, max_connections=size, **common)
        common = common | {"socket_keepalive": True}
        if self.scheme == "redis+sentinel":
            return self._sentinel_pool(common, size)
        host, port = self.hosts[0]
        tls = self._tls() if self.scheme == "rediss" else {}
        connection = SSLConnection if self.scheme == "rediss" else Connection
        return _Pool(connection_class=connection, host=host, port=port, **tls, max_connections=size, **common)

    def _sentinel_pool(self, common: dict[str, Any], size: int) -> ConnectionPool:
        secure = self.options.get("ssl", False)
        tls = self._tls() if secure else {}
        login = {
            "username": self.options.get("sentinel_username"),
            "password": self.options.get("sentinel_password"),
        }
        sentinel_kwargs = {**common, **login, **tls, "db": 0, "ssl": secure}
        return _SentinelPool(
            service_name=self.options["master"],
            sentinel_manager=Sentinel(self.hosts, sentinel_kwargs=sentinel_kwargs),  # type: ignore[no-untyped-call]
            connection_class=SentinelManagedSSLConnection if secure else SentinelManagedConnection,
            **tls,
            max_connections=size,
            **common,
        )

    def _tls(self) -> dict[str, Any]:
        # redis-py does not compare the certificate's name with the host unless told to.
        return {"ssl_check_hostname": True} | {k: v for k, v in self.options.items() if k in _TLS_OPTIONS}


class _Wrong(Exception):
    """What is wrong with the URL, in words that hold nothing of a password."""


def _parse(url: str) -> _Address:
    try:
        return _read(url)
    except _Wrong as wrong:
        raise ConfigError(Problem("REDIS_URL", f"{wrong}.", _EXAMPLES)) from None


def _read(url: str) -> _Address:
    try:
        parts = urlsplit(url)
    except ValueError:
        raise _Wrong("has a host that cannot be read") from None
    if parts.scheme not in _OPTIONS:
        raise _Wrong(f"begins with none of {', '.join(f'{scheme}://' for scheme in _OPTIONS)}")
    login, _, host_list = parts.netloc.rpartition("@")
    username, _, password = login.partition(":")
    is_socket = parts.scheme == "unix"
    if parts.fragment or (not is_socket and "@" in parts.path + parts.query):
        raise _Wrong(f"ends in something that cannot be read ({_ESCAPES})")
    hosts = [] if is_socket else _read_hosts(parts.scheme, host_list)
    options = _read_options(parts)
    path, db = unquote(parts.path), options.pop("db", 0)
    if is_socket:
        if host_list or not path.startswith("/"):
            raise _Wrong("needs the absolute path of a socket after unix://")
    elif path.strip("/"):
        db = _read_db(path.strip("/"))
    if db < 0:
        raise _Wrong("has a negative database number")
    if parts.scheme == "redis+sentinel" and not options.get("master"):
        raise _Wrong("lacks ?master=…, the name under which the Sentinels know Redis")
    return _Address(
        scheme=parts.scheme,
        hosts=hosts,
        path=path,
        db=db,
        username=options.pop("username", None) or unquote(username) or None,
        password=options.pop("password", None) or unquote(password) or None,
        options=options,
    )


def _read_options(parts: SplitResult) -> dict[str, Any]:
    known = _OPTIONS[parts.scheme]
    options = {}
    for name, text in parse_qsl(parts.query, keep_blank_values=True):
        if name not in known:
            raise _Wrong(f"has an option that is not one of {', '.join(known)}")
        try:
            options[name] = known[name](text)
        except ValueError:
            raise _Wrong(f"has a value that cannot be used for the option {name}") from None
    return options


def _read_db(text: str) -> int:
    try:
        return int(text)
    except ValueError:
        raise _Wrong("has a path that is not a database number") from None


def _read_hosts(scheme: str, text: str) -> list[tuple[str, int]]:
    sentinel = scheme == "redis+sentinel"
    hosts = []
    for name in text.split(",") if sentinel else [text]:
        try:
            one = urlsplit(f"//{name}")
            hosts.append((one.hostname or "", one.port or (26379 if sentinel else 6379)))
        except ValueError:
            raise _Wrong(f"has a host or port that cannot be read ({_ESCAPES})") from None
    if sentinel and not all(host for host, _ in hosts):
        raise _Wrong("lacks a Sentinel's host")
    return [(host or "localhost", port) for host, port in hosts]
