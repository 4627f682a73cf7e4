"""Lazy import of commands: each is imported when it is called.

To import all of them takes most of a second and many MB of memory: too much for ``enrich --help``, and for a receiver
that runs for months.
"""

from pkgutil import resolve_name
from typing import Any

import typer
from typer.core import TyperCommand, TyperGroup
from typer.main import get_group

from service.cli.common.help_words import describe_values
from service.process.lean_imports import import_lean_libraries


class LazyCommand(TyperCommand):
    """A placeholder for a command or a command group in the list of commands."""

    def __init__(self, name: str, summary: str, target: str) -> None:
        """``summary`` is the first sentence of the command's help; ``target`` is ``package.module:function``."""
        super().__init__(name, short_help=summary, rich_markup_mode=None)
        self._name = name
        self._target = target

    def load(self) -> TyperCommand | TyperGroup:
        """Import the real command."""
        import_lean_libraries()
        found = resolve_name(self._target)
        app = typer.Typer(rich_markup_mode=None)
        if isinstance(found, typer.Typer):
            app.add_typer(found, name=self._name)
        else:
            app.command(self._name)(found)
        loaded = get_group(app).commands[self._name]
        assert isinstance(loaded, TyperCommand | TyperGroup)
        describe_values(loaded)
        return loaded

    def make_context(self, *args: Any, **settings: Any) -> Any:
        """Make the context of the real command, so that it is the one that runs."""
        return self.load().make_context(*args, **settings)
