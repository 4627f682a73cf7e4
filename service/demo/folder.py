"""The folder of one demo: Redis's data and the logs. Nothing of it stays, unless somebody has to read the logs."""

import os
import shutil
import tempfile
from contextlib import closing
from pathlib import Path

from service.redis.embedded.lock_file import LockFile
from service.redis.embedded.server import shut_down_orphan

_PREFIX = "enrich-demo-"
# Locked as long as the demo runs. A folder that has it, unlocked, is one that a killed demo has left.
_MARKER = "running"


class DemoFolder:
    """A new folder. Folders of demos that were killed are removed first, with a Redis that still runs there."""

    def __init__(self) -> None:
        _remove_leftovers()
        self.path = Path(tempfile.mkdtemp(prefix=_PREFIX))
        # Locked before it has its name: another demo that starts now must not take it for a leftover.
        self._lock = LockFile(self.path / "new")
        self._lock.acquire()
        (self.path / "new").rename(self.path / _MARKER)

    def keep(self) -> None:
        """Keep the folder for a person, also after later demos."""
        (self.path / _MARKER).unlink(missing_ok=True)
        self._lock.close()

    def remove(self) -> None:
        """Remove the folder. Its Redis must have ended."""
        shutil.rmtree(self.path, ignore_errors=True)
        self._lock.close()


def _remove_leftovers() -> None:
    for folder in Path(tempfile.gettempdir()).glob(f"{_PREFIX}*"):
        if _is_leftover(folder) and shut_down_orphan(folder / "redis"):
            shutil.rmtree(folder, ignore_errors=True)


def _is_leftover(folder: Path) -> bool:
    """Whether a demo of this user made this folder, and has ended without removing it."""
    try:
        if folder.is_symlink() or folder.stat().st_uid != os.getuid():
            return False
        with closing(LockFile(folder / _MARKER, create=False)) as lock:
            return lock.acquire()
    except OSError:  # another demo is just removing it, or it is kept
        return False
