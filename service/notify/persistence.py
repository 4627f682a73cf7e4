"""What notifications keep in Redis: alerts, messages to deliver, pauses of channels, leases. Errors are Redis's.

Alerts and messages change in one step, so a worker that dies in between neither loses a message nor makes it twice.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from pydantic import BaseModel, ConfigDict, ValidationError
from redis.asyncio import Redis

from service.notify import lua
from service.notify.alert_state import AlertState
from service.notify.alerts import AlertKind
from service.notify.messages import Message
from service.orders.state.keys import notify_queue_key
from service.redis.leases import hold_lease, release_lease

MAX_QUEUED = 200
"""So many messages wait, for all channels together. A channel that is down for a day gathers fewer."""

_ALERTS = "enrich:notify:alerts"
_PAUSES = "enrich:notify:pauses"

AlertName = tuple[AlertKind, str | None]
"""A kind of alert, and its store; None for one of all."""


@dataclass(frozen=True, slots=True)
class Alerts:
    """All alerts as they were read, and the version of that."""

    version: int
    states: Mapping[AlertName, AlertState]


class Queued(BaseModel):
    """A message for one channel. ``raw`` is the JSON in the queue."""

    model_config = ConfigDict(frozen=True)

    channel: str
    message: Message
    raw: bytes = b""


@dataclass(frozen=True, slots=True)
class Pause:
    """Why the next message of a channel waits: so many attempts failed, and the next is due then (Redis's time).

    ``destination`` is a digest of where they went: a message to another destination is due at once. ``trouble`` is why
    the last one failed.
    """

    attempts: int
    due_at: float
    destination: str
    trouble: str


class Persistence:
    """Reads and writes it."""

    def __init__(self, redis: Redis) -> None:
        self._redis = redis

    async def alerts(self) -> Alerts:
        """All alerts. One that this version does not know, or cannot read, is left out."""
        stored = await self._redis.hgetall(_ALERTS)  # type: ignore[misc]
        version = int(stored.pop(b"version", 0))
        states = {}
        for name, raw in stored.items():
            kind, _, store = name.decode().partition(":")
            try:
                states[AlertKind(kind), store or None] = AlertState.model_validate_json(raw)
            except ValueError:
                continue
        return Alerts(version, states)

    async def record(
        self,
        version: int,
        changes: Mapping[AlertName, AlertState | None],
        messages: Sequence[Message],
        channels: Sequence[str],
    ) -> list[Queued] | None:
        """Record these alerts (None: forgotten) and queue each message for each channel.

        Returns the messages that had no more room, or None if somebody else has recorded alerts since: then nothing
        was done.
        """
        states = [
            part
            for (kind, store), state in changes.items()
            for part in (f"{kind}:{store or ''}", "" if state is None else state.model_dump_json())
        ]
        queued = [
            Queued(channel=channel, message=message).model_dump_json(exclude={"raw"})
            for message in messages
            for channel in channels
        ]
        done, dropped = await lua.record_alerts(
            self._redis,
            alerts=_ALERTS,
            queue=notify_queue_key(),
            version=version,
            max_queued=MAX_QUEUED,
            changes=len(changes),
            rest=[*states, *queued],
        )
        return _queued([raw.encode() for raw in dropped]) if done else None

    async def queue(self, *, remove_unreadable: bool = False) -> list[Queued]:
        """All messages that wait, the oldest first, but for those that this version cannot read."""
        raw = await self._redis.zrange(notify_queue_key(), 0, -1)
        queued = _queued(raw)
        if remove_unreadable and len(queued) < len(raw):
            await self._redis.zrem(notify_queue_key(), *(set(raw) - {one.raw for one in queued}))
        return queued

    async def is_queued(self, queued: Queued) -> bool:
        """Whether the message still waits."""
        return await self._redis.zscore(notify_queue_key(), queued.raw) is not None

    async def remove(self, queued: Queued) -> None:
        """Remove a message that was delivered or given up; its channel's pause ends."""
        async with self._redis.pipeline(transaction=True) as pipe:
            pipe.zrem(notify_queue_key(), queued.raw)
            pipe.hdel(_PAUSES, queued.channel)
            await pipe.execute()

    async def pause(self, channel: str) -> Pause | None:
        """The pause of the channel; None if there is none."""
        raw = await self._redis.hget(_PAUSES, channel)  # type: ignore[misc]
        return None if raw is None else Pause(*json.loads(raw))

    async def set_pause(self, channel: str, pause: Pause) -> None:
        """Let the channel's messages wait."""
        value = json.dumps([pause.attempts, pause.due_at, pause.destination, pause.trouble])
        await self._redis.hset(_PAUSES, channel, value)  # type: ignore[misc]

    async def hold_lease(self, name: str, owner: str, *, ttl_s: float) -> bool:
        """Take or renew a lease; False while somebody else holds it."""
        return await hold_lease(self._redis, _lease(name), owner, ttl_ms=int(ttl_s * 1000))

    async def release_lease(self, name: str, owner: str) -> None:
        """Give a lease back, unless it has ended already."""
        await release_lease(self._redis, _lease(name), owner)


def digest(destination: str) -> str:
    """A short digest of a destination, from which it cannot be guessed."""
    return hashlib.sha256(destination.encode()).hexdigest()[:16]


def _lease(name: str) -> str:
    return f"enrich:notify:lease:{name}"


def _queued(raw: Sequence[bytes]) -> list[Queued]:
    queued = []
    for one in raw:
        try:
            queued.append(Queued.model_validate_json(one).model_copy(update={"raw": one}))
        except ValidationError:
            continue
    return queued
