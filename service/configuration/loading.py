"""Loads the configuration: the stores file with its rules compiled."""

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from service.errors import ConfigError, Problem
from service.rules.rule_evaluation import RuleSet, compile_rules
from service.rules.value_search import Search
from service.settings import console_url
from service.stores import Endpoints, FileReader, Notify, PersonRights, Store, misplaced_key_cure, read_stores


@dataclass(frozen=True, slots=True)
class ConfiguredStore:
    """One store with its compiled rules."""

    store: Store
    rules: RuleSet


_EXTRA_FIELD = re.compile(r"\[stores\.(\w+)\.extra_fields\.(\w+)\]")


def _with_its_table(problem: Problem) -> Problem:
    """The problem of a rule that is none, because a key of the store stands below ``extra_fields``: where it"
    " belongs."""
    found = _EXTRA_FIELD.search(problem.place)
    cure = misplaced_key_cure(*found.groups()) if found else ""
    return replace(problem, cure=cure) if cure else problem


@dataclass(frozen=True, slots=True)
class Configuration:
    """All stores by hash. ``literal_secrets`` are the places where the file contains a secret itself.

    ``people`` are those who may use the console behind a sign-in proxy. ``notify`` is where messages are sent (None:
    nowhere); its ``link`` is the console's address (``ENRICH_CONSOLE_URL``) where the file has none.
    """

    endpoints: Endpoints
    stores: Mapping[str, ConfiguredStore]
    literal_secrets: tuple[str, ...]
    people: Mapping[str, PersonRights] = field(default_factory=dict)
    notify: Notify | None = None


def load_configuration(
    path: Path,
    environ: Mapping[str, str] = os.environ,
    *,
    text: str | None = None,
    files: FileReader | None = None,
) -> Configuration:
    """Read the stores file and compile its rules. Raises ConfigError with all problems of both.

    ``text`` is the content of a file that is not written yet. ``files`` records which files were read.
    """
    result = read_stores(path, environ, text=text, files=files)
    problems = list(result.problems)
    searches = []  # kept until the rules are compiled, so that equal expressions are compiled once
    for place, rule in result.rules:
        try:
            searches.append(Search.compile(rule, place))
        except ConfigError as error:
            problems += [_with_its_table(problem) for problem in error.problems]
    if problems or result.stores_file is None:
        raise ConfigError(*problems)
    stores = {
        store_hash: ConfiguredStore(store, compile_rules(store, str(path)))
        for store_hash, store in result.stores_file.stores.items()
    }
    file = result.stores_file
    notify = file.notify
    if notify and notify.link is None:
        notify = notify.model_copy(update={"link": console_url(environ)})
    return Configuration(file.endpoints, stores, file.literal_secrets, file.people, notify)
