"""Delivers the messages that wait: in order for each channel, again after a pause, and given up after a day."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress

import httpx
import structlog

from service.logs import Event
from service.notify.channels import channels_of
from service.notify.channels.channel import Channel, NotDelivered
from service.notify.persistence import Pause, Persistence, Queued, digest
from service.redis.client import TRANSIENT_ERRORS
from service.stores import Notify

log = structlog.get_logger()

# The pause after a message that was not delivered doubles with each attempt, from the first to the longest.
FIRST_PAUSE_S = 5.0
LONGEST_PAUSE_S = 600.0
# What nobody could be told for a day is in the log and in the console.
GIVE_UP_AFTER_S = 86_400.0


class Delivery:
    """Delivers messages, each channel by one worker at a time. Errors are Redis's own."""

    def __init__(
        self,
        persistence: Persistence,
        transport: Callable[[], httpx.AsyncBaseTransport],
        *,
        owner: str,
        lease_s: float,
        now: Callable[[], Awaitable[float]],
        count: Callable[[str, str], None],
    ) -> None:
        """``owner`` holds a channel's lease, for ``lease_s`` seconds: longer than sending takes.

        ``transport`` makes the connections of one delivery. ``now`` is Redis's time. ``count`` gets each result by
        channel kind: ``sent``, ``failed`` or ``dropped``.
        """
        self._persistence = persistence
        self._transport = transport
        self._owner = owner
        self._lease_s = lease_s
        self._now = now
        self._count = count

    async def deliver(self, notify: Notify) -> None:
        """Deliver what waits and is due: the messages of one channel one after another, the channels side by side."""
        queue = await self._persistence.queue(remove_unreadable=True)
        if not queue:
            return
        channels = {channel.name: channel for channel in channels_of(notify)}
        by_channel: dict[str, list[Queued]] = {}
        for queued in queue:
            by_channel.setdefault(queued.channel, []).append(queued)
        async with httpx.AsyncClient(transport=self._transport(), trust_env=False) as http:
            results = await asyncio.gather(
                *(self._deliver_to(channels.get(name), name, waiting, http) for name, waiting in by_channel.items()),
                return_exceptions=True,
            )
        for error in results:
            if isinstance(error, BaseException):
                raise error

    def drop(self, queued: Queued, reason: str) -> None:
        """Count and log a message that nobody gets any more."""
        self._count(queued.channel.partition(" ")[0], "dropped")
        message = queued.message
        log.error(
            Event.NOTIFICATION_DROPPED,
            alert=message.alert,
            channel=queued.channel,
            reason=reason,
            headline=message.headline,
        )

    async def _deliver_to(
        self, channel: Channel | None, name: str, waiting: Sequence[Queued], http: httpx.AsyncClient
    ) -> None:
        lease = f"send:{name}"
        try:
            for queued in waiting:
                # Each message has the whole time. Another worker may have delivered it before this one had the lease.
                if not await self._persistence.hold_lease(lease, self._owner, ttl_s=self._lease_s):
                    return
                if await self._persistence.is_queued(queued) and not await self._deliver_message(channel, queued, http):
                    return
        finally:
            with suppress(*TRANSIENT_ERRORS):
                await self._persistence.release_lease(lease, self._owner)

    async def _deliver_message(self, channel: Channel | None, queued: Queued, http: httpx.AsyncClient) -> bool:
        """Deliver a message or give it up; False if it stays, so that the messages behind it wait, too."""
        if channel is None:
            await self._give_up(queued, "the channel is no longer in the stores file")
            return True
        now = await self._now()
        to, pause = digest(channel.secret), await self._persistence.pause(channel.name)
        if pause is not None and pause.destination == to and pause.due_at > now:
            return False
        attempts = pause.attempts + 1 if pause and pause.destination == to else 1
        try:
            await channel.send(queued.message, http)
        except NotDelivered as error:
            if now - queued.message.at > GIVE_UP_AFTER_S:
                await self._give_up(queued, str(error))
                return True
            pause = Pause(attempts, now + _pause_s(attempts, error), to, str(error))
            await self._postpone(channel, queued, pause, now)
            return False
        await self._persistence.remove(queued)
        self._count(channel.kind, "sent")
        log.info(Event.NOTIFICATION_SENT, alert=queued.message.alert, channel=channel.name, attempts=attempts)
        return True

    async def _postpone(self, channel: Channel, queued: Queued, pause: Pause, now: float) -> None:
        await self._persistence.set_pause(channel.name, pause)
        self._count(channel.kind, "failed")
        # A lasting error is logged once.
        write = log.warning if pause.attempts == 1 else log.debug
        write(
            Event.NOTIFICATION_POSTPONED,
            alert=queued.message.alert,
            channel=channel.name,
            trouble=pause.trouble,
            retry_in_ms=round((pause.due_at - now) * 1000),
        )

    async def _give_up(self, queued: Queued, reason: str) -> None:
        await self._persistence.remove(queued)
        self.drop(queued, reason)


def _pause_s(attempts: int, error: NotDelivered) -> float:
    doubled: float = min(FIRST_PAUSE_S * 2.0 ** min(attempts - 1, 20), LONGEST_PAUSE_S)
    return max(doubled, error.retry_after_s or 0.0)
