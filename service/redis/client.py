"""Connecting to Redis by its URL: timeouts everywhere, no hidden retries, a fair pool, automatic pipelining."""

from typing import Any

from arq.connections import ArqRedis
from arq.jobs import Deserializer, Serializer

from service.redis.errors import TRANSIENT_ERRORS
from service.redis.pipelining import PipeliningRedis
from service.redis.pool import pool_for
from service.redis.url import parse_url

__all__ = ["TRANSIENT_ERRORS", "connect"]

# A new connection takes some round trips (TCP, TLS, AUTH, SELECT), so it gets a little longer than a command.
_CONNECT_TIMEOUT_S = 1.0

# A connection that was idle for longer is tested with a PING first: a firewall may have dropped it silently.
_HEALTH_CHECK_INTERVAL_S = 15


def connect(
    url: str,
    *,
    serializer: Serializer | None = None,
    deserializer: Deserializer | None = None,
    socket_timeout: float = 0.5,
    max_connections: int = 50,
    passes: int = 1,
) -> ArqRedis:
    """A client for the Redis at ``url``. It connects when it is first used; ``aclose()`` closes its connections.

    ``socket_timeout`` is in seconds and limits each command. The commands of so many ``passes`` of the event loop in a
    row share one pipeline: more than one is for who gathers much at once, such as a page of the console. Errors are
    Redis's own; ``TRANSIENT_ERRORS`` lists those that are worth a retry. Raises ConfigError when the URL is not valid.
    """
    parsed = parse_url(url)
    common: dict[str, Any] = {
        "db": parsed.db,
        "username": parsed.username,
        "password": parsed.password,
        "socket_timeout": socket_timeout,
        "socket_connect_timeout": max(socket_timeout, _CONNECT_TIMEOUT_S),
        "health_check_interval": _HEALTH_CHECK_INTERVAL_S,
        "lib_name": None,  # saves a new connection two commands that older servers refuse
        "lib_version": None,
    }
    pool = pool_for(parsed, common, max_connections)
    redis = PipeliningRedis(pool, passes=passes, job_serializer=serializer, job_deserializer=deserializer)
    redis.auto_close_connection_pool = True  # no other client uses the pool
    return redis
