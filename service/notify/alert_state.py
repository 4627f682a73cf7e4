"""When an alert begins and ends: a pure state machine with hysteresis (Prometheus's ``for`` and ``keep_firing_for``).

::

    (none) ──holds──▶ pending ──for_s──▶ firing ──clear for keep_s──▶ resolved ──a day──▶ (none)
                         ▲                                               │
                         └───────────────────holds──────────────────────┘

An alert that comes and goes must be clear for longer each time before it counts as over, so it sends fewer and fewer
messages.
"""

from enum import StrEnum

from pydantic import BaseModel, ConfigDict

# How long an alert must be clear before it is over: at first, doubled with each time that it began again, and at most.
FIRST_KEEP_S = 300.0
LONGEST_KEEP_S = 6 * 3600.0

# An alert that was quiet for so long starts afresh.
FORGOTTEN_AFTER_S = 86_400.0

MAX_BEGINS_A_DAY = 10
"""With these numbers, an alert begins at most so often in a day: the pauses alone take 5, 10, 20 … 360 minutes."""


class Phase(StrEnum):
    """The phases of an alert."""

    PENDING = "pending"
    FIRING = "firing"
    RESOLVED = "resolved"


class Change(StrEnum):
    """What people are told of."""

    BEGAN = "began"
    ENDED = "ended"


class AlertState(BaseModel):
    """An alert as it is kept, as JSON. Times are seconds since the epoch, on Redis's clock.

    ``since`` is when the condition began to hold, ``clear_since`` when it ceased to (None: it holds); ``begins`` counts
    how often the alert began since it was last forgotten.
    """

    model_config = ConfigDict(frozen=True)

    phase: Phase
    since: float
    clear_since: float | None = None
    begins: int = 0

    @property
    def keep_s(self) -> float:
        """For how long the condition must be clear before the alert is over, in seconds."""
        return min(FIRST_KEEP_S * 2.0 ** max(0, self.begins - 1), LONGEST_KEEP_S)


def advance(
    state: AlertState | None, holds: bool | None, now: float, *, for_s: float
) -> tuple[AlertState | None, Change | None]:
    """The state after an observation, and what people are told. Where nothing is known (None), nothing changes."""
    if holds is None:
        return state, None
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
    return state.model_copy(update={"phase": Phase.RESOLVED, "clear_since": now})


def _forget(state: AlertState | None, now: float) -> AlertState | None:
    if state is None or now - (state.clear_since or state.since) > FORGOTTEN_AFTER_S:
        return None
    return state
