"""Redis's errors: a type for each kind, which ones are transient, and a sentence for each."""

import re
import socket
import ssl
from dataclasses import dataclass

from redis import exceptions
from redis.asyncio.sentinel import MasterNotFoundError


class PersistenceError(exceptions.ResponseError):
    """MISCONF: Redis cannot write to its disk, so it refuses all changes."""


class TooFewReplicasError(exceptions.ResponseError):
    """NOREPLICAS: fewer replicas than ``min-replicas-to-write`` are connected, so Redis refuses all changes."""


class ClusterUnsupportedError(exceptions.ResponseError):
    """The server is a node of a Redis Cluster, where a script's keys would have to be on one node."""


class SentinelError(exceptions.ResponseError):
    """The server is a Sentinel, which knows where the Redis is and holds no data."""


class UnknownDatabaseError(exceptions.ResponseError):
    """The server has no database of this number."""


# Errors that may be over a moment later: no connection, no answer, a failover, a Redis that is loading or full.
TRANSIENT_ERRORS: tuple[type[Exception], ...] = (
    exceptions.ConnectionError,
    exceptions.TimeoutError,
    exceptions.BusyLoadingError,
    MasterNotFoundError,
    exceptions.ReadOnlyError,
    exceptions.MasterDownError,
    exceptions.OutOfMemoryError,
    PersistenceError,
    TooFewReplicasError,
)

# After a failover behind one name the old server lives on and keeps its connections. It answers with one of these.
WRONG_SERVER_ERRORS: tuple[type[Exception], ...] = (
    exceptions.ReadOnlyError,
    exceptions.BusyLoadingError,
    exceptions.MasterDownError,
)

# redis-py has types for some of these, and only where the code comes first.
_TYPES: dict[str, type[exceptions.RedisError]] = {
    "READONLY": exceptions.ReadOnlyError,
    "OOM": exceptions.OutOfMemoryError,
    "MASTERDOWN": exceptions.MasterDownError,
    "LOADING": exceptions.BusyLoadingError,
    "MISCONF": PersistenceError,
    "NOREPLICAS": TooFewReplicasError,
    "NOPERM": exceptions.NoPermissionError,
    "CROSSSLOT": ClusterUnsupportedError,
    "MOVED": ClusterUnsupportedError,
    "CLUSTERDOWN": ClusterUnsupportedError,
}
_CODE = re.compile(r"([A-Z]+) ")
# Redis 6 wraps an error of a command inside a script: "Error running script …: -READONLY You can't write …".
_CODE_IN_SCRIPT = re.compile(r"Error running script .*? -([A-Z]+) ")
_TYPES_BY_TEXT: dict[str, type[exceptions.RedisError]] = {
    "SELECT is not allowed in cluster mode": ClusterUnsupportedError,
    "DB index is out of range": UnknownDatabaseError,
    "The user executing the script can't": exceptions.NoPermissionError,  # Redis 6
    "ACL failure in script": exceptions.NoPermissionError,  # Redis 7 and Valkey
}


def typed(error: exceptions.ResponseError) -> exceptions.RedisError:
    """The error as the type for its kind, where redis-py knows only ResponseError; else the error itself."""
    if type(error) is not exceptions.ResponseError:
        return error
    text = str(error)
    code = _CODE_IN_SCRIPT.match(text) or _CODE.match(text)
    kinds = [_TYPES.get(code[1])] if code else []
    kinds += [kind for part, kind in _TYPES_BY_TEXT.items() if part in text]
    return next((kind(text) for kind in kinds if kind), error)


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """What is wrong with Redis, after the word "Redis", and the cure."""

    message: str
    cure: str

    def __str__(self) -> str:
        return f"Redis {self.message} {self.cure}"


