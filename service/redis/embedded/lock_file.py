"""A lock on a file that the kernel releases when its last holder ends, however it ends."""

import fcntl
import os
from pathlib import Path


class LockFile:
    """A file that one process and its children can lock; its only line says who holds it."""

    def __init__(self, path: Path, *, create: bool = True) -> None:
        self._fd = open_private(str(path), os.O_RDWR | os.O_CLOEXEC | (os.O_CREAT if create else 0))

    def fileno(self) -> int:
        """The file's descriptor: a child that inherits it holds the lock, too."""
        return self._fd

    def acquire(self) -> bool:
        """Take the lock; False when another process holds it."""
        try:
            fcntl.flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True

    def read(self) -> str:
        """The file's line."""
        return os.pread(self._fd, 4096, 0).decode(errors="replace").strip()

    def write(self, line: str) -> None:
        """Replace the file's line."""
        os.ftruncate(self._fd, 0)
        os.pwrite(self._fd, f"{line}\n".encode(), 0)

    def close(self) -> None:
        """Close the file. The lock is released once all that inherited it have closed it."""
        os.close(self._fd)


def open_private(path: str, flags: int) -> int:
    """An opener of files that only their owner can read."""
    return os.open(path, flags, 0o600)
