"""The stores file with its rules compiled: the entry point of everything that reads the configuration."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from service.errors import ConfigError
from service.rules.ruleset import RuleSet, compile_rules
from service.rules.search import Search
from service.stores import Endpoints, Files, Store, read_stores


@dataclass(frozen=True, slots=True)
class ConfiguredStore:
    """One store with its rules, ready to be applied."""

    store: Store
    rules: RuleSet


@dataclass(frozen=True, slots=True)
class Configuration:
    """All stores, by their hash. ``literal_secrets`` are the places where a secret stands in the file itself."""

    endpoints: Endpoints
    stores: Mapping[str, ConfiguredStore]
    literal_secrets: tuple[str, ...]


def load_configuration(
    path: Path,
    environ: Mapping[str, str] = os.environ,
    *,
    text: str | None = None,
    files: Files | None = None,
) -> Configuration:
    """Read the stores file and compile its rules. Raises ConfigError with all problems of both.

    ``text`` is what will stand in a file that is not written yet; ``files`` keeps in mind which ones were read.
    """
    reading = read_stores(path, environ, text=text, files=files)
    problems = list(reading.problems)
    for place, rule in reading.rules:
        try:
            Search.compile(rule, place)
        except ConfigError as error:
            problems += error.problems
    if problems or reading.stores_file is None:
        raise ConfigError(*problems)
    stores = {
        store_hash: ConfiguredStore(store, compile_rules(store, str(path)))
        for store_hash, store in reading.stores_file.stores.items()
    }
    return Configuration(reading.stores_file.endpoints, stores, reading.stores_file.literal_secrets)
