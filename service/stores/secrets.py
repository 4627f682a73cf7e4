"""Resolves secrets: ``env:NAME``, ``file:/path``, or the text itself."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator, PlainValidator, SecretStr, ValidationInfo

from service.stores.file_stamps import FileReader, UnreadableError
from service.stores.messages import refused, shown


@dataclass(frozen=True, slots=True)
class SecretSources:
    """The environment for ``env:``, the base folder for relative ``file:`` paths, and the reader of those files."""

    environ: Mapping[str, str]
    folder: Path
    files: FileReader


def is_reference(secret: str) -> bool:
    """Whether the text refers to a secret that is kept elsewhere."""
    return secret.startswith(("env:", "file:"))


def listed(written: Any) -> Any:
    """Convert to a tuple: a single text becomes a tuple of one. An empty list is refused."""
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
    if re.fullmatch(r"\$\{?[A-Z][A-Z0-9_]*\}?|%[A-Z][A-Z0-9_]*%", written):
        raise refused("this is a variable as a shell writes it, and TOML does not replace it", 'Write "env:NAME".')
    if not is_reference(written):
        return _not_empty("the text", written)
    if not isinstance(sources := info.context, SecretSources):
        raise refused("env: and file: work only in a stores file", "In code, pass a SecretStr.")
    kind, _, where = written.partition(":")
    if kind == "env":
        return _not_empty(f"the environment variable {where}", _variable(where, sources.environ))
    path = sources.folder / where
    return _not_empty(f"the file {shown(str(path))}", _file(path, sources.files))


def _not_empty(source: str, secret: str) -> SecretStr:
    # Most tools that write a secret to a file or a variable add a line break.
    secret = secret.rstrip("\r\n")
    if not secret.strip():
        raise refused(f"{source} is empty", "Put the secret there.")
    return SecretStr(secret)


def _variable(name: str, environ: Mapping[str, str]) -> str:
    if not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", name):
        raise refused("the text after env: is not the name of an environment variable", "Write env:NAME.")
    if name not in environ:
        raise refused(f"the environment variable {name} is not set", "Set it where this program runs.")
    return environ[name]


def _file(path: Path, files: FileReader) -> str:
    try:
        return files.text(path)
    except UnreadableError as reason:
        cure = "Write file: and the path of a text file that contains only the secret."
        raise refused(f"the file {shown(str(path))} {reason}", cure) from None


def _check_header_value(secret: SecretStr) -> SecretStr:
    if not re.fullmatch(r"[!-~]([ -~]*[!-~])?", secret.get_secret_value()):
        raise refused(
            "the secret cannot be sent in an HTTP header",
            "Only ASCII letters, digits and signs can. Check for line breaks, accents, and spaces around it.",
        )
    return secret


Secret = Annotated[SecretStr, PlainValidator(_secret)]
Secrets = Annotated[tuple[Secret, ...], BeforeValidator(listed)]
"""One or several secrets, any of which is accepted (rotation)."""

HeaderSecret = Annotated[Secret, AfterValidator(_check_header_value)]
HeaderSecrets = Annotated[tuple[HeaderSecret, ...], BeforeValidator(listed)]
"""The same, for secrets that are sent in an HTTP header."""
