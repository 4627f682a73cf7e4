"""Watches the alerts and delivers the messages: in each worker, of which one at a time does it.

Without a worker, the receivers do it (``standby``): otherwise nobody would tell that no worker is running.
"""

import asyncio
import os
import secrets
import socket
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace

import httpx
import structlog
from redis.asyncio import Redis

from service.configuration import Configuration
from service.logs import Event
from service.notify.alert_state import AlertState, Change, advance
from service.notify.alerts import DEFINITIONS, AlertKind, Observation, Readings, observe
from service.notify.channels import channels_of
from service.notify.channels.channel import SEND_TIMEOUT_S, Channel, NotDelivered
from service.notify.messages import Changed, messages_for
from service.notify.persistence import AlertName, Alerts, Pause, Persistence, Queued, digest
from service.notify.readings import MAX_FAILED_READ, ReadingsReader
from service.orders.state.clocks import Clock, redis_time
from service.redis.client import TRANSIENT_ERRORS
from service.stores import Notify

log = structlog.get_logger()

# The pause after a message that was not delivered doubles with each attempt, from the first to the longest.
FIRST_PAUSE_S = 5.0
LONGEST_PAUSE_S = 600.0
# What nobody could be told for a day is in the log and in the console.
GIVE_UP_AFTER_S = 86_400.0


@dataclass(frozen=True, slots=True)
class Timing:
    """How often, in seconds, alerts are looked at and messages delivered, and when the leases of a dead worker end."""

    watch_s: float = 15.0
    deliver_s: float = 2.0
    watch_lease_s: float = 40.0
    send_lease_s: float = 2 * SEND_TIMEOUT_S


class Notifier:
    """Watches and delivers for the stores of ``configuration``. ``count`` gets each result by channel kind.

    The two loops run until they are cancelled; an error is left to the next run, and logged unless it is a transient
    one of Redis.
    """

    def __init__(
        self,
        redis: Redis,
        configuration: Callable[[], Configuration],
        *,
        transport: Callable[[], httpx.AsyncBaseTransport] | None = None,
        count: Callable[[str, str], None] = lambda kind, result: None,
        timing: Timing | None = None,
        clock: Clock | None = None,
    ) -> None:
        self._redis = redis
        self._configuration = configuration
        self._transport = transport or _transport
        self._count = count
        self._timing = timing or Timing()
        self._clock = clock
        self._persistence = Persistence(redis)
        self._reader = ReadingsReader(redis, clock=clock)
        self._owner = f"{socket.gethostname()}:{os.getpid()}:{secrets.token_hex(4)}"
        self._queued = asyncio.Event()

    async def watch(self) -> None:
        """Look at the alerts again and again."""
        await self._repeat(self.watch_once, lambda: asyncio.sleep(self._timing.watch_s))

    async def deliver(self) -> None:
        """Deliver messages as they come."""
        await self._repeat(self.deliver_once, self._wait_for_messages)

    async def run_once(self) -> None:
        """Look at the alerts once, and deliver what is due."""
        await _guarded(self.watch_once)
        await _guarded(self.deliver_once)

    async def _repeat(self, run: Callable[[], Awaitable[object]], wait: Callable[[], Awaitable[None]]) -> None:
        while True:
            if self._configuration().notify is not None:
                await _guarded(run)
            await wait()

    async def _wait_for_messages(self) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(self._timing.deliver_s):
                await self._queued.wait()
        self._queued.clear()

    async def watch_once(self) -> bool:
        """Look at the alerts once, and queue messages about what began or ended; False if another worker does it."""
        configuration = self._configuration()
        notify, lease_s = configuration.notify, self._timing.watch_lease_s
        if notify is None or not await self._persistence.hold_lease("watch", self._owner, ttl_s=lease_s):
            return False
        stores = [store for store in configuration.stores if notify.tells_of(store)]
        readings = await self._reader.read(configuration, stores)
        alerts = await self._persistence.alerts()
        states, changes = _advance_all(alerts, readings, notify)
        if not states:
            return True
        changes = [await self._with_reasons(changed) for changed in changes]
        tables = {store_hash: configured.store for store_hash, configured in configuration.stores.items()}
        messages = messages_for(changes, tables, notify, now=readings.now)
        names = [channel.name for channel in channels_of(notify)]
        dropped = await self._persistence.record(alerts.version, states, messages, names)
        if dropped is None:  # a worker whose lease had ended was faster
            return False
        _log_changes(changes, readings.now)
        for queued in dropped:
            self._drop(queued, "too many messages wait")
        if messages:
            self._queued.set()
        return True

    async def _with_reasons(self, changed: Changed) -> Changed:
        if changed.kind is not AlertKind.FAILED_ORDERS_WAIT or changed.change is Change.ENDED or changed.store is None:
            return changed
        reasons = await self._reader.failure_reasons(changed.store)
        named = ", ".join(f"{reason[:80]} ({number})" for reason, number in reasons[:3])
        read = sum(number for _, number in reasons)
        of = f"Reasons of the newest {read}" if read == MAX_FAILED_READ else "Reasons"
        return replace(changed, summary=f"{changed.summary} {of}: {named}.") if named else changed

    async def deliver_once(self) -> None:
        """Deliver what waits and is due: the messages of one channel one after another, the channels side by side."""
        notify = self._configuration().notify
        if notify is None or not (queue := await self._persistence.queue(remove_unreadable=True)):
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

    async def _deliver_to(
        self, channel: Channel | None, name: str, waiting: Sequence[Queued], http: httpx.AsyncClient
    ) -> None:
        lease = f"send:{name}"
        if not await self._persistence.hold_lease(lease, self._owner, ttl_s=self._timing.send_lease_s):
            return
        try:
            for queued in waiting:
                # Each message has the whole time. Another worker may have delivered it before this one had the lease.
                if not await self._persistence.hold_lease(lease, self._owner, ttl_s=self._timing.send_lease_s):
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
        self._drop(queued, reason)

    def _drop(self, queued: Queued, reason: str) -> None:
        self._count(queued.channel.partition(" ")[0], "dropped")
        message = queued.message
        log.error(
            Event.NOTIFICATION_DROPPED,
            alert=message.alert,
            channel=queued.channel,
            reason=reason,
            headline=message.headline,
        )

    async def _now(self) -> float:
        return self._clock() if self._clock else await redis_time(self._redis)


