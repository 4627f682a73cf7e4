"""Output of commands: text and tables for people, JSON for scripts."""

import json
import re
from collections.abc import Iterable, Sequence
from typing import Any

import typer
from rich.console import Console, ConsoleOptions, RenderableType
from rich.segment import Segment

from service.csv_tables import Cell, to_csv
from service.errors import CredentialsRefused, EnrichError, TryAgain

# Control characters, which a terminal obeys: texts of shoppers and BigCommerce may contain them.
# Line breaks and tabs stay.
_CONTROL_CHARACTERS = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f]")

# Control characters that JSON does not escape, what some programs read as a line break, and lone surrogates (no UTF-8).
_TO_ESCAPE_IN_JSON = re.compile("[\x7f-\x9f\u2028\u2029\ud800-\udfff]")

# Wide enough that nothing is folded when a program reads the output; a table is only as wide as it must be.
_UNLIMITED_WIDTH = 10_000


def sanitize(text: str) -> str:
    """Remove the control characters that a terminal would obey."""
    return _CONTROL_CHARACTERS.sub("", text)


def with_cure(error: EnrichError) -> str:
    """The error's message, with what to do where BigCommerce's message does not say it."""
    match error:
        case CredentialsRefused():
            cure = "Run `enrich check` to see what is wrong with the token."
        case TryAgain(status=None):
            cure = "Check the network and the URLs under [bigcommerce], then run `enrich check`."
        case _:
            return str(error)
    return f"{str(error).removesuffix('.')}. {cure}"


class _Console(Console):
    """Shows rich's own colours, but removes control characters that are in the text itself."""

    def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterable[Segment]:
        for segment in super().render(renderable, options):
            yield segment if segment.control else Segment(sanitize(segment.text), segment.style)


def open_console() -> Console:
    """The console for results. In a pipe or a file no line is cut or folded."""
    console = _Console(highlight=False)
    return console if console.is_terminal else _Console(highlight=False, width=_UNLIMITED_WIDTH)


def to_json(value: Any) -> str:
    """Indented JSON that is safe for any terminal and any file."""
    text = json.dumps(value, indent=2, ensure_ascii=False)
    return _TO_ESCAPE_IN_JSON.sub(lambda found: f"\\u{ord(found[0]):04x}", text)


def print_json(value: Any) -> None:
    """Print JSON on stdout, always as UTF-8, whatever the terminal's encoding is."""
    typer.echo(to_json(value).encode())


def print_csv(columns: Sequence[str], rows: Iterable[Sequence[Cell]]) -> None:
    """Print a table as CSV on stdout, always as UTF-8. Control characters of others' texts are removed."""
    typer.echo(
        to_csv(columns, ([sanitize(c) if isinstance(c, str) else c for c in row] for row in rows)).encode(), nl=False
    )
