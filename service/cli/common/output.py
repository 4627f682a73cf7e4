"""What commands answer: text and tables for people, JSON for scripts."""

import json
import re
from collections.abc import Iterable
from typing import Any

import typer
from rich.console import Console, ConsoleOptions, RenderableType
from rich.segment import Segment

from service.errors import CredentialsRefused, EnrichError, TryAgain

# What a terminal obeys: shoppers' and BigCommerce's words may hold it. Line breaks and tabs stay.
_CONTROL = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f]")

# What JSON leaves of that, what some take for a line break, and half surrogate pairs, which are no UTF-8.
_NOT_IN_JSON = re.compile("[\x7f-\x9f\u2028\u2029\ud800-\udfff]")

# Columns for those who read with a program; a table takes only what it needs of them.
_ENDLESS = 10_000


def harmless(text: str) -> str:
    """The text without what a terminal would obey."""
    return _CONTROL.sub("", text)


def with_cure(error: EnrichError) -> str:
    """The error in words, and what to do where BigCommerce's own do not tell."""
    match error:
        case CredentialsRefused():
            cure = "`enrich check` says what is wrong with the token."
        case TryAgain(status=None):
            cure = "Is the network up, and are the addresses under [bigcommerce] right? `enrich check` tells more."
        case _:
            return str(error)
    return f"{str(error).removesuffix('.')}. {cure}"


class _Console(Console):
    """Colours are rich's own; what is in the words themselves does not reach the terminal."""

    def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterable[Segment]:
        for segment in super().render(renderable, options):
            yield segment if segment.control else Segment(harmless(segment.text), segment.style)


def open_console() -> Console:
    """Where results are shown. In a pipe or a file no line is cut or folded to a terminal's width."""
    console = _Console(highlight=False)
    return console if console.is_terminal else _Console(highlight=False, width=_ENDLESS)


def to_json(value: Any) -> str:
    """Indented JSON that any terminal and any file takes."""
    text = json.dumps(value, indent=2, ensure_ascii=False)
    return _NOT_IN_JSON.sub(lambda found: f"\\u{ord(found[0]):04x}", text)


def print_json(value: Any) -> None:
    """The answer for scripts, on stdout: JSON is UTF-8, whatever the terminal's encoding is."""
    typer.echo(to_json(value).encode())