async def _guarded(run: Callable[[], Awaitable[object]]) -> None:
    """Run once. Whatever goes wrong with messages must not end the process, which has orders to enrich."""
    try:
        await run()
    except TRANSIENT_ERRORS:
        pass
    except Exception:
        log.exception(Event.INTERNAL_ERROR, place="notifications")


def _advance_all(
    alerts: Alerts, readings: Readings, notify: Notify
) -> tuple[Mapping[AlertName, AlertState | None], list[Changed]]:
    """The alerts whose state changes, and what began or ended."""
    states: dict[AlertName, AlertState | None] = {}
    changes: list[Changed] = []
    seen: set[AlertName] = set()
    for observation in observe(readings):
        name = observation.kind, observation.store
        seen.add(name)
        before = alerts.states.get(name)
        after, change = advance(before, observation.holds, readings.now, for_s=DEFINITIONS[observation.kind].for_s)
        if after != before:
            states[name] = after
        if change is not None and after is not None:
            changes.append(_changed(observation, change, after))
    # Stores that are gone, or are no longer told of.
    states.update(dict.fromkeys(alerts.states.keys() - seen))
    return states, changes


def _changed(observation: Observation, change: Change, state: AlertState) -> Changed:
    return Changed(observation.kind, observation.store, change, state.since, observation.summary)


def _log_changes(changes: Sequence[Changed], now: float) -> None:
    for changed in changes:
        about = {"store": changed.store}
        if changed.change is Change.BEGAN:
            log.warning(Event.ALERT_BEGAN, alert=changed.kind.value, summary=changed.summary, **about)
        else:
            log.info(Event.ALERT_ENDED, alert=changed.kind.value, lasted_s=round(now - changed.since), **about)


def _pause_s(attempts: int, error: NotDelivered) -> float:
    doubled: float = min(FIRST_PAUSE_S * 2.0 ** min(attempts - 1, 20), LONGEST_PAUSE_S)
    return max(doubled, error.retry_after_s or 0.0)


def _transport() -> httpx.AsyncBaseTransport:
    # Imported here: a receiver makes no calls but these, and aiohttp takes 8 MB.
    from service.bigcommerce.connection_pool import http_client

    return http_client()
