"""The example stores files: each one is valid and contains no secret, and the full one shows every key."""

import re
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel

from service.configuration import Configuration, load_configuration
from service.stores import Endpoints, Notify, PersonRights, Rule, Store
from service.stores.models import ConsoleTable

EXAMPLES = sorted((Path(__file__).parent.parent / "deploy" / "examples").glob("*.toml"))


@pytest.fixture(params=EXAMPLES, ids=lambda path: path.name)
def example(request: pytest.FixtureRequest) -> Path:
    path = request.param
    assert isinstance(path, Path)
    return path


def loaded(example: Path, folder: Path) -> Configuration:
    """Load the example with the variables and secret files that it names; ``/`` is a temporary folder."""
    text = example.read_text()
    for name in re.findall(r'"file:/([^"]+)"', text):
        secret = folder / name
        secret.parent.mkdir(parents=True, exist_ok=True)
        secret.write_text(f"{secret_for(name)}\n")
    path = folder / "stores.toml"
    path.write_text(text.replace('"file:/', f'"file:{folder}/'))
    return load_configuration(path, {name: secret_for(name) for name in re.findall(r'"env:(\w+)"', text)})


def secret_for(name: str) -> str:
    """A value of the kind that the example wants under this name."""
    if name.endswith("mail"):
        return "smtps://user:password@smtp.example.com?to=ops@example.com&from=me@example.com"
    return "https://hooks.example.com/a-secret" if "WEBHOOK" in name else "a-secret-of-at-least-24-bytes"


def test_all_examples_exist() -> None:
    assert [path.stem for path in EXAMPLES] == ["full", "headless", "minimal", "several-stores"]


def test_an_example_is_a_valid_stores_file_without_secrets(example: Path, tmp_path: Path) -> None:
    configuration = loaded(example, tmp_path)
    assert configuration.literal_secrets == ()
    assert configuration.endpoints == Endpoints()


def test_the_example_for_several_stores_has_three_with_secrets_in_rotation(tmp_path: Path) -> None:
    (example,) = [path for path in EXAMPLES if path.stem == "several-stores"]
    stores = [configured.store for configured in loaded(example, tmp_path).stores.values()]
    assert [len(store.access_tokens) for store in stores] == [2, 2, 2]


def test_the_full_example_has_every_key() -> None:
    (example,) = [path for path in EXAMPLES if path.stem == "full"]
    assert set(used_keys(tomllib.loads(example.read_text()))) == (
        keys_of(Endpoints)
        | keys_of(Notify)
        | keys_of(ConsoleTable)
        | keys_of(PersonRights)
        | keys_of(Store) - {"Store.hash"}
        | keys_of(Rule)
    )


def keys_of(model: type[BaseModel]) -> set[str]:
    return {f"{model.__name__}.{field.alias or name}" for name, field in model.model_fields.items()}


def used_keys(written: dict[str, Any]) -> Iterator[str]:
    yield from (f"Endpoints.{key}" for key in written.get("bigcommerce", {}))
    yield from (f"Notify.{key}" for key in written.get("notify", {}))
    yield from (f"ConsoleTable.{key}" for key in written.get("console", {}))
    for rights in written.get("console", {}).get("people", {}).values():
        yield from (f"PersonRights.{key}" for key in rights)
    for store in written["stores"].values():
        yield from (f"Store.{key}" for key in store)
        for rule in (store.get("po_number"), *store.get("extra_fields", {}).values()):
            yield from (f"Rule.{key}" for key in (rule if isinstance(rule, dict) else {}))