# The first that fits counts.
_DIAGNOSES: tuple[tuple[type[Exception], str, str], ...] = (
    (
        PersistenceError,
        "cannot write to its disk and refuses changes (MISCONF).",
        "Its own log says why: usually the disk is full, or its data folder belongs to another user.",
    ),
    (
        exceptions.OutOfMemoryError,
        "has no memory left and refuses changes (OOM).",
        "Raise its maxmemory, and keep the policy noeviction.",
    ),
    (
        TooFewReplicasError,
        "has too few replicas connected and refuses changes (NOREPLICAS).",
        "Start its replicas, or lower min-replicas-to-write.",
    ),
    (
        exceptions.ReadOnlyError,
        "is a replica and refuses changes (READONLY).",
        "REDIS_URL must lead to the master. After a failover this ends by itself.",
    ),
    (
        exceptions.MasterDownError,
        "is a replica that has lost its master (MASTERDOWN).",
        "REDIS_URL must lead to the master. After a failover this ends by itself.",
    ),
    (exceptions.BusyLoadingError, "is loading its data (LOADING).", "Wait until it is done."),
    (
        ClusterUnsupportedError,
        "is a Redis Cluster, which this service cannot use.",
        "Use a Redis without cluster mode, alone or behind Sentinel.",
    ),
    (
        UnknownDatabaseError,
        "has no database of this number.",
        "Correct the number at the end of REDIS_URL (a cluster has only 0), or raise `databases` in its configuration.",
    ),
    (
        SentinelError,
        "is not what answers there: it is a Sentinel.",
        "Write REDIS_URL as redis+sentinel://host:26379/0?master=…, with the name of the master that it monitors.",
    ),
    (
        exceptions.InvalidResponse,
        "is not what answers there: it is another server, such as a web server.",
        "Correct host and port in REDIS_URL.",
    ),
    (
        MasterNotFoundError,
        "has no master that the Sentinels know by this name.",
        "Check that the Sentinels are running and that hosts and ?master= in REDIS_URL are correct.",
    ),
)


_WANTS_TLS = Diagnosis(
    "wants TLS at this port.", "Begin REDIS_URL with rediss://, or use the port that Redis has for plain connections."
)

_TLS_ALERT = r"\x15"
"""The first byte of a TLS alert, as the parser quotes it in its error."""


def _of_connection(error: Exception) -> Diagnosis | None:
    """What the network tells of a server that cannot be talked to; None for one that just does not answer."""
    causes: list[BaseException] = []
    cause: BaseException | None = error
    while cause is not None and cause not in causes:
        causes.append(cause)
        cause = cause.__cause__ or cause.__context__
    if isinstance(error, exceptions.InvalidResponse) and _TLS_ALERT in str(error):
        return _WANTS_TLS
    if any(isinstance(each, ssl.SSLCertVerificationError) for each in causes):
        return Diagnosis(
            "has a certificate that is not trusted here, or is of another host.",
            "Name its certificate authority: add ?ssl_ca_certs=/path/to/ca.pem to REDIS_URL.",
        )
    if any(isinstance(each, ssl.SSLError) for each in causes):
        return Diagnosis(
            "has no TLS at this port, or another server answers there.",
            "Begin REDIS_URL with redis://, or correct its port.",
        )
    if any(isinstance(each, socket.gaierror) for each in causes):
        return Diagnosis("cannot be found: no such host.", "Correct the host in REDIS_URL, or this machine's DNS.")
    if isinstance(error, exceptions.ConnectionError) and "closed by server" in str(error):
        return Diagnosis(
            "closed the connection.",
            "Does it restart? Else another server answers there, such as a database, or it wants TLS: check host, port"
            " and rediss:// in REDIS_URL.",
        )
    return None


def diagnose(error: Exception) -> Diagnosis:
    """What an error of Redis means and how to fix it. Contains no secret."""
    if isinstance(error, exceptions.InvalidResponse) and (found := _of_connection(error)):
        return found
    for kind, message, cure in _DIAGNOSES:
        if isinstance(error, kind):
            return Diagnosis(message, cure)
    if found := _of_connection(error):
        return found
    if isinstance(error, exceptions.AuthenticationError | exceptions.NoPermissionError):
        return Diagnosis(f"refuses this user or password ({error}).", "Correct REDIS_URL, or the rights of its user.")
    if isinstance(error, exceptions.ResponseError):
        return Diagnosis(f"refuses a command ({error}).", "Check that REDIS_URL leads to a Redis for this service.")
    return Diagnosis(f"does not answer ({type(error).__name__}).", "Check that it is running and REDIS_URL is correct.")
