"""An order's entry in the ledger: its status, its times, and what was sent."""

import json
from collections.abc import Mapping
from dataclasses import MISSING, dataclass, field, fields
from enum import StrEnum
from operator import attrgetter
from typing import Any, Literal, Self

from service.orders.create_window import WINDOW_LENGTH_S
from service.orders.state.attempt_notes import AttemptNote, decode_notes
from service.orders.state.set_values import ByHand


class Status(StrEnum):
    """An order's status. All but the first two are final."""

    QUEUED = "queued"
    WAITING = "waiting"
    CREATED = "created"
    UPDATED = "updated"
    UNCHANGED = "unchanged"
    SKIPPED = "skipped"
    FAILED = "failed"

    @property
    def is_final(self) -> bool:
        """Whether the order is finished: the service does nothing more with it by itself."""
        return self not in (Status.QUEUED, Status.WAITING)

    @property
    def is_written(self) -> bool:
        """Whether the order is finished and its record holds values of ours."""
        return self in (Status.CREATED, Status.UPDATED)


Via = Literal["b2b", "storefront"]
"""The API that a Create goes over: B2B Edition's own, or the storefront API, as the buyer."""

WindowResult = Literal["made", "missed", "merged", "not_counted"]
"""What became of an order's window, once it was first finished (``service.orders.statistics.window_result``)."""


class Stage(StrEnum):
    """The stages that an order passes within its window, in this order."""

    CREATED = "created"
    WEBHOOK_SENT = "webhook_sent"
    RECEIVED = "received"
    QUEUED = "queued"
    PICKED_UP = "picked_up"
    READ = "read"
    SENT = "sent"
    ANSWERED = "answered"
    VERIFIED = "verified"


NEW_ORDER_SOURCES = frozenset({"webhook", "reconcile"})
"""The sources of orders that have just been placed. All others have an order start again, or are a person's."""

# The times of these two are BigCommerce's; the others are on Redis's clock (``clocks``), whichever machine writes them.
_UPSTREAM_STAGES = frozenset({Stage.CREATED, Stage.WEBHOOK_SENT})


@dataclass(frozen=True, slots=True)
class Sent:
    """What was last sent to B2B Edition for an order; saved before the call.

    ``answered`` is true once BigCommerce has confirmed the write. ``carried`` are the fields of somebody else that an
    Update sent along, by the record's own names; ``labels`` is fieldName → label of the fields that were sent; ``via``
    is the API that it was sent over.
    """

    by: Literal["create", "update"]
    po_number: str | None
    extra_fields: Mapping[str, str]
    answered: bool = False
    carried: Mapping[str, Any] = field(default_factory=dict)
    labels: Mapping[str, str] = field(default_factory=dict)
    via: Via = "b2b"


