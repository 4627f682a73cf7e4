"""Stores files as text, and what reading them gives. The file is written to the current folder."""

from collections.abc import Mapping
from pathlib import Path

import pytest

from service.errors import ConfigError
from service.stores import StoresFile, read_stores

STORE = """
[stores.abc123]
access_token = "env:TOKEN"
client_secret = "env:SECRET"
po_number = "order.customer_message"
"""
SANDBOX_STORES = """
[bigcommerce]
api_url     = "{url}"
b2b_api_url = "{url}"
[stores.sandbox]
access_token  = "sandbox-access-token"
client_secret = "sandbox-client-secret"
po_number     = "order.customer_message"
"""
"""The store of a sandbox at ``url``."""
ENVIRON = {"TOKEN": "t0ken-value", "SECRET": "s3cret-value", "OTHER": "0ther-value", "BLANK": " \n"}


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder, so that the places in messages start with ``stores.toml``."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def load_stores(path: Path, environ: Mapping[str, str]) -> StoresFile:
    result = read_stores(path, environ)
    if result.stores_file is None:
        raise ConfigError(*result.problems)
    return result.stores_file


def load(text: str | bytes, environ: Mapping[str, str] = ENVIRON) -> StoresFile:
    path = Path("stores.toml")
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return load_stores(path, environ)


def problems(text: str | bytes, environ: Mapping[str, str] = ENVIRON) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        load(text, environ)
    return [str(problem) for problem in caught.value.problems]


def problem(text: str | bytes) -> str:
    (only,) = problems(text)
    return only


def store_with(lines: str) -> str:
    """A valid store, with these lines instead."""
    keys = {line.partition("=")[0].strip() for line in lines.strip().splitlines()}
    kept = [line for line in STORE.splitlines() if line.partition("=")[0].strip() not in keys]
    return "\n".join([*kept, lines])
