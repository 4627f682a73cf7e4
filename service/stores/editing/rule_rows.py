"""The rules of a store as rows of a form, and the text of the rules with such rows written into it."""

import re
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import tomlkit
from pydantic import ValidationError
from tomlkit.exceptions import TOMLKitError

from service.errors import ConfigError, Problem
from service.stores.editing.rules_text import rules_of
from service.stores.messages import dotted
from service.stores.models import Rule
from service.stores.writer import toml_text


@dataclass(frozen=True, slots=True)
class RuleRow:
    """One rule. ``name`` is the key of the extra field, empty for the PO number. Empty texts stand for no key."""

    name: str = ""
    is_po_number: bool = False
    sources: tuple[str, ...] = ()
    value: str = ""
    match: str = ""
    default: str = ""
    required: bool = False
    wait: bool | None = None

    @property
    def is_empty(self) -> bool:
        """Whether it says nothing at all: a row that was left blank."""
        return self == RuleRow(self.name, self.is_po_number)

    @property
    def has_line_breaks(self) -> bool:
        """Whether a form cannot show it: fields of a form have one line a text."""
        return any(
            "\n" in text or "\r" in text for text in (self.name, *self.sources, self.value, self.match, self.default)
        )


def rows_of(text: str, store: str) -> list[RuleRow]:
    """The rows of the rules, the PO number first. Raises ConfigError where the text is no rules of this store."""
    rules = rules_of(text, store)
    fields = rules.get("extra_fields", {})
    written = {"": rules["po_number"]} if "po_number" in rules else {}
    if not isinstance(fields, dict):
        raise ConfigError(Problem(f"[{dotted('stores', store)}] extra_fields", "expected a table."))
    rows = [_row("", True, rule, store) for rule in written.values()]
    return rows + [_row(name, False, rule, store) for name, rule in fields.items()]


def _row(name: str, is_po_number: bool, written: Any, store: str) -> RuleRow:
    try:
        rule = Rule.model_validate(written)
    except ValidationError:
        keys = ("po_number",) if is_po_number else ("extra_fields", name)
        place = f"[{dotted('stores', store, *keys)}]"
        cure = "Correct it as TOML first."
        raise ConfigError(Problem(place, "is not a valid rule, so a form cannot show it.", cure)) from None
    return RuleRow(
        name,
        is_po_number,
        rule.sources,
        rule.value or "",
        rule.match or "",
        rule.default or "",
        rule.required,
        rule.wait,
    )


def with_rows(text: str, store: str, rows: Sequence[RuleRow]) -> str:
    """The rules' text with these rows. Rules that stay the same, and comments, stay as they are written.

    Raises ConfigError, also for a field that is named twice.
    """
    _check_names(rows, store)
    wanted = [row for row in rows if not row.is_empty]
    current = {_key(row): row for row in rows_of(text, store)}
    changed = [row for row in wanted if current.get(_key(row)) != row]
    removed = [row for key, row in current.items() if key not in {_key(row) for row in wanted}]
    if not changed and not removed:
        return text
    with suppress(TOMLKitError, KeyError, TypeError, AttributeError, ValueError):
        edited = _edit(text, store, changed, removed)
        if {_key(row): row for row in rows_of(edited, store)} == {_key(row): row for row in wanted}:
            return edited
    # The layout is one that the library cannot change: the rules are right, their comments are lost.
    return as_text(wanted, store)


def as_text(rows: Sequence[RuleRow], store: str) -> str:
    """The rules as new text."""
    parts = [f"[{dotted('stores', store, 'po_number')}]\n{_keys(row)}" for row in rows if row.is_po_number]
    fields = [f"{toml_text(row.name)} = {_inline(row)}\n" for row in rows if not row.is_po_number]
    if fields:
        parts.append(f"[{dotted('stores', store, 'extra_fields')}]\n{''.join(fields)}")
    return "\n".join(parts)


def _check_names(rows: Sequence[RuleRow], store: str) -> None:
    seen: set[tuple[bool, str]] = set()
    place = f"[{dotted('stores', store, 'extra_fields')}]"
    problems = []
    for row in rows:
        if row.is_empty and not row.name:
            continue
        if not row.is_po_number and not row.name.strip():
            problems.append(Problem(place, "the field has no name.", "Write its fieldName or its label."))
        elif _key(row) in seen:
            problems.append(Problem(place, f"{dotted(row.name)} is there twice.", "Keep one of the two."))
        seen.add(_key(row))
    if problems:
        raise ConfigError(*problems)


def _key(row: RuleRow) -> tuple[bool, str]:
    return row.is_po_number, row.name


def _edit(text: str, store: str, changed: Sequence[RuleRow], removed: Sequence[RuleRow]) -> str:
    document: Any = tomlkit.parse(text)
    stores = document.setdefault("stores", tomlkit.table(is_super_table=True))
    table = stores.setdefault(store, tomlkit.table(is_super_table=True))
    for row in removed:
        if row.is_po_number:
            del table["po_number"]
        else:
            del table["extra_fields"][row.name]
    for row in changed:
        owner = table if row.is_po_number else table.setdefault("extra_fields", tomlkit.table())
        name = "po_number" if row.is_po_number else row.name
        _set_rule(owner, name, row)
    if not table.get("extra_fields", {"any": 1}):
        del table["extra_fields"]
    return tomlkit.dumps(document)


def _set_rule(owner: Any, name: str, row: RuleRow) -> None:
    existing = owner.get(name)
    written = _written(row)
    if not isinstance(existing, dict):
        owner[name] = tomlkit.parse(f"rule = {_inline(row)}\n")["rule"]
        return
    rule: Any = existing
    current = Rule.model_validate(_unwrapped(existing)).model_dump(by_alias=True, exclude_defaults=True)
    for key in ("from", "value", "match", "default", "required", "wait"):
        if key not in written:
            rule.pop(key, None)
        elif key not in current or _plain(current[key]) != _plain(written[key]):
            rule[key] = tomlkit.value(_toml(written[key]))


def _unwrapped(item: Any) -> Any:
    return item.unwrap() if hasattr(item, "unwrap") else item


def _plain(value: Any) -> Any:
    return list(value) if isinstance(value, list | tuple) else [value]


def _written(row: RuleRow) -> Mapping[str, Any]:
    """The keys of the rule, without those that say nothing."""
    keys: dict[str, Any] = {}
    if row.sources:
        keys["from"] = row.sources[0] if len(row.sources) == 1 else list(row.sources)
    keys |= {key: text for key in ("value", "match", "default") if (text := getattr(row, key))}
    if row.required:
        keys["required"] = True
    if row.wait is not None:
        keys["wait"] = row.wait
    return keys


def _inline(row: RuleRow) -> str:
    keys = _written(row)
    if keys.keys() == {"from"} and isinstance(keys["from"], str):
        return _toml(keys["from"])
    return "{ " + ", ".join(f"{key} = {_toml(value)}" for key, value in keys.items()) + " }"


def _keys(row: RuleRow) -> str:
    return "".join(f"{key} = {_toml(value)}\n" for key, value in _written(row).items())


def _toml(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, list):
        return f"[{', '.join(map(_toml, value))}]"
    # A lone surrogate, which TOML cannot hold, comes from no keyboard.
    return toml_text(re.sub("[\ud800-\udfff]", "\ufffd", value))