@dataclass(slots=True)
class Entry:
    """One order in the ledger. Stage times are seconds since the epoch; ``skew`` is BigCommerce's clock minus Redis's.

    ``given`` holds, by rule, the value and its place in the rule (``service.rules.later_changes``), and
    ``rules_version`` the rules that gave them; ``follows`` is true while the values are those of a later change, which
    are not resolved again; ``awaits_record`` is true where they wait for the record that B2B Edition makes by itself
    (``strategy = "merge"``); ``made_record`` is true once it is known that our Create made the record; ``settled``
    names the values that were verified at least once, ``put_back`` those that were written again because the record had
    lost them, ours and others' that we carried along, ``restoring`` those of them that are being written again now;
    ``updates`` counts our Updates.

    ``attempts`` is the number of the last attempt; ``composed`` is true once ``po_number`` and ``fields`` are the
    values to send; ``exists`` is true once its record is known to exist, so that Create an Order is not needed;
    ``written`` holds, for ``po_number`` and each extra field, all values that we have sent; ``create_age`` is the
    order's age in seconds when Create an Order was last sent; ``recorded_at`` is when its record was made, on B2B
    Edition's clock, once we have read it; ``rule`` is the required rule whose value it waits for; ``woken_by`` is what
    ended its last wait for a value; ``wait_logged`` is true once the log says that it waits for a person; ``waited`` is
    true once it has waited for its status or for the value of a required rule; ``window_counted`` is true once it is in
    the metrics of the window.

    ``announced_at`` is when BigCommerce created the order's first webhook, ``window_opened_at`` when the order was
    made as far as can be inferred, both on BigCommerce's clock; the latter is set only where ``date_created`` does not
    tell (``workers.orders.steps.order_date``). ``missing_since`` is when B2B Edition was first seen without a record
    of the order well after its window, on our clock; ``late_creates`` counts the Creates sent after the window, the
    last at ``late_create_at``. ``order_type`` is the platform's own metafield; empty where it was waited for in vain.

    ``window_result`` says whether the order made its window when it was first finished, ``missed_reason`` why not.

    ``company_id`` is the Company that the values came from, where a rule names ``company``; ``record_company_id`` is
    the Company that the record shows, once it was seen. ``cleared`` are ``po_number`` and fields whose values came
    from another Company and for which the right one has none.

    ``channel_id`` is the storefront that it was placed on. ``has_comment`` is true where Create is to keep the order's
    comment and it has one, ``comment_not_kept`` once our Create has made the record without it. ``over_storefront`` is
    true once it is known that our Create over the storefront API made the record.

    ``cart`` is what was read of its cart, until the order is finished: an answer, also that the cart is gone, is read
    once. That is safe, for the cart was written before the order and BigCommerce closes it with the order; asking again
    could only lose a value, once the cart is deleted.

    Two are not stored: ``has_changed`` says that something told of a change since the attempt before this one,
    ``is_job_closed`` that this attempt has moved the order to another state, which closes its job.

    ``history`` has what its last attempts did.

    ``by_hand`` are the values set by hand. Attempts read them and never write them: a person may set others meanwhile.
    ``by_hand_used`` is the id of those that its attempts know; ``replace_used`` of those whose permission to replace a
    value of somebody else was used.
    """

    store: str
    order_id: int
    status: Status = Status.QUEUED
    reason: str | None = None
    rule: str | None = None
    verified: bool | None = None
    po_number: str | None = None
    fields: dict[str, str] = field(default_factory=dict)
    kept: list[str] = field(default_factory=list)
    dropped: dict[str, str] = field(default_factory=dict)
    customer_id: int | None = None
    channel_id: int = 1
    has_comment: bool = False
    comment_not_kept: bool = False
    over_storefront: bool = False
    source: str | None = None
    webhook_id: str | None = None
    times: dict[Stage, float] = field(default_factory=dict)
    skew: float = 0.0
    ended_at: float | None = None
    attempts: int = 0
    upstream_calls: int = 0
    sent: Sent | None = None
    written: dict[str, list[str]] = field(default_factory=dict)
    create_age: float | None = None
    recorded_at: int | None = None
    late_until: float | None = None
    late_rules: list[str] = field(default_factory=list)
    given: dict[str, tuple[str, int]] = field(default_factory=dict)
    rules_version: str | None = None
    follows: bool = False
    awaits_record: bool = False
    made_record: bool = False
    settled: list[str] = field(default_factory=list)
    put_back: list[str] = field(default_factory=list)
    restoring: list[str] = field(default_factory=list)
    updates: int = 0
    woken_by: str | None = None
    wait_logged: bool = False
    waited: bool = False
    window_counted: bool = False
    announced_at: float | None = None
    window_opened_at: float | None = None
    missing_since: float | None = None
    late_creates: int = 0
    late_create_at: float | None = None
    order_type: str | None = None
    window_result: WindowResult | None = None
    missed_reason: str | None = None
    company_id: int | None = None
    record_company_id: int | None = None
    cleared: list[str] = field(default_factory=list)
    by_hand: ByHand | None = None
    by_hand_used: str | None = None
    replace_used: str | None = None
    composed: bool = False
    exists: bool = False
    start_over: bool = False
    checks: int = 0
    repaired: bool = False
    recovering_since: float | None = None
    trouble: str | None = None
    cart: dict[str, Any] | None = None
    history: list[AttemptNote] = field(default_factory=list)
    has_changed: bool = field(default=False, compare=False)
    is_job_closed: bool = field(default=False, compare=False)
    _stored: set[str] = field(default_factory=set, init=False, repr=False, compare=False)

    @property
    def opened_at(self) -> float | None:
        """When the order's window opened, on BigCommerce's clock; None before the order was read."""
        return self.times.get(Stage.CREATED) if self.window_opened_at is None else self.window_opened_at

    @property
    def values_by_hand(self) -> dict[str, str]:
        """The values set by hand, by name."""
        return self.by_hand.texts if self.by_hand else {}

    def use_by_hand(self) -> bool:
        """Have the values resolved with those set by hand, if somebody has set or cleared any since they last were."""
        if self.by_hand is None or self.by_hand.id == self.by_hand_used:
            return False
        self.by_hand_used = self.by_hand.id
        self.composed = self.follows = self.awaits_record = False
        return True

    @property
    def may_replace(self) -> tuple[str, ...]:
        """The names whose values the next write may put in place of somebody else's."""
        return self.by_hand.replace if self.by_hand and self.by_hand.id != self.replace_used else ()

    @property
    def made_at(self) -> float | None:
        """When the order was made, as far as is known, where its ``date_created`` does not say; else None."""
        return None if self.window_opened_at is None else self.announced_at or self.window_opened_at

    @property
    def in_window(self) -> bool | None:
        """Whether our Create made the record inside the order's window.

        None for an order that was not created, and for one whose window is not known for sure: no share counts it.
        """
        if self.status is not Status.CREATED or self.window_opened_at is not None:
            return None
        return self.create_age is not None and self.create_age < WINDOW_LENGTH_S

    @property
    def written_status(self) -> Status:
        """The status of an order with values of ours on its record: who made the record decides, whenever that was."""
        is_create = self.sent is not None and self.sent.by == "create"
        return Status.CREATED if self.made_record or is_create else Status.UPDATED

    @property
    def made_window(self) -> bool | None:
        """What the order counts as in a share of orders in the window.

        None: not at all. It is not written, or its window is not known for sure; or no Create could have been sent in
        time: the order was old or finished already, it waited for its status or a required value, or for the record of
        a store that lets the platform be first.
        """
        if not self.status.is_written or self.window_opened_at is not None:
            return None
        if self.in_window:
            return True
        is_new = self.source in NEW_ORDER_SOURCES
        return False if is_new and not self.waited and not self.awaits_record else None

    @property
    def via(self) -> Via | None:
        """The API that our Create made the record over; None where it did not."""
        if self.status is not Status.CREATED:
            return None
        return "storefront" if self.over_storefront else "b2b"

    @property
    def given_up(self) -> set[str]:
        """What was put back once: whoever takes it off the record again means it."""
        return set(self.put_back) - set(self.restoring)

    def age_at(self, stage: Stage) -> float | None:
        """Seconds from the order's creation to a stage, on BigCommerce's clock; None when either time is unknown.

        Never negative: BigCommerce's clock is known to about a second only.
        """
        created, time = self.times.get(Stage.CREATED), self.times.get(stage)
        if created is None or time is None:
            return None
        return max(0.0, time - created + (0.0 if stage in _UPSTREAM_STAGES else self.skew))

    def to_hash(self) -> dict[str, str]:
        """The entry as a Redis hash: a field for each attribute, and ``t:<stage>`` for each stage.

        Attributes that have had their default ever since the entry was read are left out: most of them.
        """
        stored = self._stored
        plain = {
            name: _encode(value)
            for name, value, default in zip(_WRITTEN, _values_of(self), _WRITTEN.values(), strict=True)
            if value != default or (name in stored and (value is not None or name not in _NEVER_RESET))
        }
        stored.update(plain)
        return plain | {f"t:{stage}": f"{time:.3f}" for stage, time in self.times.items()}

    @classmethod
    def from_hash(cls, store: str, order_id: int, stored: Mapping[str, str]) -> Self:
        """Read what ``to_hash`` wrote. Fields of a newer version are ignored."""
        entry = cls(store, order_id)
        for name, raw in stored.items():
            if name in _NAMES:
                entry._stored.add(name)
                setattr(entry, name, _DECODERS.get(name, _decode)(raw))
        entry.times = {stage: float(stored[name]) for name, stage in _STAGES_BY_NAME.items() if name in stored}
        return entry


