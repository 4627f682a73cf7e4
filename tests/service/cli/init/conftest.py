"""``enrich init``, where there is no file yet."""

from collections.abc import Mapping
from pathlib import Path

import pytest

from service.configuration import Configuration, load_configuration

FLAGS = ("--store", "abc123", "--po-from", "form_field", "--po-field", "PO Number")
SECRETS = {"ABC123_ACCESS_TOKEN": "token", "ABC123_CLIENT_SECRET": "secret"}


@pytest.fixture(autouse=True)
def stores_file(folder: Path) -> Path:
    """Where the file will be: it is not there yet."""
    path = folder / "stores.toml"
    path.unlink()
    return path


def load(path: Path, environ: Mapping[str, str] = SECRETS) -> Configuration:
    return load_configuration(path, environ)
