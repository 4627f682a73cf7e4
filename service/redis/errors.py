"""Redis's errors: a type for each kind, which ones are transient, and a sentence for each."""

import re
from dataclasses import dataclass

from redis import exceptions
from redis.asyncio.sentinel import MasterNotFoundError


class PersistenceError(exceptions.ResponseError):
    """MISCONF: Redis cannot write to its disk, so it refuses all changes."""


class TooFewReplicasError(exceptions.ResponseError):
    """NOREPLICAS: fewer replicas than ``min-replicas-to-write`` are connected, so Redis refuses all changes."""


class ClusterUnsupportedError(exceptions.ResponseError):
    """The server is a node of a Redis Cluster, where a script's keys would have to be on one node."""


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
    "The user executing the script can't": exceptions.NoPermissionError,
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
        "Its own log says why: mostly the disk is full, or its data folder belongs to another user.",
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
        "Correct the number at the end of REDIS_URL, or raise `databases` in its configuration.",
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


def diagnose(error: Exception) -> Diagnosis:
    """What an error of Redis means and how to fix it. Contains no secret."""
    for kind, message, cure in _DIAGNOSES:
        if isinstance(error, kind):
            return Diagnosis(message, cure)
    if isinstance(error, exceptions.AuthenticationError | exceptions.NoPermissionError):
        return Diagnosis(f"refuses this user or password ({error}).", "Correct REDIS_URL, or the rights of its user.")
    if isinstance(error, exceptions.ResponseError):
        return Diagnosis(f"refuses a command ({error}).", "Check that REDIS_URL leads to a Redis for this service.")
    return Diagnosis(f"does not answer ({type(error).__name__}).", "Check that it is running and REDIS_URL is correct.")
