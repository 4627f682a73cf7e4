"""The Markdown pages as tests read them: code, tables, links and anchors."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import typer

from service.cli import app
from service.cli.common.lazy_commands import LazyCommand

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "deploy" / "docs"


@dataclass(frozen=True)
class Page:
    """One Markdown file."""

    path: Path

    @cached_property
    def text(self) -> str:
        """The whole file."""
        return self.path.read_text()

    @cached_property
    def prose(self) -> str:
        """Everything outside code blocks."""
        return re.sub(r"^```.*?^```$", "", self.text, flags=re.DOTALL | re.MULTILINE)

    @cached_property
    def blocks(self) -> list[tuple[str, str]]:
        """The language and the text of each code block."""
        return re.findall(r"^```(\w*)\n(.*?)^```$", self.text, re.DOTALL | re.MULTILINE)

    @cached_property
    def spans(self) -> list[str]:
        """The inline code."""
        return re.findall(r"`([^`\n]+)`", self.prose)

    @property
    def code(self) -> list[str]:
        """Inline code and code blocks: only there a word is a name."""
        return [*self.spans, *(text for _, text in self.blocks)]

    @cached_property
    def links(self) -> list[tuple[str, str]]:
        """The relative links: file and anchor, each may be empty."""
        return re.findall(r"\]\((?!https?:)([^)#\s]*)#?([^)\s]*)\)", self.prose)

    @cached_property
    def anchors(self) -> list[str]:
        """The anchors of the headings, as GitHub makes them."""
        headings = re.findall(r"^#+ (.*)$", self.prose, re.MULTILINE)
        return [re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings]

    def block(self, language: str) -> str:
        """The only code block of this language."""
        (text,) = [text for name, text in self.blocks if name == language]
        return text

    def rows(self, header: str) -> list[list[str]]:
        """The cells of all tables whose first column has this header."""
        bodies = re.findall(rf"^\| {header} \|[^\n]*\n\|[ -|]+\n((?:\|[^\n]*\n)+)", self.text, re.MULTILINE)
        assert bodies, f"{self.path.name} has no table of {header}"
        return [[cell.strip() for cell in line.strip("|").split(" |")] for line in "".join(bodies).splitlines()]

    def section(self, title: str, level: int) -> str:
        """The text under a heading."""
        (text,) = re.findall(rf"^{'#' * level} {title}\n((?:(?!#{{1,{level}}} ).*\n)*)", self.text, re.MULTILINE)
        return str(text)


README = Page(ROOT / "README.md")
SET_UP = Page(DOCS / "set-up.md")
STORES_FILE = Page(DOCS / "stores-file.md")
COMMANDS = Page(DOCS / "commands.md")
OPERATIONS = Page(DOCS / "operations.md")
RECIPES = Page(DOCS / "recipes.md")
SIZING = Page(DOCS / "sizing.md")
CONSOLE = Page(DOCS / "console.md")
DEVELOPMENT = Page(DOCS / "development.md")
MANUAL = (README, SET_UP, STORES_FILE, COMMANDS, OPERATIONS, RECIPES, SIZING, CONSOLE, DEVELOPMENT)

ALL_PAGES = [
    Page(path)
    for path in sorted(ROOT.rglob("*.md"))
    if not any(part.startswith(".") for part in path.relative_to(ROOT).parts)
]


def names(text: str) -> list[str]:
    """The inline code in a text."""
    return re.findall(r"`([^`]+)`", text)


def cli_commands() -> Iterator[tuple[str, Any]]:
    """Every command of the command line, by the words after ``enrich``."""
    pending: list[tuple[str, Any]] = [("", typer.main.get_command(app))]
    for prefix, listed in pending:
        command = listed.load() if isinstance(listed, LazyCommand) else listed
        if subcommands := getattr(command, "commands", None):
            pending += [(f"{prefix} {name}".strip(), sub) for name, sub in subcommands.items()]
        if not subcommands or getattr(command, "invoke_without_command", False):
            yield prefix, command
