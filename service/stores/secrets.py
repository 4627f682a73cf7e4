"""Secrets, from where they are kept: ``env:NAME``, ``file:/path``, or the text itself."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator, PlainValidator, SecretStr, ValidationInfo

from service.stores.file_stamps import Files, UnreadableError
from service.stores.messages import refused, shown


@dataclass(frozen=True, slots=True)
class SecretSources:
    """Where ``env:`` is looked up, the folder that relative ``file:`` paths start from, and what reads them."""

    environ: Mapping[str, str]
    folder: Path
    files: Files


def is_reference(secret: str) -> bool:
    """Whether this names a secret that is kept elsewhere."""
    return secret.startswith(("env:", "file:"))


def listed(written: Any) -> Any:
    """One text stands for a list of one; an empty list is refused."""
    if isinstance(written, str | SecretStr):
        return (written,)
    if written == []:
        raise refused("the list is empty", "Write at least one, or leave the key out.")
    return tuple(written) if isinstance(written, list) else written


def _secret(written: Any, info: ValidationInfo) -> SecretStr:
    if isinstance(written, SecretStr):
        return written
    if not isinstance(written, str):
        raise refused("expected text in quotes", "Write env:NAME, file:/path or the secret itself, in quotes.")
    if not is_reference(written):
        return _not_empty("the text", written)
    if not isinstance(surroundings := info.context, SecretSources):
        raise refused("env: and file: are looked up for a stores file only", "In code, give a SecretStr.")
    kind, _, where = written.partition(":")
    if kind == "env":
        return _not_empty(f"the environment variable {where}", _variable(where, surroundings.environ))
    path = surroundings.folder / where
    return _not_empty(f"the file {shown(str(path))}", _file(path, surroundings.files))


def _not_empty(source: str, secret: str) -> SecretStr:
    # Most tools that write a secret into a file or a variable end it with a line end.
    secret = secret.rstrip("\r\n")
    if not secret.strip():
        raise refused(f"{source} is empty", "Put the secret there.")
    return SecretStr(secret)


def _variable(name: str, environ: Mapping[str, str]) -> str:
    if not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", name):
        raise refused("what follows env: is not the name of an environment variable", "Write env:NAME.")
    if name not in environ:
        raise refused(f"the environment variable {name} is not set", "Set it where this program runs.")
    return environ[name]


def _file(path: Path, files: Files) -> str:
    try:
        return files.text(path)
    except UnreadableError as reason:
        cure = "Write file: and the path of a text file that holds nothing but the secret."
        raise refused(f"the file {shown(str(path))} {reason}", cure) from None


def _fits_a_header(secret: SecretStr) -> SecretStr:
    if not re.fullmatch(r"[!-~]([ -~]*[!-~])?", secret.get_secret_value()):
        raise refused(
            "the secret cannot be sent in an HTTP header",
            "Only letters, digits and signs of ASCII can; look for line ends, accents, or spaces around it.",
        )
    return secret


Secret = Annotated[SecretStr, PlainValidator(_secret)]
Secrets = Annotated[tuple[Secret, ...], BeforeValidator(listed)]
"""One or several secrets, any of which is accepted (rotation)."""

HeaderSecret = Annotated[Secret, AfterValidator(_fits_a_header)]
HeaderSecrets = Annotated[tuple[HeaderSecret, ...], BeforeValidator(listed)]
"""The same, for secrets that travel in an HTTP header."""
