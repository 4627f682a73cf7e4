"""The kinds of jobs, and a job's id, key and body in Redis. The layout is arq's."""

import json
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from arq.constants import job_key_prefix
from arq.jobs import serialize_job as arq_serialize

_encode = json.JSONEncoder(separators=(",", ":")).encode


def to_json(job: dict[str, Any]) -> bytes:
    """arq's serializer. JSON instead of pickle: write access to Redis is not enough to run code in a worker."""
    return _encode(job).encode()


def from_json(raw: bytes) -> dict[str, Any]:
    """arq's deserializer. Raises ValueError when ``raw`` is not a job."""
    job = json.loads(raw)
    if not isinstance(job, dict):
        raise ValueError("a job is a JSON object")
    return job


@dataclass(frozen=True, slots=True)
class JobKind:
    """A kind of job: its queue and the worker's function that runs it, for an order or a whole store."""

    function: str
    queue: str

    def id(self, store: str, order_id: int | None = None) -> str:
        """The job's id. It contains the kind, because all queues share arq's name space of ids."""
        return f"{self.function}:{store}" if order_id is None else f"{self.function}:{store}:{order_id}"

    def key(self, store: str, order_id: int | None = None) -> str:
        """The key of the job's body."""
        return job_key_prefix + self.id(store, order_id)

    def body(self, store: str, order_id: int | None = None, *, now: float) -> bytes:
        """The job's body, as arq writes it."""
        arguments = (store,) if order_id is None else (store, order_id)
        return arq_serialize(self.function, arguments, {}, None, int(now * 1000), serializer=to_json)

    def open_body(self, store: str, order_id: int | None = None) -> bytes:
        """The job's body up to its enqueue time, which comes last: a script appends Redis's time."""
        return _store_body(self, store) if order_id is None else _opened(self.body(store, order_id, now=0.0))

    def rebuilt(self, job_id: str, now: float) -> bytes | None:
        """The body of the job with this id; None when the id is not of this kind."""
        function, _, rest = job_id.partition(":")
        store, _, order = rest.partition(":")
        if function != self.function or not store:
            return None
        return self.body(store, int(order) if order.isdecimal() else None, now=now)


@lru_cache(maxsize=4096)
def _store_body(kind: JobKind, store: str) -> bytes:
    """The open body of a store's job, which each of its orders needs."""
    return _opened(kind.body(store, now=0.0))


def _opened(body: bytes) -> bytes:
    return body.removesuffix(b"0}")


# Orders whose window may still be open, the first to close first.
WINDOW = JobKind("window", "enrich:queue:window")
# Orders that need another attempt later: after their window, after a failed call, or with values not on the record.
RECOVERY = JobKind("recover", "enrich:queue:recovery")
# Verification of a store's records, many in one job.
VERIFY = JobKind("check", "enrich:queue:checks")
# Re-verification, after the platform's own late writes. It can always wait, so it has a queue of its own.
REVERIFY = JobKind("second_look", "enrich:queue:second-looks")
# Orders skipped for their buyer: held against the records, and tried again when the store's Company users change.
CHECK_SKIPPED = JobKind("check_skipped", REVERIFY.queue)
RETRY_SKIPPED = JobKind("retry_skipped", REVERIFY.queue)
# The poll for late values of a store's waiting orders.
POLL_VALUES = JobKind("poll_values", "enrich:queue:late-values")
# Wakes a store's orders that wait for the value of a required rule. It has a queue of its own: a worker of an older
# version would drop a job that it does not know.
WAKE_WAITING = JobKind("wake_waiting", "enrich:queue:waiting")
# Reading a store's changed orders again.
FOLLOW = JobKind("follow", "enrich:queue:changes")
# A store's periodic tasks, and the probe of refused credentials.
RECONCILE = JobKind("reconcile", "enrich:queue:chores")
MONITOR_HOOKS = JobKind("guard", "enrich:queue:chores")
READ_SUPER_ADMINS = JobKind("super_admins", "enrich:queue:chores")
FETCH_TOKENS = JobKind("fetch_tokens", "enrich:queue:chores")
PROBE = JobKind("probe", "enrich:queue:chores")
