"""``enrich init``: the first stores file."""

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
    """What becomes of an order that is not paid yet."""

    ENRICH = "enrich"
    WAIT = "wait"
    SKIP = "skip"


def init(
    store: Annotated[
        str | None, typer.Option(metavar="HASH", help="The store's hash: what follows /stores/ in its API path.")
    ] = None,
    name: Annotated[str | None, typer.Option(help="The store's name, for people.")] = None,
    po_from: Annotated[
        Place | None,
        typer.Option(
            metavar="PLACE", help=f"Where the PO number is: {PLACES}; or none, where only extra fields are wanted."
        ),
    ] = None,
    po_field: Annotated[
        str | None, typer.Option(help="What that field is called; of a metafield: namespace.key.")
    ] = None,
    extra_field: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME=EXPRESSION", help=f"An extra field and its source: {FIELD_EXAMPLE}. Repeatable."),
    ] = None,
    incomplete: Annotated[
        Incomplete, typer.Option(help="What becomes of an order that is not paid yet.")
    ] = Incomplete.ENRICH,
    output: Annotated[
        Path | None, typer.Option(help="The file to write, - for stdout; else ENRICH_CONFIG, or stores.toml.")
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace the file, with all stores in it.")] = False,
) -> None:
    """Write a stores file with comments, for one store.

    Asks for what the options leave open, on a terminal; with --store, --po-from and the --po-field of a place that has
    fields it asks nothing. No secret is asked for or written: the file names environment variables. A file that is
    there is left alone; to add a store to it, write to stdout and append:

    \b
        enrich init --store def456 --po-from comment --output - >> stores.toml

    Example: enrich init --store abc123 --po-from comment
    """
    path = output or Settings.load().enrich_config
    if path != STDOUT and os.path.lexists(path) and not force:
        cure = "--output - prints the tables of another store, to be appended; --force replaces the file."
        raise ConfigError(Problem(str(path), "exists already.", cure))
    fields = _extra_fields(extra_field or ())
    answers = _complete(store, po_from, po_field)
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
        """The rule for the PO number; None for none. Raises ConfigError."""
        if self.place is Place.NONE:
            return None
        recipe = RECIPES[self.place]
        rule = {"from": recipe.source(self.field or "")}
        return rule | ({"match": recipe.match} if recipe.match else {})


def _complete(store: str | None, place: Place | None, field: str | None) -> _Answers:
    """What the options say, and what a person answers to the rest. Raises ConfigError where nobody can be asked."""
    can_ask = sys.stdin.isatty() and sys.stderr.isatty()
    missing = [
        *(["--store"] if store is None else []),
        *([f"--po-from (one of {PLACES}, none)"] if place is None else []),
        *(["--po-field"] if _needs_field(place) and field is None else []),
    ]
    if missing and not can_ask:
        raise ConfigError(Problem("enrich init", f"needs {' and '.join(missing)} where it cannot ask."))
    if store is None:
        store = _ask("Store hash (what follows /stores/ in the store's API path)")
    if place is None:
        place = _ask_place()
    if _needs_field(place) and field is None:
        field = _ask("Its name", default=RECIPES[place].usual)
    if field is not None and not _needs_field(place):
        raise ConfigError(Problem("--po-field", f"means nothing with --po-from {place}.", "Leave it out."))
    if field is not None and not field.strip():
        raise ConfigError(Problem("--po-field", "is empty.", "Write the name as the store has it."))
    return _Answers(store, place, field)


def _needs_field(place: Place | None) -> bool:
    recipe = RECIPES.get(place) if place else None
    return recipe is not None and recipe.has_field


def _ask(question: str, default: str | None = None) -> str:
    with redirect_stdout(sys.stderr):  # stdout may be the file
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
        typer.echo(f"A number from 1 to {len(places)}.", err=True)


def _extra_fields(written: Sequence[str]) -> dict[str, str]:
    fields: dict[str, str] = {}
    for option in written:
        name, _, source = (part.strip() for part in option.partition("="))
        if not name or not source:
            raise ConfigError(Problem("--extra-field", "is not NAME=EXPRESSION.", f"For example: {FIELD_EXAMPLE}."))
        if name in fields:
            raise ConfigError(Problem("--extra-field", "names the same field twice.", "A field has one rule."))
        fields[name] = source
    return fields


def _check(new: NewStore, text: str, path: Path) -> None:
    """Read the text as every command will. Raises ConfigError with all that is wrong, before anything is written."""
    if new.po_number is None and not new.extra_fields:
        cure = f"Name one: --extra-field {FIELD_EXAMPLE}."
        raise ConfigError(Problem("--po-from none", "leaves nothing to do without an extra field.", cure))
    try:
        text.encode()
    except UnicodeEncodeError:
        raise ConfigError(Problem("enrich init", "was given text that is not UTF-8.", "See the locale.")) from None
    # The secrets need not be there yet.
    load_configuration(path, {new.access_token: "secret", new.client_secret: "secret"}, text=text)


def _write(path: Path, text: str) -> None:
    """All of the file or nothing. A link stays a link; a device or a pipe is no place for a file."""
    target = Path(os.path.realpath(path))  # as `resolve` does, but links that lead in a circle are no error
    if target.exists() and not target.is_file():
        raise ConfigError(Problem(str(path), "cannot be written (it is not a file).", "See --output."))
    beside = target.with_name(f".{target.name}.{os.getpid()}")
    try:
        try:
            beside.write_text(text, encoding="utf-8")
            beside.replace(target)
        finally:
            beside.unlink(missing_ok=True)
    except OSError as error:
        raise ConfigError(Problem(str(path), f"cannot be written ({error.strerror}).", "See --output.")) from None


def _next_steps(new: NewStore, path: Path) -> str:
    elsewhere = path not in (STDOUT, Settings.load().enrich_config)
    config = f"ENRICH_CONFIG={shlex.quote(str(path))} " if elsewhere else ""
    return "\n".join(
        [
            *([] if path == STDOUT else [f"{path} is written."]),
            "Set these variables where the commands run, from the store's API account:",
            f"  {new.access_token}",
            f"  {new.client_secret}",
            "Then:",
            f"  {config}enrich check",
            f"  {config}enrich hooks register --url https://<your host>{WEBHOOK_PATH}",
        ]
    )
