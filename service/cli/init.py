"""``enrich init``: write the first stores file."""

import os
import shlex
import sys
from collections.abc import Sequence
from contextlib import redirect_stdout
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from service.configuration import load_configuration
from service.errors import ConfigError, Problem
from service.hooks import WEBHOOK_PATH
from service.settings import Settings
from service.stores.rule_templates import RECIPES, Place
from service.stores.writer import NewStore, as_toml

STDOUT = Path("-")
PLACES = ", ".join(RECIPES)
FIELD_EXAMPLE = "'Cost Center=metafields.checkout.cost_center'"


class Incomplete(StrEnum):
    """What to do with an order that is not paid yet."""

    ENRICH = "enrich"
    WAIT = "wait"
    SKIP = "skip"


def init(
    store: Annotated[
        str | None, typer.Option(metavar="HASH", help="The store's hash: the part after /stores/ in its API path.")
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
    output: Annotated[
        Path | None, typer.Option(help="The file to write, or - for stdout. Default: ENRICH_CONFIG, or stores.toml.")
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace an existing file, with all stores in it.")] = False,
) -> None:
    """Write a commented stores file for one store.

    On a terminal, asks for values that the options do not give. Does not ask if --store and --po-from are given, and
    --po-field if that place needs one. Neither asks for nor writes secrets: the file names environment variables.
    Does not change an existing file. To add a store to it, write to stdout and append:

    \b
        enrich init --store def456 --po-from comment --output - >> stores.toml

    Example: enrich init --store abc123 --po-from comment
    """
    path = output or Settings.load().enrich_config
    if path != STDOUT and os.path.lexists(path) and not force:
        cure = "To add a store, append the output of --output - to it. To replace the file, use --force."
        raise ConfigError(Problem(str(path), "already exists.", cure))
    fields = _extra_fields(extra_field or ())
    answers = _prompt_for_missing(store, po_from, po_field)
    new = NewStore(answers.store, name, incomplete.value, answers.po_number(), fields)
    text = as_toml(new)
    _check(new, text, path)
    if path == STDOUT:
        typer.echo(text.encode(), nl=False)  # TOML is UTF-8, whatever the terminal's encoding is
    else:
        _write(path, text)
    typer.echo(_next_steps(new, path), err=True)


@dataclass(frozen=True, slots=True)
class _Answers:
    store: str
    place: Place
    field: str | None

    def po_number(self) -> dict[str, str] | None:
        """The rule for the PO number, or None without one. Raises ConfigError."""
        if self.place is Place.NONE:
            return None
        recipe = RECIPES[self.place]
        rule = {"from": recipe.source(self.field or "")}
        return rule | ({"match": recipe.match} if recipe.match else {})


def _prompt_for_missing(store: str | None, place: Place | None, field: str | None) -> _Answers:
    """The options' values, and answers on the terminal for the missing ones. Raises ConfigError without a terminal."""
    can_ask = sys.stdin.isatty() and sys.stderr.isatty()
    missing = [
        *(["--store"] if store is None else []),
        *([f"--po-from (one of {PLACES}, none)"] if place is None else []),
        *(["--po-field"] if _needs_field(place) and field is None else []),
    ]
    if missing and not can_ask:
        raise ConfigError(Problem("enrich init", f"needs {' and '.join(missing)} without a terminal."))
    if store is None:
        store = _ask("Store hash (the part after /stores/ in the store's API path)")
    if place is None:
        place = _ask_place()
    if _needs_field(place) and field is None:
        field = _ask("Name of the field", default=RECIPES[place].usual)
    if field is not None and not _needs_field(place):
        raise ConfigError(Problem("--po-field", f"cannot be used with --po-from {place}.", "Leave it out."))
    if field is not None and not field.strip():
        raise ConfigError(Problem("--po-field", "is empty.", "Write the name as the store has it."))
    return _Answers(store, place, field)


def _needs_field(place: Place | None) -> bool:
    recipe = RECIPES.get(place) if place else None
    return recipe is not None and recipe.has_field


def _ask(question: str, default: str | None = None) -> str:
    with redirect_stdout(sys.stderr):  # stdout may be the stores file
        answer: str = typer.prompt(question, default=default)
    return answer.strip()


def _ask_place() -> Place:
    places = list(RECIPES)
    typer.echo("Where do buyers leave the PO number?", err=True)
    for number, place in enumerate(places, start=1):
        typer.echo(f"{number:4}  {RECIPES[place].words}", err=True)
    while True:
        answer = _ask("Number", default="1")
        if answer.isdecimal() and 1 <= int(answer) <= len(places):
            return places[int(answer) - 1]
        typer.echo(f"Enter a number from 1 to {len(places)}.", err=True)


def _extra_fields(options: Sequence[str]) -> dict[str, str]:
    fields: dict[str, str] = {}
    for option in options:
        name, _, source = (part.strip() for part in option.partition("="))
        if not name or not source:
            raise ConfigError(Problem("--extra-field", "is not NAME=EXPRESSION.", f"For example: {FIELD_EXAMPLE}."))
        if name in fields:
            raise ConfigError(
                Problem("--extra-field", "names the same field twice.", "Each field can have only one rule.")
            )
        fields[name] = source
    return fields


def _check(new: NewStore, text: str, path: Path) -> None:
    """Load the text as every command will. Raises ConfigError with all problems, before anything is written."""
    if new.po_number is None and not new.extra_fields:
        cure = f"For example: --extra-field {FIELD_EXAMPLE}."
        raise ConfigError(Problem("--po-from none", "needs at least one extra field.", cure))
    try:
        text.encode()
    except UnicodeEncodeError:
        raise ConfigError(
            Problem("enrich init", "got text that is not UTF-8.", "Check the terminal's locale.")
        ) from None
    # The secrets may not be set yet.
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


def _next_steps(new: NewStore, path: Path) -> str:
    elsewhere = path not in (STDOUT, Settings.load().enrich_config)
    config = f"ENRICH_CONFIG={shlex.quote(str(path))} " if elsewhere else ""
    return "\n".join(
        [
            *([] if path == STDOUT else [f"Wrote {path}."]),
            "Set these environment variables for the commands. Their values are in the store's API account:",
            f"  {new.access_token}",
            f"  {new.client_secret}",
            "Then run:",
            f"  {config}enrich check",
            f"  {config}enrich hooks register --url https://<your host>{WEBHOOK_PATH}",
        ]
    )
