"""What keeps a process small, and its garbage collector quick."""

import gc
import sys
from importlib import import_module

# They load rich wherever they find it: for coloured tracebacks, and for a command line of their own.
_LIBRARIES = ("structlog", "httpx")
_ORNAMENTS = ("rich", "pygments")


def import_without_rich() -> None:
    """Import structlog and httpx as if rich were not there. To be called before whatever else imports them.

    Nothing of ours uses what they do with it, and a process that runs for months is 4 MB smaller. A command that draws
    tables imports rich itself.
    """
    hidden = [name for name in _ORNAMENTS if name not in sys.modules]
    sys.modules.update(dict.fromkeys(hidden))  # type: ignore[arg-type]  # None is what cannot be imported
    try:
        for name in _LIBRARIES:
            import_module(name)
    finally:
        for name in hidden:
            del sys.modules[name]


def freeze_gc() -> None:
    """Have the garbage collector leave alone all that is there. To be called when a process has started.

    Modules and models stay anyway. Looking through them again and again is two thirds of what collecting takes, and
    stops the event loop for 40 ms each time.
    """
    gc.collect()
    gc.freeze()
