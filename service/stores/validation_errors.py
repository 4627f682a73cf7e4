"""Converts pydantic's errors to problems with a place and a cure. No message contains a value from the file."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from service.errors import Problem
from service.stores.messages import EXAMPLES, did_you_mean, dotted, shown
from service.stores.models import ConsoleTable, Endpoints, PersonRights, Rule, Store, Tables
from service.stores.notify_table import Notify

Loc = tuple[int | str, ...]
"""The path of a value in the file: the names of its tables, its key, its index in a list."""

_EXPECTED = {
    "string_type": "expected text in quotes",
    "bool_type": "expected true or false",
    "int_type": "expected a whole number",
    "greater_than_equal": "expected 1 or more",
    "tuple_type": "expected text in quotes, or a list of them",
    "frozen_set_type": "expected a list of numbers",
    "dict_type": "expected a table",
    "model_type": "expected a table",
    "missing": "is missing",
}


def problems_of(error: ValidationError, path: Path, table: Loc, written: Any) -> Iterator[Problem]:
    """The problems in the table at path ``table``, whose content is ``written``."""
    for detail in error.errors(include_input=False, include_url=False):
        # When the name of a key is invalid, pydantic adds "[key]" to the path.
        loc = detail["loc"][:-1] if detail["type"] == "key" else detail["loc"]
        loc = (*table, *_as_written(written, loc))
        if detail["type"] == "extra_forbidden":
            yield unknown_key(path, loc, _value_at(written, detail["loc"]))
            continue
        if (model := _model_at(loc[:-1])) and loc[-1] in model.model_fields:
            # The error of a default value has the field's name instead of its key in the file.
            loc = (*loc[:-1], model.model_fields[str(loc[-1])].alias or loc[-1])
        message, cure = _sentence(detail, loc)
        if len(loc) == 4 and loc[0] == "stores" and loc[2] == "extra_fields":
            cure = misplaced_key_cure(str(loc[1]), str(loc[3])) or cure
        if len(loc) == 2 and loc[0] == "stores" and loc[1] in _keys_of(Store):
            cure = "It belongs to a store: write it below [stores.<store hash>]."
        yield Problem(place(path, loc), message, cure)


def unknown_key(path: Path, loc: Loc, value: Any = None) -> Problem:
    """The problem of a key that its table does not have: where it belongs, or the closest known key."""
    model = _model_at(loc[:-1]) or Rule
    known = _keys_of(model)
    cure = _where_it_belongs(loc, value) or did_you_mean(str(loc[-1]), known) or f"Known keys are {', '.join(known)}."
    return Problem(place(path, loc), "unknown key.", cure)


def _keys_of(model: type[BaseModel]) -> list[str]:
    return [field.alias or name for name, field in model.model_fields.items() if name != "hash"]


def _where_it_belongs(loc: Loc, value: Any) -> str:
    """Where a key that is right, but in the wrong table, belongs; empty for any other key."""
    key = str(loc[-1])
    match loc[:-1]:
        case ("stores", store, *rule) if rule and key in _keys_of(Store):
            below = dotted("stores", str(store), *map(str, rule))
            return f"It belongs to the store: move it above the line [{below}], or below [stores.{store}]."
        case ("stores", store) if key in _keys_of(Rule):
            return f"It belongs to a rule: write it below [stores.{store}.po_number], or in {{ … }} of an extra field."
        case ("stores", store) if not did_you_mean(key, _keys_of(Store)) and _is_like_a_rule(value):
            return f"If it is an extra field, move it below the line [stores.{store}.extra_fields]."
        case () if key in _keys_of(Store):
            table = f"[stores.<store hash>.{key}]" if isinstance(value, dict) else "[stores.<store hash>]"
            return f"It belongs to a store: write it below {table}."
        case () if key in _keys_of(Endpoints):
            return "It belongs below [bigcommerce]."
        case ():
            return (
                "A store is a table [stores.<store hash>]."
                if isinstance(value, dict) and "access_token" in value
                else ""
            )
    return ""


def _is_like_a_rule(value: Any) -> bool:
    return isinstance(value, str) or (isinstance(value, dict) and bool({"from", "value"} & value.keys()))


def misplaced_key_cure(store_hash: str, key: str) -> str:
    """The cure of a rule that is none: a key of the store below ``extra_fields``; empty for any other key."""
    if key not in _keys_of(Store):
        return ""
    return f"{key} is a key of the store: move it above the line [stores.{store_hash}.extra_fields]."


def _value_at(written: Any, loc: Loc) -> Any:
    for key in loc:
        written = written.get(key) if isinstance(written, dict) else None
    return written


def _model_at(loc: Loc) -> type[BaseModel] | None:
    match loc:
        case ():
            return Tables
        case ("bigcommerce",):
            return Endpoints
        case ("console",):
            return ConsoleTable
        case ("console", "people", _):
            return PersonRights
        case ("notify",):
            return Notify
        case ("stores", _):
            return Store
        case ("stores", _, "po_number") | ("stores", _, "extra_fields", _):
            return Rule
        case _:
            return None


def place(path: Path, loc: Loc) -> str:
    """A problem's place: ``stores.toml: [stores.abc123] access_token (item 2)``; only the table if it is one."""
    *tables, key = (name for name in loc if isinstance(name, str))
    item = "".join(f" (item {index + 1})" for index in loc if isinstance(index, int))
    if tables in ([], ["stores"]):
        return f"{path}: [{dotted(*tables, key)}]"
    return f"{path}: [{dotted(*tables)}] {shown(key)}{item}"


def _sentence(detail: ErrorDetails, loc: Loc) -> tuple[str, str]:
    context = detail.get("ctx", {})
    if "cure" in context:
        return f"{context['message']}.", context["cure"]
    message = _EXPECTED.get(detail["type"]) or detail["msg"].replace("Input should be", "expected")
    # Names chosen by the author of the file (stores, fields, headers) are not keys of a model.
    keys = [key for index, key in enumerate(loc) if _model_at(loc[:index])]
    example = next((EXAMPLES[key] for key in reversed(keys) if key in EXAMPLES), "")
    return f"{message}.", f"For example: {example}." if example else ""


def _as_written(table: Any, loc: Loc) -> Iterator[int | str]:
    """The part of the path that exists in the file, where a text may be short for a list of one or for a rule."""
    for key in loc:
        if isinstance(table, str):
            return
        yield key
        if isinstance(table, list) and isinstance(key, int):
            table = table[key]
        else:
            table = table.get(key) if isinstance(table, dict) else None


def rule_place(file: str, store_hash: str, *keys: str) -> str:
    """The place of a rule's table: ``stores.toml: [stores.abc123.extra_fields."Cost Center"]``."""
    return f"{file}: [{dotted('stores', store_hash, *keys)}]"
