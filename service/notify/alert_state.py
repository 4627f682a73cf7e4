"""When an alert begins and ends: a pure state machine with hysteresis (Prometheus's ``for`` and ``keep_firing_for``).

::

    (none) ──holds──▶ pending ──for_s──▶ firing ──clear for keep_s──▶ resolved ──a day──▶ (none)
                         ▲                                               │
                         └───────────────────holds──────────────────────┘

An alert that comes and goes must be clear for longer each time before it counts as over, so it sends fewer and fewer
messages. While one goes on, what is new about it is told, too, with pauses that grow in the same way: ``News``.
"""

from collections.abc import Mapping
from enum import StrEnum

from pydantic import BaseModel, ConfigDict

# How long an alert must be clear before it is over: at first, doubled with each time that it began again, and at most.
FIRST_KEEP_S = 300.0
LONGEST_KEEP_S = 6 * 3600.0

# An alert that was quiet for so long starts afresh.
FORGOTTEN_AFTER_S = 86_400.0

MAX_BEGINS_A_DAY = 10
"""With these numbers, an alert begins at most so often in a day: the pauses alone take 5, 10, 20 … 360 minutes."""


# So many parts of an alert are each told of soon; those after them wait for the pause, as what is known already does.
MAX_PARTS = 20


class Phase(StrEnum):
    """The phases of an alert."""

    PENDING = "pending"
    FIRING = "firing"
    RESOLVED = "resolved"


class Change(StrEnum):
    """What people are told of."""

    BEGAN = "began"
    MORE = "more"
    ENDED = "ended"


class News(BaseModel):
    """What people have been told of an alert that goes on.

    ``told_until`` is the time of the newest thing that was told of, ``told_at`` when; ``parts`` are the names of what
    it was about. ``waiting_since``: there is something newer since then. ``messages`` counts those since the alert
    began, or since a quiet day.
    """

    model_config = ConfigDict(frozen=True)

    told_until: float
    told_at: float
    parts: tuple[str, ...] = ()
    waiting_since: float | None = None
    messages: int = 0

    def fresh(self, parts: Mapping[str, float]) -> dict[str, float]:
        """Those that are newer than what was told of."""
        return {part: at for part, at in parts.items() if at > self.told_until}

    def due_at(self, fresh: Mapping[str, float], since: float, for_s: float) -> float:
        """When to tell of what is fresh ``since`` then: a new part soon, the rest after a pause that has doubled."""
        is_new = len(self.parts) < MAX_PARTS and any(part not in self.parts for part in fresh)
        pause = for_s if is_new else min(FIRST_KEEP_S * 2.0**self.messages, LONGEST_KEEP_S)
        return max(since + for_s, self.told_at + pause)


class AlertState(BaseModel):
    """An alert as it is kept, as JSON. Times are seconds since the epoch, on Redis's clock.

    ``since`` is when the condition began to hold, ``clear_since`` when it ceased to (None: it holds); ``begins`` counts
    how often the alert began since it was last forgotten. ``news`` is there while an alert fires that has parts.
    """

    model_config = ConfigDict(frozen=True)

    phase: Phase
    since: float
    clear_since: float | None = None
    begins: int = 0
    news: News | None = None

    @property
    def keep_s(self) -> float:
        """For how long the condition must be clear before the alert is over, in seconds."""
        return min(FIRST_KEEP_S * 2.0 ** max(0, self.begins - 1), LONGEST_KEEP_S)


def advance(
    state: AlertState | None,
    holds: bool | None,
    now: float,
    *,
    for_s: float,
    parts: Mapping[str, float] | None = None,
) -> tuple[AlertState | None, Change | None]:
    """The state after an observation, and what people are told. Where nothing is known (None), nothing changes.

    ``parts`` are the things that the alert is about, such as groups of orders, each with the time of its newest.
    """
    if holds is None:
        return state, None
    after, change = _advance(state, holds, now, for_s)
    if not holds or not parts or after is None or after.phase is not Phase.FIRING:
        return after, change
    if change is Change.BEGAN or after.news is None:  # None: an older version has told of it
        return after.model_copy(update={"news": _told(None, parts, now)}), change
    return _tell_more(after, after.news, parts, now, for_s)


def _tell_more(
    state: AlertState, news: News, parts: Mapping[str, float], now: float, for_s: float
) -> tuple[AlertState, Change | None]:
    fresh = news.fresh(parts)
    since = (now if news.waiting_since is None else news.waiting_since) if fresh else None
    if since is None or now < news.due_at(fresh, since, for_s):
        return state.model_copy(update={"news": news.model_copy(update={"waiting_since": since})}), None
    return state.model_copy(update={"news": _told(news, fresh, now)}), Change.MORE


def _told(news: News | None, fresh: Mapping[str, float], now: float) -> News:
    before, messages = news.parts if news else (), news.messages + 1 if news else 0
    if news and now - news.told_at > FORGOTTEN_AFTER_S:
        messages = 1
    parts = tuple(dict.fromkeys((*before, *fresh)))[:MAX_PARTS]
    return News(told_until=max(fresh.values()), told_at=now, parts=parts, messages=messages)


def _advance(
    state: AlertState | None, holds: bool, now: float, for_s: float
) -> tuple[AlertState | None, Change | None]:
    if state is None or state.phase is Phase.RESOLVED:
        return _hold(state, now, for_s) if holds else (_forget(state, now), None)
    if state.phase is Phase.PENDING:
        if not holds:
            # It never began. What is known of earlier times stays.
            return (_resolved(state, now) if state.begins else None), None
        return (_firing(state), Change.BEGAN) if now - state.since >= for_s else (state, None)
    return _fire(state, holds, now)


def _hold(state: AlertState | None, now: float, for_s: float) -> tuple[AlertState, Change | None]:
    pending = AlertState(phase=Phase.PENDING, since=now, begins=state.begins if state else 0)
    return (pending, None) if for_s > 0 else (_firing(pending), Change.BEGAN)


def _fire(state: AlertState, holds: bool, now: float) -> tuple[AlertState, Change | None]:
    if holds:
        return state.model_copy(update={"clear_since": None}), None
    if state.clear_since is None:
        return state.model_copy(update={"clear_since": now}), None
    if now - state.clear_since < state.keep_s:
        return state, None
    return _resolved(state, now), Change.ENDED


def _firing(pending: AlertState) -> AlertState:
    return pending.model_copy(update={"phase": Phase.FIRING, "begins": pending.begins + 1})


def _resolved(state: AlertState, now: float) -> AlertState:
    return state.model_copy(update={"phase": Phase.RESOLVED, "clear_since": now, "news": None})


def _forget(state: AlertState | None, now: float) -> AlertState | None:
    if state is None or now - (state.clear_since or state.since) > FORGOTTEN_AFTER_S:
        return None
    return state
