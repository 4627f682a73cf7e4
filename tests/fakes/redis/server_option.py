"""``--redis-server PATH``: another server for the tests, also for the processes that they start."""

import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable
from pathlib import Path

import pytest

from service.redis.embedded.server_binary import find_server


def use_server(server: Path) -> Callable[[], None]:
    """Put this server at the front of the PATH, under the name that is looked for there; returns what undoes it."""
    if not os.access(server, os.X_OK) or server.is_dir():
        raise pytest.UsageError(f"--redis-server: {server} is no program.")
    folder = Path(tempfile.mkdtemp(prefix="redis-server-"))
    (folder / "redis-server").symlink_to(server.resolve())
    before = os.environ["PATH"]
    os.environ["PATH"] = f"{folder}{os.pathsep}{before}"

    def undo() -> None:
        os.environ["PATH"] = before
        shutil.rmtree(folder)

    return undo


def version() -> str:
    """What the server that the tests use says of itself."""
    said = subprocess.run([find_server(), "--version"], capture_output=True, text=True, check=True)
    return said.stdout.strip()
