"""Commands that are imported when they are called.

All together they need every library that there is: most of a second of start-up and many MB of memory, which nobody
wants for ``enrich --help``, nor in a receiver that runs for months.
"""

from pkgutil import resolve_name
from typing import Any

import typer
from typer.core import TyperCommand, TyperGroup
from typer.main import get_group

from service.process.gc_tuning import import_without_rich


class LazyCommand(TyperCommand):
    """Stands in for a command, or a group of them, in the list of commands."""

    def __init__(self, name: str, purpose: str, place: str) -> None:
        """``purpose`` is the first sentence of the command's help; ``place`` is ``package.module:function``."""
        super().__init__(name, short_help=purpose, rich_markup_mode=None)
        self._name = name
        self._place = place

    def load(self) -> TyperCommand | TyperGroup:
        """Import the command itself."""
        import_without_rich()
        found = resolve_name(self._place)
        app = typer.Typer(rich_markup_mode=None)
        if isinstance(found, typer.Typer):
            app.add_typer(found, name=self._name)
        else:
            app.command(self._name)(found)
        loaded = get_group(app).commands[self._name]
        assert isinstance(loaded, TyperCommand | TyperGroup)
        return loaded

    def make_context(self, *args: Any, **settings: Any) -> Any:
        """What runs is the command itself."""
        return self.load().make_context(*args, **settings)
