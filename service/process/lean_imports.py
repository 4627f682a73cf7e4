"""Imports libraries without the optional dependencies that they would load, to save memory."""

import sys
from importlib import import_module

_HIDDEN_FROM = {
    # They import rich if it is installed: for coloured tracebacks, and for a command line of their own.
    ("structlog", "httpx"): ("rich", "pygments"),
    # It imports all of cryptography if it is installed: for OCSP, which no URL of ours can ask for (redis.url).
    ("redis.asyncio",): ("cryptography",),
}


def import_lean_libraries() -> None:
    """Import structlog, httpx and redis as if those were not installed. Call it before any other import of them.

    Nothing here uses what they do with them, and a long-running process stays 14 MB smaller. Commands that draw tables
    import rich themselves, and ``service.redis.sealing`` the little of cryptography that it needs.
    """
    for libraries, optional in _HIDDEN_FROM.items():
        hidden = [name for name in optional if name not in sys.modules]
        sys.modules.update(dict.fromkeys(hidden))  # type: ignore[arg-type]  # None makes the import of a module fail
        try:
            for name in libraries:
                import_module(name)
        finally:
            for name in hidden:
                del sys.modules[name]
