"""Helpers for the tests of ``enrich check``: configured stores, extra-field configs, findings as lines."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from service.bigcommerce.models import ExtraFieldConfig
from service.checks import Finding
from service.configuration import Configuration, ConfiguredStore, load_configuration

HEAD = """
[stores.abc123]
access_token = "access-token"
client_secret = "s"
"""


def configuration(folder: Path, text: str) -> Configuration:
    """The configuration in a stores file with this text."""
    path = folder / "stores.toml"
    path.write_text(text)
    return load_configuration(path)


def configured(folder: Path, fields: str = "", *, keys: str = "", po_number: str = "order.id") -> ConfiguredStore:
    """The store abc123 with these lines in its table and these extra-field rules."""
    text = f'{HEAD}{keys}\npo_number = "{po_number}"\n[stores.abc123.extra_fields]\n{fields}'
    return configuration(folder, text).stores["abc123"]


def config(name: str, **answer: Any) -> ExtraFieldConfig:
    return ExtraFieldConfig.model_validate({"fieldName": name, **answer})


def lines(findings: Iterable[Finding]) -> list[str]:
    """Each finding as ``level  subject  message cure``, as it is printed."""
    return [f"{found.level}  {found.subject}  {found.message} {found.cure}".rstrip() for found in findings]
