"""The answers that ``enrich init`` needs: from options, or from a person on the terminal. Each is checked at once."""

import sys
from collections.abc import Callable, Sequence
from contextlib import redirect_stdout
from dataclasses import dataclass
from functools import partial
from typing import TypeVar

import typer

from service.cli.common.output import sanitize
from service.cli.init.store_hash import store_hash_in
from service.errors import ConfigError, Problem
from service.stores.rule_templates import RECIPES, Place

T = TypeVar("T")

PLACES = ", ".join(RECIPES)
FIELD_EXAMPLE = "'Cost Center=metafields.checkout.cost_center'"


@dataclass(frozen=True, slots=True)
class Answers:
    """The store's hash, where its PO numbers are (and the name of that field), and its extra fields with sources."""

    store: str
    place: Place
    field: str | None
    extra_fields: dict[str, str]

    def po_number(self) -> dict[str, str] | None:
        """The rule for the PO number, or None without one."""
        if self.place is Place.NONE:
            return None
        recipe = RECIPES[self.place]
        rule = {"from": recipe.source(self.field or "")}
        return rule | ({"match": recipe.match} if recipe.match else {})


def answers(store: str | None, place: Place | None, field: str | None, extra_fields: Sequence[str]) -> Answers:
    """The options' values, and answers on the terminal for the missing ones.

    Raises ConfigError with all mistakes of the options, or when something is missing and there is no terminal. A wrong
    answer is told and asked for again.
    """
    problems = _mistakes(store, place, field, extra_fields) + _missing(store, place, field)
    if problems:
        raise ConfigError(*problems)
    if store is None:
        question = "Store hash (the part after /stores/ in the store's API path; the whole path works, too)"
        store = _ask(question, lambda text: _store_hash(text, ""))
    if place is None:
        place = _ask_place()
        if field is not None:
            _field(place, field)  # a mistake of the option, which could not be seen before
    if _needs_field(place) and field is None:
        field = _ask("Name of the field", lambda text: _field(place, text), default=RECIPES[place].usual)
    return Answers(_store_hash(store, "--store"), place, field, _extra_fields(extra_fields))


def _mistakes(store: str | None, place: Place | None, field: str | None, extra_fields: Sequence[str]) -> list[Problem]:
    """All mistakes of the options."""
    problems: list[Problem] = []
    checks: list[Callable[[], object]] = [
        *([partial(_store_hash, store, "--store")] if store is not None else []),
        *([partial(_field, place, field)] if field is not None else []),
        partial(_extra_fields, extra_fields),
    ]
    for check in checks:
        try:
            check()
        except ConfigError as error:
            problems += error.problems
    if place is Place.NONE and not extra_fields:
        cure = f"For example: --extra-field {FIELD_EXAMPLE}."
        problems.append(Problem("--po-from none", "needs at least one extra field.", cure))
    return problems


def _missing(store: str | None, place: Place | None, field: str | None) -> list[Problem]:
    missing = [
        *(["--store"] if store is None else []),
        *([f"--po-from (one of {PLACES}, none)"] if place is None else []),
        *(["--po-field"] if _needs_field(place) and field is None else []),
    ]
    if not missing or (sys.stdin.isatty() and sys.stderr.isatty()):
        return []
    return [Problem("enrich init", f"needs {' and '.join(missing)} without a terminal.")]


def _needs_field(place: Place | None) -> bool:
    recipe = RECIPES.get(place) if place else None
    return recipe is not None and recipe.has_field


def _store_hash(text: str, option: str) -> str:
    if found := store_hash_in(text):
        return found
    cure = "It is the part after /stores/ in the store's API path: letters and digits. The whole path works, too."
    raise ConfigError(Problem(f"{option} {text}".strip(), "is not a store hash.", cure))


def _field(place: Place | None, text: str) -> str:
    if not text.strip():
        raise ConfigError(Problem("--po-field", "is empty.", "Write the name as the store has it."))
    if place is not None:
        if not _needs_field(place):
            raise ConfigError(Problem("--po-field", f"cannot be used with --po-from {place}.", "Leave it out."))
        RECIPES[place].source(text)
    return text


def _extra_fields(options: Sequence[str]) -> dict[str, str]:
    fields: dict[str, str] = {}
    problems = []
    for option in options:
        name, _, source = (part.strip() for part in option.partition("="))
        if not name or not source:
            problems.append(Problem("--extra-field", "is not NAME=EXPRESSION.", f"For example: {FIELD_EXAMPLE}."))
        elif name in fields:
            problems.append(
                Problem("--extra-field", "names the same field twice.", "Each field can have only one rule.")
            )
        fields[name] = source
    if problems:
        raise ConfigError(*problems)
    return fields


def _ask(question: str, check: Callable[[str], T], default: str | None = None) -> T:
    while True:
        with redirect_stdout(sys.stderr):  # stdout may be the stores file
            answer: str = typer.prompt(question, default=default)
        try:
            return check(answer.strip())
        except ConfigError as error:
            for problem in error.problems:
                # What was typed is named, options that nobody used are not.
                place = "" if not problem.place or problem.place.startswith("--") else f"{problem.place}: "
                typer.echo(sanitize(f"{place}{problem.message} {problem.cure}".rstrip()), err=True)


def _ask_place() -> Place:
    places = list(RECIPES)

    def chosen(answer: str) -> Place:
        if answer.isdecimal() and 1 <= int(answer) <= len(places):
            return places[int(answer) - 1]
        raise ConfigError(Problem("", f"Enter a number from 1 to {len(places)}."))

    typer.echo("Where do buyers leave the PO number?", err=True)
    for number, place in enumerate(places, start=1):
        typer.echo(f"{number:4}  {RECIPES[place].words}", err=True)
    return _ask("Number", chosen, default="1")
