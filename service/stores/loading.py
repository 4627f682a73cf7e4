"""Reading a stores file: as much of it as can be read, and all that is wrong with it."""

import os
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from service.errors import ConfigError, Problem
from service.stores.file_stamps import Files, UnreadableError
from service.stores.messages import dotted
from service.stores.models import Endpoints, Rule, Store, StoresFile, Tables
from service.stores.secrets import SecretSources, is_reference, listed
from service.stores.validation_errors import problems_of, rule_place, unknown_key


@dataclass(frozen=True, slots=True)
class Reading:
    """What could be read of a stores file: ``stores_file`` is None when there are problems.

    ``rules`` are those that are well formed, each with its place, also when other things in the file are not.
    """

    stores_file: StoresFile | None
    rules: tuple[tuple[str, Rule], ...]
    problems: tuple[Problem, ...]


def read_stores(
    path: Path,
    environ: Mapping[str, str] = os.environ,
    *,
    text: str | None = None,
    files: Files | None = None,
) -> Reading:
    """Read a stores file and its secrets, as much as can be read. ConfigError only when it cannot be parsed at all.

    ``text`` is what will stand in a file that is not written yet; ``files`` keeps in mind which ones were read.
    The rules' expressions and patterns are not looked at here; ``service.rules.load_configuration`` does that too.
    """
    files = files or Files()
    written = _parse(path, files, text)
    problems: list[Problem] = []
    endpoints = Endpoints()
    try:
        endpoints = Tables.model_validate(written).bigcommerce
    except ValidationError as error:
        problems += problems_of(error, path, (), written)

    stores: dict[str, Store] = {}
    surroundings = SecretSources(environ, path.parent, files)
    for store_hash, table in _store_tables(written):
        if "hash" in table:  # the hash is the table's name
            problems.append(unknown_key(path, ("stores", store_hash, "hash")))
        try:
            stores[store_hash] = Store.model_validate({**table, "hash": store_hash}, context=surroundings)
        except ValidationError as error:
            problems += problems_of(error, path, ("stores", store_hash), table)
    return Reading(
        None if problems else StoresFile(endpoints, stores, tuple(_literal_secrets(written))),
        tuple(_rules(path, written)),
        tuple(problems),
    )


def _parse(path: Path, files: Files, text: str | None) -> dict[str, Any]:
    try:
        return tomllib.loads(files.text(path) if text is None else text)
    except UnreadableError as reason:
        cure = "`enrich init` writes one; set ENRICH_CONFIG to the path of one that stands elsewhere."
        raise ConfigError(Problem(str(path), f"the stores file {reason}.", cure)) from None
    except tomllib.TOMLDecodeError as error:
        message, _, where = str(error).removesuffix(")").rpartition(" (at ")
        cure = "Text stands in quotes, a table's name in [brackets]; each table and each key is written once."
        raise ConfigError(Problem(f"{path}: {where}", f"this is not TOML: {message}.", cure)) from None
    except (ValueError, RecursionError):
        message = "a number has thousands of digits, or brackets are nested without end."
        raise ConfigError(Problem(str(path), message, "Put the number in quotes, or look for the brackets.")) from None


def _store_tables(written: Mapping[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """The stores that are tables; anything else there has been reported already."""
    stores = written.get("stores")
    for store_hash, table in stores.items() if isinstance(stores, dict) else ():
        if isinstance(table, dict):
            yield store_hash, table


def _rules(path: Path, written: Mapping[str, Any]) -> Iterator[tuple[str, Rule]]:
    for store_hash, table in _store_tables(written):
        fields = table.get("extra_fields")
        rules: dict[tuple[str, ...], Any] = {("po_number",): table["po_number"]} if "po_number" in table else {}
        if isinstance(fields, dict):
            rules |= {("extra_fields", key): rule for key, rule in fields.items()}
        for loc, rule in rules.items():
            try:
                yield rule_place(str(path), store_hash, *loc), Rule.model_validate(rule)
            except ValidationError:
                continue  # it is reported with its store


def _literal_secrets(written: Mapping[str, Any]) -> Iterator[str]:
    for store_hash, table in _store_tables(written):
        secrets: dict[tuple[str, ...], Any] = {(key,): table.get(key, ()) for key in ("access_token", "client_secret")}
        secrets |= {("webhook_headers", name): value for name, value in table.get("webhook_headers", {}).items()}
        for loc, value in secrets.items():
            if not all(is_reference(secret) for secret in listed(value)):
                yield dotted("stores", store_hash, *loc)
