"""Imports libraries without the optional dependencies that they would load, to save memory."""

import sys
from importlib import import_module

# They import rich if it is installed: for coloured tracebacks, and for a command line of their own.
_LIBRARIES = ("structlog", "httpx")
_OPTIONAL = ("rich", "pygments")


def import_without_rich() -> None:
    """Import structlog and httpx as if rich were not installed. Call it before any other import of them.

    Nothing here uses what they do with rich, and a long-running process stays 4 MB smaller. Commands that draw tables
    import rich themselves.
    """
    hidden = [name for name in _OPTIONAL if name not in sys.modules]
    sys.modules.update(dict.fromkeys(hidden))  # type: ignore[arg-type]  # None makes the import of a module fail
    try:
        for name in _LIBRARIES:
            import_module(name)
    finally:
        for name in hidden:
            del sys.modules[name]
