"""What today's rules and the edited ones give for the same orders, as a table."""

import hashlib
import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from service.configuration import ConfiguredStore
from service.console.rules.recent_orders import HeldOrders
from service.orders.document.partial_loader import LoadedOrder
from service.orders.preview import Outcome, Preview, preview
from service.orders.preview_comparison import Result, compare
from service.orders.state.order_entry import Entry
from service.orders.values.record_root import without_own_values
from service.rules import Evaluation, RuleSet
from service.rules.limited import LimitedEvaluator
from service.rules.rule_evaluation import CompiledRule, Trace

PO_NUMBER = "PO number"

ENTRY_FIELDS = ("reason", "rule", "po_number", "fields", "written", "by_hand")
"""What ``compare_rules`` needs of an entry, besides its status."""

# Those of the file and of somebody who edits them; each has all values of twenty orders.
_EVALUATIONS_KEPT = 4


@dataclass(frozen=True, slots=True)
class Cell:
    """What a rule gives: the text that is sent, or why there is none. ``is_unread``: its value is not known."""

    text: str | None = None
    note: str = ""
    is_unread: bool = False

    def as_dict(self) -> dict[str, Any]:
        """The cell for scripts."""
        return {"value": self.text, "note": self.note or None, "read": not self.is_unread}


@dataclass(frozen=True, slots=True)
class OrderRow:
    """One order: by rule what today's rules and the edited ones give, and how the order would end.

    ``entry`` is what the ledger has of it. ``differs_from_record``: it has ended with other values than the edited
    rules would give, which stay until somebody retries it.
    """

    loaded: LoadedOrder
    old: Mapping[str, Cell]
    new: Mapping[str, Cell]
    old_outcome: str
    new_outcome: str
    entry: Entry | None
    differs_from_record: bool

    @property
    def differs(self) -> bool:
        """Whether anything differs."""
        return self.old != self.new or self.old_outcome != self.new_outcome


@dataclass(frozen=True, slots=True)
class RuleComparison:
    """The table: columns by rule, a row an order, newest first. ``unread`` are roots that the edited rules name."""

    columns: Sequence[str]
    rows: Sequence[OrderRow]
    unread: Sequence[str]

    @property
    def changed(self) -> int:
        """How many orders would get other values, or end in another way."""
        return sum(row.differs for row in self.rows)

    @property
    def to_retry(self) -> list[int]:
        """The orders that have ended with other values than the edited rules give."""
        return [row.loaded.order_id for row in self.rows if row.differs_from_record]

    def as_dict(self) -> dict[str, Any]:
        """The table for scripts."""
        return {
            "changed": self.changed,
            "not_read": list(self.unread),
            "orders": [
                {
                    "order_id": row.loaded.order_id,
                    "differs": row.differs,
                    "outcome": {"today": row.old_outcome, "edited": row.new_outcome},
                    "today": {name: cell.as_dict() for name, cell in row.old.items()},
                    "edited": {name: cell.as_dict() for name, cell in row.new.items()},
                }
                for row in self.rows
            ],
        }


async def compare_rules(
    evaluator: LimitedEvaluator,
    held: HeldOrders,
    old: ConfiguredStore,
    new: ConfiguredStore,
    entries: Sequence[Entry | None],
) -> RuleComparison:
    """Apply both to the orders that are held. ``entries`` are those of the orders, in their order: ENTRY_FIELDS."""
    documents = [
        without_own_values(loaded.document, entry.written if entry else {})
        for loaded, entry in zip(held.orders, entries, strict=True)
    ]
    written = [entry.written if entry else {} for entry in entries]
    before = await _evaluated(evaluator, held, old.rules, documents, written)
    same = new.rules.to_json() == old.rules.to_json()
    after = before if same else await _evaluated(evaluator, held, new.rules, documents, written)
    rows = [
        _row(held, loaded, entry, (old, first), (new, second))
        for loaded, entry, first, second in zip(held.orders, entries, before, after, strict=True)
    ]
    columns = dict.fromkeys([*(_name(rule) for rule in old.rules.rules), *(_name(rule) for rule in new.rules.rules)])
    return RuleComparison(list(columns), rows, sorted(new.rules.needed_roots - held.roots))


async def _evaluated(
    evaluator: LimitedEvaluator,
    held: HeldOrders,
    rules: RuleSet,
    documents: Sequence[Mapping[str, Any]],
    written: Sequence[Mapping[str, Any]],
) -> list[Evaluation]:
    """As ``evaluator`` has it. What it found for the same rules and orders is known; where a rule failed it may not."""
    key = hashlib.sha256(json.dumps([rules.to_json(), written]).encode()).hexdigest()
    if (known := held.evaluations.get(key)) is not None:
        return known
    found = await evaluator.evaluate(rules, documents)
    if not any(each.errors for each in found):
        held.evaluations[key] = found
        while len(held.evaluations) > _EVALUATIONS_KEPT:
            del held.evaluations[next(iter(held.evaluations))]
    return found


def _row(
    held: HeldOrders,
    loaded: LoadedOrder,
    entry: Entry | None,
    old: tuple[ConfiguredStore, Evaluation],
    new: tuple[ConfiguredStore, Evaluation],
) -> OrderRow:
    now, by_hand = time.time(), entry.values_by_hand if entry else {}
    unread = held.unread(loaded)

    def given(configured: ConfiguredStore, evaluation: Evaluation) -> tuple[Preview, dict[str, Cell], str]:
        shown = preview(configured, loaded, held.configs, by_hand=by_hand, now=now, evaluation=evaluation)
        cells = _cells(configured.rules.rules, shown, unread)
        return shown, cells, _outcome(shown, cells)

    before = given(*old)
    after = before if new[0] is old[0] else given(*new)
    return OrderRow(
        loaded,
        before[1],
        after[1],
        before[2],
        after[2],
        entry,
        _differs_from_record(loaded, entry, after[0], after[1]),
    )


def _differs_from_record(loaded: LoadedOrder, entry: Entry | None, new: Preview, cells: Mapping[str, Cell]) -> bool:
    if entry is None or not entry.status.is_final or any(cell.is_unread for cell in cells.values()):
        return False
    return compare(loaded, Result.of_entry(entry), Result.of_preview(new)).differs


def _outcome(shown: Preview, cells: Mapping[str, Cell]) -> str:
    depends_on_values = shown.outcome in (Outcome.FAILED, Outcome.WAITING, Outcome.SENT)
    if depends_on_values and any(cell.is_unread for cell in cells.values()):
        return "not read"
    return Result.of_preview(shown).outcome


def _cells(rules: Sequence[CompiledRule], shown: Preview, unread: frozenset[str]) -> dict[str, Cell]:
    cells = {}
    for rule, result in zip(rules, shown.results, strict=True):
        if _is_unread(rule, result.trace, unread) and not result.error:
            cells[_name(rule)] = Cell(is_unread=True)
        else:
            note = result.dropped or result.error or ("required" if result.required and result.sent is None else "")
            cells[_name(rule)] = Cell(result.sent, note)
    return cells


def _is_unread(rule: CompiledRule, trace: Trace, unread: frozenset[str]) -> bool:
    """Whether an expression that was tried reads what is not known, so that the rule might give another value."""
    tried = rule.reads[: trace.place + 1] if trace.kind == "from" else rule.reads
    return any(reads.roots & unread for reads in tried)


def _name(rule: CompiledRule) -> str:
    return PO_NUMBER if rule.is_po_number else rule.name
