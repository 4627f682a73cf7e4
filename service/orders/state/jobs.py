"""Jobs as they lie in Redis: names, ids, JSON. The layout of the keys is arq's."""

import json
from dataclasses import dataclass
from typing import Any

from arq.constants import job_key_prefix
from arq.jobs import serialize_job as arq_serialize


def to_json(job: dict[str, Any]) -> bytes:
    """arq's serializer: JSON, so that whoever can write to Redis still cannot run code in a worker."""
    return json.dumps(job, separators=(",", ":")).encode()


def from_json(raw: bytes) -> dict[str, Any]:
    """arq's deserializer. Raises ValueError when ``raw`` is not a job."""
    job = json.loads(raw)
    if not isinstance(job, dict):
        raise ValueError("a job is a JSON object")
    return job


@dataclass(frozen=True, slots=True)
class JobKind:
    """A kind of job: the queue it waits in and the worker's function that runs it, for an order or a whole store."""

    function: str
    queue: str

    def id(self, store: str, order_id: int | None = None) -> str:
        """arq's ids are one name space for all queues, so the kind is part of it."""
        return f"{self.function}:{store}" if order_id is None else f"{self.function}:{store}:{order_id}"

    def key(self, store: str, order_id: int | None = None) -> str:
        """Where arq keeps the job."""
        return job_key_prefix + self.id(store, order_id)

    def body(self, store: str, order_id: int | None = None, *, now: float) -> bytes:
        """The job as arq writes it."""
        arguments = (store,) if order_id is None else (store, order_id)
        return arq_serialize(self.function, arguments, {}, None, int(now * 1000), serializer=to_json)

    def rebuilt(self, job_id: str, now: float) -> bytes | None:
        """The job of that id; None when the id is not of this kind."""
        function, _, rest = job_id.partition(":")
        store, _, order = rest.partition(":")
        if function != self.function or not store:
            return None
        return self.body(store, int(order) if order.isdecimal() else None, now=now)


# Orders whose window may still be open, the one that closes first at the front.
WINDOW = JobKind("window", "enrich:queue:window")
# Orders that need another look later: late, refused for a while, lost on the record.
RECOVERY = JobKind("recover", "enrich:queue:recovery")
# A store's records to be held against what was sent, many at once.
VERIFY = JobKind("check", "enrich:queue:checks")
# The same once more, when the platform has settled. They can always wait, so they stand in nobody's way.
REVERIFY = JobKind("second_look", "enrich:queue:second-looks")
# What is done for a store again and again: orders that no webhook told of, the webhook itself, refused credentials.
RECONCILE = JobKind("reconcile", "enrich:queue:chores")
MONITOR_HOOKS = JobKind("guard", "enrich:queue:chores")
PROBE = JobKind("probe", "enrich:queue:chores")
