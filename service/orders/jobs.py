"""Jobs as they lie in Redis: names, ids, JSON. The layout of the keys is arq's."""

import json
from dataclasses import dataclass
from typing import Any

from arq.constants import in_progress_key_prefix, job_key_prefix, retry_key_prefix
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
class Kind:
    """A kind of job: the queue it waits in and the worker's function that runs it."""

    function: str
    queue: str

    def id(self, store: str, order_id: int) -> str:
        """arq's ids are one name space for all queues, so the kind is part of it."""
        return f"{self.function}:{store}:{order_id}"

    def key(self, store: str, order_id: int) -> str:
        return job_key_prefix + self.id(store, order_id)

    def body(self, store: str, order_id: int, now: float) -> bytes:
        return arq_serialize(self.function, (store, order_id), {}, None, int(now * 1000), serializer=to_json)


# Orders whose window may still be open, the one that closes first at the front.
WINDOW = Kind("window", "enrich:queue:window")
# Orders that need another look later: late, refused for a while, not yet verified.
RECOVERY = Kind("recover", "enrich:queue:recovery")

__all__ = [
    "RECOVERY",
    "WINDOW",
    "Kind",
    "from_json",
    "in_progress_key_prefix",
    "job_key_prefix",
    "retry_key_prefix",
    "to_json",
]
