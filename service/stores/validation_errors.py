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
            yield unknown_key(path, loc)
            continue
        if (model := _model_at(loc[:-1])) and loc[-1] in model.model_fields:
            # The error of a default value has the field's name instead of its key in the file.
            loc = (*loc[:-1], model.model_fields[str(loc[-1])].alias or loc[-1])
        yield Problem(place(path, loc), *_sentence(detail, loc))


def unknown_key(path: Path, loc: Loc) -> Problem:
    """The problem of a key that its table does not have, with the closest known key."""
    model = _model_at(loc[:-1]) or Rule
    known = [field.alias or name for name, field in model.model_fields.items() if name != "hash"]
    cure = did_you_mean(str(loc[-1]), known) or f"Known keys are {', '.join(known)}."
    return Problem(place(path, loc), "unknown key.", cure)


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
