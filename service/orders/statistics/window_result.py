"""Whether an order made its window, and why not: decided once, when it is first finished.

Retries, corrections and later changes do not change it: they come after its window.
"""

from itertools import pairwise

from service.orders.create_window import WINDOW_LENGTH_S
from service.orders.state.order_entry import Entry, Stage, WindowResult

NO_WEBHOOK = "no webhook"
WEBHOOK_LATE = "webhook late"
RECORD_THERE = "record was there"
CREDENTIALS = "credentials refused"
NO_WORKER = "no worker in time"
QUOTA = "quota"
UPSTREAM = "BigCommerce's errors"

_REFUSED = "BigCommerce refuses the store's credentials"
"""How the trouble of a parked order begins (``workers.orders.completion``)."""
_SPENT = ("quota", ": 429:")
"""One of these is in each trouble that comes of a spent quota: ``service.errors.OutOfBudget``, an answer 429."""


def judge_window(entry: Entry, *, merges: bool) -> tuple[WindowResult, str | None]:
    """Whether a finished order made its window, and why it missed it.

    ``merges``: its store lets the platform make the record first. Otherwise ``Entry.made_window`` decides.
    """
    if not entry.status.is_written or entry.window_opened_at is not None:
        return "not_counted", None
    if merges or entry.awaits_record:
        return "merged", None
    if entry.made_window is None:
        return "not_counted", None
    return ("made", None) if entry.made_window else ("missed", _why(entry))


def _why(entry: Entry) -> str:
    """The first thing that took the window, in the order of the stages."""
    trouble = entry.trouble or ""
    if (_age(entry, Stage.QUEUED)) >= WINDOW_LENGTH_S:
        return WEBHOOK_LATE if entry.source == "webhook" else NO_WEBHOOK
    if trouble.startswith(_REFUSED):
        return CREDENTIALS
    if _age(entry, Stage.PICKED_UP) >= WINDOW_LENGTH_S:
        return NO_WORKER
    if entry.create_age is not None and entry.create_age < WINDOW_LENGTH_S:
        return RECORD_THERE
    if trouble:
        return QUOTA if any(sign in trouble.lower() for sign in _SPENT) else UPSTREAM
    return f"slow: {_longest_step(entry)}"


def _longest_step(entry: Entry) -> str:
    """The stage up to the write whose step took longest."""
    reached = [(stage, entry.age_at(stage)) for stage in list(Stage)[: list(Stage).index(Stage.ANSWERED)]]
    ages = [(stage, age) for stage, age in reached if age is not None]
    steps = {after: late - early for (_, early), (after, late) in pairwise(ages)}
    return max(steps, key=lambda stage: steps[stage]).value if steps else Stage.SENT.value


def _age(entry: Entry, stage: Stage) -> float:
    age = entry.age_at(stage)
    return 0.0 if age is None else age
