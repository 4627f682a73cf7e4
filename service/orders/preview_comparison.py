"""Compares what two sets of rules give for the same orders, or the rules with what the ledger holds. Pure."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from service.orders.document.partial_loader import LoadedOrder
from service.orders.preview import Outcome, Preview
from service.orders.state.order_entry import Entry, Status
from service.orders.values.merge import PO_NUMBER

NOT_SEEN = "not enriched"
"""The outcome of an order that the ledger does not have."""


@dataclass(frozen=True, slots=True)
class Result:
    """How an order ends, and with which values: ``po_number`` and fields by fieldName.

    ``outcome`` is a word of ``preview.Outcome``, with its reason if there is one. An order that is not written has no
    values.
    """

    outcome: str
    values: Mapping[str, str]

    @classmethod
    def of_preview(cls, preview: Preview) -> "Result":
        """What the rules give now."""
        values = preview.values if preview.payload else None
        return cls(
            _outcome(preview.outcome, preview.reason, preview.rule),
            {} if values is None else _texts(values.po_number, values.extra_fields),
        )

    @classmethod
    def of_entry(cls, entry: Entry | None) -> "Result":
        """What the rules gave when the order was enriched."""
        if entry is None:
            return cls(NOT_SEEN, {})
        if entry.status.is_written or entry.status is Status.UNCHANGED:
            return cls(Outcome.SENT.value, _texts(entry.po_number, entry.fields))
        outcome = {Status.SKIPPED: Outcome.SKIPPED, Status.FAILED: Outcome.FAILED}.get(entry.status, Outcome.WAITING)
        return cls(_outcome(outcome, entry.reason, entry.rule), {})


@dataclass(frozen=True, slots=True)
class Change:
    """A value that differs; None: there is none."""

    name: str
    old: str | None
    new: str | None


@dataclass(frozen=True, slots=True)
class Comparison:
    """An order's old and new result, and the values that differ, the PO number first."""

    loaded: LoadedOrder
    old: Result
    new: Result
    changes: tuple[Change, ...]

    @property
    def changes_outcome(self) -> bool:
        """Whether the order would end in another way."""
        return self.old.outcome != self.new.outcome

    @property
    def differs(self) -> bool:
        """Whether anything differs."""
        return bool(self.changes) or self.changes_outcome


def compare(loaded: LoadedOrder, old: Result, new: Result) -> Comparison:
    """The differences between two results of an order."""
    names = sorted(old.values.keys() | new.values.keys(), key=lambda name: (name != PO_NUMBER, name))
    changes = [Change(name, old.values.get(name), new.values.get(name)) for name in names]
    return Comparison(loaded, old, new, tuple(change for change in changes if change.old != change.new))


def differences_first(comparisons: Iterable[Comparison]) -> list[Comparison]:
    """Orders that differ before those that do not; otherwise the order of ``comparisons`` stays."""
    return sorted(comparisons, key=lambda each: not each.differs)


def count_changes(comparisons: Sequence[Comparison]) -> Counter[str]:
    """For how many orders each value differs."""
    return Counter(change.name for each in comparisons for change in each.changes)


def _outcome(outcome: Outcome, reason: str | None, rule: str | None) -> str:
    return ": ".join(filter(None, (outcome.value, reason, rule)))


def _texts(po_number: str | None, fields: Mapping[str, str]) -> dict[str, str]:
    return {**({} if po_number is None else {PO_NUMBER: po_number}), **fields}
