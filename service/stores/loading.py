"""Reads a stores file: as much as is valid, and all problems of the rest."""

import os
import re
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from service.errors import ConfigError, Problem
from service.stores.file_stamps import LATIN, FileReader, NotUtf8Error, UnreadableError
from service.stores.messages import did_you_mean, dotted, shown
from service.stores.models import PersonRights, Rule, Store, StoresFile, Tables
from service.stores.secrets import SecretSources, is_reference, listed
from service.stores.toml_mistakes import explain, show_line
from service.stores.validation_errors import Loc, place, problems_of, rule_place, unknown_key


@dataclass(frozen=True, slots=True)
class ReadResult:
    """The result of reading a stores file: ``stores_file`` is None when there are problems.

    ``rules`` are the well-formed rules, each with its place, even when other parts of the file are invalid.
    """

    stores_file: StoresFile | None
    rules: tuple[tuple[str, Rule], ...]
    problems: tuple[Problem, ...]


def read_stores(
    path: Path,
    environ: Mapping[str, str] = os.environ,
    *,
    text: str | None = None,
    files: FileReader | None = None,
) -> ReadResult:
    """Read a stores file and its secrets, as far as they are valid. Raises ConfigError when the file cannot be parsed.

    ``text`` is the content of a file that is not written yet. ``files`` records which files were read.
    The rules' expressions and patterns are not checked here; ``service.configuration.load_configuration`` does that.
    """
    files = files or FileReader()
    written = parse_toml(path, files, text=text)
    problems: list[Problem] = []
    secret_sources = SecretSources(environ, path.parent, files)
    tables = None
    try:
        tables = Tables.model_validate(written, context=secret_sources)
    except ValidationError as error:
        problems += problems_of(error, path, (), written)
    problems += _unknown_stores(path, written)

    stores: dict[str, Store] = {}
    for store_hash, table in _store_tables(written):
        if "hash" in table:  # the hash comes from the table's name
            problems.append(unknown_key(path, ("stores", store_hash, "hash")))
        try:
            stores[store_hash] = Store.model_validate({**table, "hash": store_hash}, context=secret_sources)
        except ValidationError as error:
            problems += problems_of(error, path, ("stores", store_hash), table)
    if tables is not None:
        problems += _unknown_stores_of_people(path, tables.console.people, written)
    return ReadResult(
        _stores_file(tables, stores, written) if tables is not None and not problems else None,
        tuple(_rules(path, written)),
        tuple(problems),
    )


def store_names(path: Path) -> list[str]:
    """The hashes of a file's stores, whatever else is wrong in it and wherever its secrets are.

    Raises ConfigError when the file cannot be parsed.
    """
    return [store_hash for store_hash, _ in _store_tables(parse_toml(path))]


def _stores_file(tables: Tables, stores: Mapping[str, Store], written: Mapping[str, Any]) -> StoresFile:
    literal = tuple(_literal_secrets(written))
    return StoresFile(tables.bigcommerce, stores, literal, tables.console.people, tables.notify)


def parse_toml(path: Path, files: FileReader | None = None, *, text: str | None = None) -> dict[str, Any]:
    """Parse a file, or its ``text``, which is named ``path`` in messages. Raises ConfigError."""
    try:
        written = (files or FileReader()).text(path) if text is None else text
        return tomllib.loads(written)
    except NotUtf8Error as error:
        raise ConfigError(_wrong_encoding(path, error)) from None
    except UnreadableError as reason:
        cure = "`enrich init` writes one. If you have one elsewhere, set ENRICH_CONFIG to its path."
        raise ConfigError(Problem(str(path), f"the stores file {reason}.", cure)) from None
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(_not_toml(path, written, str(error))) from None
    except (ValueError, RecursionError):
        message = "a number has thousands of digits, or brackets are nested too deeply."
        raise ConfigError(Problem(str(path), message, "Put the number in quotes, or check the brackets.")) from None


def _not_toml(path: Path, text: str, error: str) -> Problem:
    message, _, where = error.removesuffix(")").rpartition(" (at ")
    found = re.fullmatch(r"line (\d+), column (\d+)", where)
    line, column = (int(found[1]), int(found[2])) if found else (None, None)
    explained = explain(text, line, column, message)
    return Problem(f"{path}: {where}", f"this is not TOML: {message}. It reads `{explained.line}`.", explained.cure)


def _wrong_encoding(path: Path, error: NotUtf8Error) -> Problem:
    """The place of the first byte that is not UTF-8, read as what it most likely is."""
    cure = "Save it as UTF-8: in the editor's menu for saving, or with `iconv -f {} -t UTF-8`."
    if error.encoding != LATIN:
        message = f"the stores file is {error.encoding.upper()} text, as some Windows programs write it."
        return Problem(str(path), message, cure.format(error.encoding.upper()))
    line, number = show_line(error.text, error.offset)
    message = f"the stores file is not UTF-8 text, but most likely {LATIN}. It reads `{line}`."
    return Problem(f"{path}: line {number}", message, cure.format(LATIN))


def _unknown_stores(path: Path, written: Mapping[str, Any]) -> Iterator[Problem]:
    """The stores that ``[notify]`` names and that the file does not have."""
    notify, known = written.get("notify"), [store_hash for store_hash, _ in _store_tables(written)]
    named = notify.get("stores") if isinstance(notify, dict) else None
    for index, store_hash in enumerate([named] if isinstance(named, str) else named if isinstance(named, list) else ()):
        if isinstance(store_hash, str) and store_hash not in known:
            cure = did_you_mean(store_hash, known) or f"Stores in this file: {', '.join(known)}."
            loc: Loc = ("notify", "stores", index) if isinstance(named, list) else ("notify", "stores")
            yield Problem(place(path, loc), "this store is not in the file.", cure)


def _store_tables(written: Mapping[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """The stores that are tables. Anything else is reported already."""
    stores = written.get("stores")
    for store_hash, table in stores.items() if isinstance(stores, dict) else ():
        if isinstance(table, dict):
            yield store_hash, table


def _unknown_stores_of_people(
    path: Path, people: Mapping[str, PersonRights], written: Mapping[str, Any]
) -> Iterator[Problem]:
    """The stores that people may see and that the file does not have."""
    known = list(written["stores"])
    for name, rights in people.items():
        for number, store in enumerate(rights.stores or ()):
            if store not in known:
                where = place(path, ("console", "people", name, "stores", number))
                yield Problem(where, f"the file has no store {shown(store)}.", did_you_mean(store, known))


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
                continue  # its store reports it


def _literal_secrets(written: Mapping[str, Any]) -> Iterator[str]:
    notify = written.get("notify", {})  # valid by now
    for key in ("webhook", "secret", "slack", "teams", "mail"):
        if not all(is_reference(secret) for secret in listed(notify.get(key, ()))):
            yield dotted("notify", key)
    for store_hash, table in _store_tables(written):
        secrets: dict[tuple[str, ...], Any] = {(key,): table.get(key, ()) for key in ("access_token", "client_secret")}
        secrets |= {("webhook_headers", name): value for name, value in table.get("webhook_headers", {}).items()}
        for loc, value in secrets.items():
            if not all(is_reference(secret) for secret in listed(value)):
                yield dotted("stores", store_hash, *loc)
