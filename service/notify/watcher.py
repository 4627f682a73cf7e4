"""Looks at the alerts, records how they have changed, and queues the messages about it, both in one step."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

import structlog

from service.configuration import Configuration
from service.logs import Event
from service.notify.alert_state import AlertState, Change, advance
from service.notify.alerts import DEFINITIONS, AlertKind, Readings, observe
from service.notify.channels import channels_of
from service.notify.messages import Changed, messages_for
from service.notify.persistence import AlertName, Alerts, Persistence, Queued
from service.notify.readings import ReadingsReader

log = structlog.get_logger()

# So many of the newest failed orders say why they have failed.
MAX_REASONS_OF = 50


class Watcher:
    """Looks at the alerts of the stores that ``[notify]`` tells of, one worker at a time. Errors are Redis's own."""

    def __init__(
        self,
        persistence: Persistence,
        reader: ReadingsReader,
        *,
        owner: str,
        lease_s: float,
        drop: Callable[[Queued, str], None],
    ) -> None:
        """``owner`` holds the lease, for ``lease_s`` seconds. ``drop`` gets each message without room, and why."""
        self._persistence = persistence
        self._reader = reader
        self._owner = owner
        self._lease_s = lease_s
        self._drop = drop

    async def watch(self, configuration: Configuration) -> int | None:
        """Look once; returns how many messages were queued, or None if another worker watches."""
        notify = configuration.notify
        if notify is None or not await self._persistence.hold_lease("watch", self._owner, ttl_s=self._lease_s):
            return None
        stores = [store for store in configuration.stores if notify.tells_of(store)]
        readings = await self._reader.read(configuration, stores)
        alerts = await self._persistence.alerts()
        states, changes = _advance_all(alerts, readings)
        if not states:
            return 0
        changes = [await self._with_reasons(changed) for changed in changes]
        tables = {store_hash: configured.store for store_hash, configured in configuration.stores.items()}
        messages = messages_for(changes, tables, notify, now=readings.now)
        names = [channel.name for channel in channels_of(notify)]
        dropped = await self._persistence.record(alerts.version, states, messages, names)
        if dropped is None:  # this worker's lease had ended, and another one was faster
            return None
        _log_changes(changes, readings.now)
        for queued in dropped:
            self._drop(queued, "too many messages wait")
        return len(messages)

    async def stop(self) -> None:
        """Let another worker watch at once."""
        await self._persistence.release_lease("watch", self._owner)

    async def _with_reasons(self, changed: Changed) -> Changed:
        if changed.kind is not AlertKind.FAILED_ORDERS_WAIT or changed.change is Change.ENDED or changed.store is None:
            return changed
        failures = await self._reader.failures(changed.store, after=changed.told_until)
        reasons = Counter(failure.reason or "unknown" for failure in failures[:MAX_REASONS_OF]).most_common(3)
        named = ", ".join(f"{reason[:80]} ({number})" for reason, number in reasons)
        of = "Reasons" if len(failures) <= MAX_REASONS_OF else f"Reasons of the newest {MAX_REASONS_OF}"
        has = "has" if len(failures) == 1 else "have"
        news = f" {len(failures)} {has} failed since the last message." if changed.change is Change.MORE else ""
        return replace(changed, summary=f"{changed.summary}{news} {of}: {named}.") if named else changed


def _advance_all(alerts: Alerts, readings: Readings) -> tuple[Mapping[AlertName, AlertState | None], list[Changed]]:
    """The alerts whose state changes, and what people are told."""
    states: dict[AlertName, AlertState | None] = {}
    changes: list[Changed] = []
    seen: set[AlertName] = set()
    for observation in observe(readings):
        name = observation.kind, observation.store
        seen.add(name)
        before, for_s = alerts.states.get(name), DEFINITIONS[observation.kind].for_s
        after, change = advance(before, observation.holds, readings.now, for_s=for_s, parts=observation.parts)
        if after != before:
            states[name] = after
        if change is not None and after is not None:
            told_until = before.news.told_until if before and before.news and change is Change.MORE else 0.0
            changes.append(Changed(*name, change, after.since, observation.summary, told_until))
    # Stores that are gone, or are no longer told of.
    states.update(dict.fromkeys(alerts.states.keys() - seen))
    return states, changes


def _log_changes(changes: Sequence[Changed], now: float) -> None:
    for changed in changes:
        store_log = log.bind(store=changed.store) if changed.store else log
        if changed.change is Change.BEGAN:
            store_log.warning(Event.ALERT_BEGAN, alert=changed.kind.value, summary=changed.summary)
        elif changed.change is Change.MORE:
            store_log.warning(Event.ALERT_HAS_MORE, alert=changed.kind.value, summary=changed.summary)
        else:
            store_log.info(Event.ALERT_ENDED, alert=changed.kind.value, lasted_s=round(now - changed.since))
