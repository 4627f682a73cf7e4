"""The command itself: options in, a checked file out, and what to do next."""

import os
import re
from collections.abc import Sequence
from dataclasses import replace
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from service.cli.init.next_steps import next_steps
from service.cli.init.questions import FIELD_EXAMPLE, PLACES, Answers, answers
from service.configuration import load_configuration
from service.errors import ConfigError, Problem
from service.sandbox.demo import DEMO_STORE_HASH
from service.sandbox.specs import SANDBOX_ACCESS_TOKEN, SANDBOX_CLIENT_SECRET
from service.settings import Settings
from service.stores.rule_templates import Place
from service.stores.writer import NewStore, SandboxAccess, as_toml

STDOUT = Path("-")

# Where `enrich sandbox` listens unless told otherwise.
SANDBOX_URL = "http://127.0.0.1:9100"
# Its store has a PO number in a form field, and one required extra field.
_SANDBOX_ANSWERS = Answers(
    DEMO_STORE_HASH, Place.FORM_FIELD, "PO Number", {"Account No": 'company.extraFields."ERP Account"'}
)


class Incomplete(StrEnum):
    """What to do with an order that is not paid yet."""

    ENRICH = "enrich"
    WAIT = "wait"
    SKIP = "skip"


def init(
    store: Annotated[
        str | None,
        typer.Option(metavar="HASH", help="The store's hash: the part after /stores/ in its API path, or that path."),
    ] = None,
    name: Annotated[str | None, typer.Option(help="The store's name, shown to people.")] = None,
    po_from: Annotated[
        Place | None,
        typer.Option(
            metavar="PLACE", help=f"Where the PO number is: {PLACES}; or none, if you want only extra fields."
        ),
    ] = None,
    po_field: Annotated[
        str | None, typer.Option(help="The name of that field. For a metafield: namespace.key.")
    ] = None,
    extra_field: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME=EXPRESSION", help=f"An extra field and its source: {FIELD_EXAMPLE}. Can be repeated."
        ),
    ] = None,
    incomplete: Annotated[
        Incomplete, typer.Option(help="What to do with an order that is not paid yet.")
    ] = Incomplete.ENRICH,
    secrets: Annotated[
        str,
        typer.Option(
            metavar="env|file:FOLDER",
            help="Where the secrets are: in environment variables, or in files of a folder, such as file:/run/secrets"
            " for Docker.",
        ),
    ] = "env",
    sandbox: Annotated[
        bool, typer.Option("--sandbox", help=f"Write a file for the sandbox at {SANDBOX_URL}. Asks nothing.")
    ] = False,
    output: Annotated[
        Path | None, typer.Option(help="The file to write, or - for stdout. Default: ENRICH_CONFIG, or stores.toml.")
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace an existing file, with all stores in it.")] = False,
) -> None:
    """Write a commented stores file for one store.

    On a terminal, asks for values that the options do not give. Does not ask if --store and --po-from are given, and
    --po-field if that place needs one. Neither asks for nor writes secrets: the file names environment variables or,
    with --secrets, files. Says at the end what to do next.

    Does not change an existing file. To add a store to it, write to stdout and append:

    \b
        enrich init --store def456 --po-from comment --output - >> stores.toml

    \b
    Example: enrich init --store abc123 --po-from comment
             enrich init --sandbox
             enrich init --secrets file:/run/secrets --output deploy/stores/stores.toml
    """
    path = output or Settings.load().enrich_config
    if path != STDOUT and os.path.lexists(path) and not force:
        cure = "To add a store, append the output of --output - to it. To replace the file, use --force."
        raise ConfigError(Problem(str(path), "already exists.", cure))
    folder = _secrets_folder(secrets)
    if sandbox:
        _refuse_with_sandbox(store, po_from, po_field, extra_field, folder)
        given, access = _SANDBOX_ANSWERS, SandboxAccess(SANDBOX_URL, SANDBOX_ACCESS_TOKEN, SANDBOX_CLIENT_SECRET)
    else:
        given, access = answers(store, po_from, po_field, extra_field or ()), None
    new = NewStore(given.store, name, incomplete.value, given.po_number(), given.extra_fields, folder, access)
    text = as_toml(new)
    _check(new, path)
    if path == STDOUT:
        typer.echo(text.encode(), nl=False)  # TOML is UTF-8, whatever the terminal's encoding is
    else:
        _write(path, text)
    typer.echo(next_steps(new, None if path == STDOUT else path), err=True)


def _secrets_folder(secrets: str) -> str | None:
    """The folder of ``--secrets``, None for environment variables. Raises ConfigError."""
    if secrets == "env":
        return None
    if found := re.fullmatch("file:(.+)", secrets):
        return found[1]
    raise ConfigError(Problem(f"--secrets {secrets}", "is neither env nor file:FOLDER.", "Write file:/run/secrets."))


def _refuse_with_sandbox(
    store: str | None, place: Place | None, field: str | None, fields: Sequence[str] | None, folder: str | None
) -> None:
    given = {"--store": store, "--po-from": place, "--po-field": field, "--extra-field": fields, "--secrets": folder}
    if named := [option for option, value in given.items() if value is not None]:
        cure = "The sandbox's store is known. Leave them out, or change the file afterwards."
        raise ConfigError(Problem("--sandbox", f"cannot be used with {', '.join(named)}.", cure))


def _check(new: NewStore, path: Path) -> None:
    """Load the text as every command will. Raises ConfigError with all problems, before anything is written."""
    # The secrets may not be there yet.
    text = as_toml(replace(new, secrets_folder=None))
    try:
        text.encode()
    except UnicodeEncodeError:
        raise ConfigError(
            Problem("enrich init", "got text that is not UTF-8.", "Check the terminal's locale.")
        ) from None
    load_configuration(path, {new.access_token: "secret", new.client_secret: "secret"}, text=text)


def _write(path: Path, text: str) -> None:
    """Write the file atomically. A symbolic link stays a link; a device or a pipe is refused."""
    target = Path(os.path.realpath(path))  # unlike `resolve`, accepts links that form a loop
    if target.exists() and not target.is_file():
        raise ConfigError(
            Problem(str(path), "cannot be written (it is not a file).", "Choose another file with --output.")
        )
    temporary = target.with_name(f".{target.name}.{os.getpid()}")
    try:
        try:
            temporary.write_text(text, encoding="utf-8")
            temporary.replace(target)
        finally:
            temporary.unlink(missing_ok=True)
    except OSError as error:
        raise ConfigError(
            Problem(str(path), f"cannot be written ({error.strerror}).", "Choose another file with --output.")
        ) from None
