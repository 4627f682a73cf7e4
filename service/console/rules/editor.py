"""What somebody has typed into the rules editor, read from the form; and what the editor keeps in memory."""

import hashlib
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from redis.asyncio import Redis
from starlette.datastructures import FormData

from service.configuration.reloading import LiveConfiguration
from service.console.rules.recent_orders import RecentOrders
from service.console.store_apis import StoreApis
from service.errors import ConfigError, Problem
from service.rules.expression import ROOTS
from service.rules.limited import LimitedEvaluator
from service.stores.editing.rule_rows import RuleRow, rows_of, with_rows

# Comparisons that were shown, of which each may be saved.
_SHOWN_MAX = 1000

_Text = Callable[[str], str]
"""The text of a field of the form, by its name."""

_WAIT: Mapping[str, bool | None] = {"": None, "yes": True, "no": False}


class RulesEditor:
    """What the editor keeps in the memory of the console."""

    def __init__(
        self, live: LiveConfiguration, apis: StoreApis, redis: Redis, evaluator: LimitedEvaluator | None = None
    ) -> None:
        self.live = live
        self.orders = RecentOrders(apis, redis)
        self.evaluator = evaluator or LimitedEvaluator()
        self._shown: OrderedDict[str, None] = OrderedDict()

    def note_shown(self, who: str, store: str, opened: str, rules: str) -> None:
        """Remember that somebody was shown what these rules would change in the file with this digest."""
        self._shown[_key(who, store, opened, rules)] = None
        while len(self._shown) > _SHOWN_MAX:
            self._shown.popitem(last=False)

    def was_shown(self, who: str, store: str, opened: str, rules: str) -> bool:
        """Whether it was shown to them. What another process showed, or this one before a restart, is not known."""
        return _key(who, store, opened, rules) in self._shown

    async def close(self) -> None:
        """Stop reading, and end the process that evaluates rules."""
        await self.orders.close()
        await self.evaluator.close()


def _key(*parts: str) -> str:
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()


@dataclass(frozen=True, slots=True)
class Edit:
    """The rules as somebody edits them.

    ``opened`` is the digest of the file when the page was opened, ``version`` the one that is taken back, if any.
    ``rows`` are those of the form, None where the text cannot be shown as a form. ``find`` is the text to find in the
    order ``find_order``; ``read`` are roots to read as well.
    """

    opened: str
    text: str
    as_toml: bool = False
    version: str = ""
    rows: Sequence[RuleRow] | None = None
    problems: Sequence[Problem] = ()
    find: str = ""
    find_order: str = ""
    wants_find: bool = False
    read: frozenset[str] = field(default_factory=frozenset)


def begin(opened: str, text: str, store: str, *, as_toml: bool = False, version: str = "") -> Edit:
    """The rules before anything is edited."""
    rows = _rows(text, store)
    return Edit(opened, text, as_toml=as_toml or rows is None, version=version, rows=rows)


def read_form(form: FormData, store: str) -> Edit:
    """What was posted. Mistakes are ``problems`` of the edit; nothing that was typed is lost."""

    def text(name: str) -> str:
        value = form.get(name)
        # A browser sends each line break as CR LF.
        return value.replace("\r\n", "\n") if isinstance(value, str) else ""

    rules, as_toml = text("text"), text("as") == "toml"
    rows: Sequence[RuleRow] | None = None
    problems: Sequence[Problem] = ()
    try:
        if not as_toml:
            rows = [*_posted_rows(text), *(row for row in rows_of(rules, store) if row.has_line_breaks)]
        if text("add"):
            rows = _with_source(rows_of(rules, store) if rows is None else rows, text("add_to"), text("add"))
        if rows is not None:
            rules = with_rows(rules, store, rows)
    except ConfigError as error:
        problems = error.problems
    if not problems:
        rows = _rows(rules, store)
    switch = text("switch")
    return Edit(
        opened=text("opened"),
        text=rules,
        as_toml=(switch == "toml" or (as_toml and switch != "form")) or rows is None,
        version=text("version"),
        rows=rows,
        problems=problems,
        find=text("find").strip(),
        find_order=text("find_order").strip(),
        wants_find=text("do") == "find" or bool(text("add")),
        read=frozenset(text("read").split(",")) & frozenset(ROOTS),
    )


def _rows(text: str, store: str) -> list[RuleRow] | None:
    try:
        return rows_of(text, store)
    except ConfigError:
        return None


def _posted_rows(text: _Text) -> list[RuleRow]:
    rows = []
    number = 0
    while kind := text(f"rule-{number}-kind"):
        name = f"rule-{number}-"
        number += 1
        if text(f"{name}remove"):
            continue
        rows.append(
            RuleRow(
                name="" if kind == "po_number" else text(f"{name}name").strip(),
                is_po_number=kind == "po_number",
                sources=tuple(line.strip() for line in text(f"{name}from").splitlines() if line.strip()),
                value=text(f"{name}value"),
                match=text(f"{name}match"),
                default=text(f"{name}default"),
                required=bool(text(f"{name}required")),
                wait=_WAIT.get(text(f"{name}wait")),
            )
        )
    return rows


def _with_source(rows: Sequence[RuleRow], name: str, expression: str) -> list[RuleRow]:
    """The rows with one more expression in the rule of this name, after the others; of the PO number without a name."""
    changed = list(rows)
    for index, row in enumerate(changed):
        if row.is_po_number == (not name) and row.name == name:
            if expression not in row.sources:
                changed[index] = _extended(row, expression)
            return changed
    return [RuleRow(name, not name, (expression,)), *changed]


def _extended(row: RuleRow, expression: str) -> RuleRow:
    return RuleRow(
        row.name,
        row.is_po_number,
        (*row.sources, expression),
        "",
        row.match,
        row.default or row.value,
        row.required,
        row.wait,
    )