# These have a value or are unknown: nothing resets them, so an unknown one is not written.
_NEVER_RESET = frozenset(
    {
        "customer_id",
        "source",
        "webhook_id",
        "skew",
        "ended_at",
        "create_age",
        "recorded_at",
        "late_until",
        "announced_at",
        "window_opened_at",
        "missing_since",
        "late_create_at",
        "order_type",
        "window_result",
        "missed_reason",
        "record_company_id",
    }
)
_SENT = tuple(f.name for f in fields(Sent))
_DEFAULTS: tuple[tuple[str, Any], ...] = (
    ("status", None),  # always written: scripts rely on it
    *(
        (f.name, f.default if f.default_factory is MISSING else f.default_factory())
        for f in fields(Entry)
        if f.name not in ("store", "order_id", "status", "times", "has_changed", "is_job_closed", "_stored")
    ),
)


_WRITTEN = {name: default for name, default in _DEFAULTS if name != "by_hand"}
_values_of = attrgetter(*_WRITTEN)

# As ASCII: half a surrogate pair, which a shopper can type, is not valid UTF-8.
_to_json = json.JSONEncoder(separators=(",", ":")).encode


def _encode(value: Any) -> str:
    # Most values are one of these, and an encoder costs more than all the rest.
    if value is None:
        return "null"
    if value is True or value is False:
        return "true" if value else "false"
    kind = type(value)
    if kind is int or kind is float:
        return repr(value)
    if kind is Status:
        return value.value  # type: ignore[no-any-return]
    if value == []:
        return "[]"
    if value == {}:
        return "{}"
    if isinstance(value, Sent):
        parts = (getattr(value, name) for name in _SENT)
        value = [dict(part) if isinstance(part, Mapping) else part for part in parts]
    return _to_json(value)


def _decode_status(text: str) -> Status:
    return _STATUSES.get(text) or Status(text)


def _decode(text: str) -> Any:
    # Most values are one of these, and a page reads hundreds: a decoder costs several times as much.
    if text in _WORDS:
        return _WORDS[text]
    if text[:1] == '"' == text[-1:] and text.count('"') == 2 and "\\" not in text:
        return text[1:-1]
    return json.loads(text)


def _decode_sent(text: str) -> Sent | None:
    # Another version may have written fewer or more of them.
    return Sent(*sent[: len(_SENT)]) if (sent := json.loads(text)) else None


def _decode_given(text: str) -> dict[str, tuple[str, int]]:
    return {name: (value, place) for name, (value, place) in json.loads(text).items()}


_NAMES = frozenset(name for name, _ in _DEFAULTS)
_STAGES_BY_NAME = {f"t:{stage}": stage for stage in Stage}

_STATUSES = {status.value: status for status in Status}
_WORDS: dict[str, bool | None] = {"null": None, "true": True, "false": False}

_DECODERS: dict[str, Any] = {
    "status": _decode_status,
    "sent": _decode_sent,
    "given": _decode_given,
    "by_hand": ByHand.from_json,
    "history": decode_notes,
}
