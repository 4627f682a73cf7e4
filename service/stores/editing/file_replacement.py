"""Replaces a file at once: whoever reads it finds the old content or the new one, never a part.

Two programs that write the same file take turns by a lock file beside it.
"""

import errno
import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from service.errors import EnrichError

LOCK_TIMEOUT_S = 10.0
"""Who writes holds the lock for as long as a check of the file takes: a second for a thousand stores."""

_LOCK_POLL_S = 0.02


class FileChanged(EnrichError):
    """The file is not as it was when the change began. Nothing was written."""

    def __init__(self, path: Path) -> None:
        super().__init__(f"{path.name} has changed since this page was opened. Nothing was saved.")


class NotReplaceable(EnrichError):
    """This program cannot replace the file. Nothing was written; the message says why."""


_REASONS = {
    errno.EROFS: "it is on a read-only file system",
    errno.EBUSY: "it is mounted as a single file",
    errno.EACCES: "this program may not write into its folder",
    errno.EPERM: "this program may not give a new file the same owner and mode",
    errno.ENOSPC: "the disk is full",
    errno.EDQUOT: "the disk quota is used up",
}


@contextmanager
def locked(path: Path) -> Iterator[Path]:
    """Hold the lock of a file, after a wait for whoever holds it now: the path of the file itself, without links.

    Raises NotReplaceable when the lock file cannot be made, or the lock is held for ``LOCK_TIMEOUT_S``.
    """
    with _refusals(path):
        path = path.resolve(strict=True)
        lock = os.open(
            path.with_name(f".{path.name}.lock"), os.O_CREAT | os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600
        )
    try:
        _acquire(lock, path)
        yield path
    finally:
        os.close(lock)  # which also unlocks it


def _acquire(lock: int, path: Path) -> None:
    deadline = time.monotonic() + LOCK_TIMEOUT_S
    while True:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() > deadline:
                raise NotReplaceable(f"{path.name} cannot be changed now: another program holds its lock.") from None
            time.sleep(_LOCK_POLL_S)
        else:
            return


def replace(path: Path, content: bytes) -> None:
    """Replace the content of a file that exists; its owner and mode stay. To be called while its lock is held.

    Raises NotReplaceable.
    """
    with _refusals(path):
        if not os.access(path, os.W_OK):
            raise NotReplaceable(f"{path.name} cannot be changed here: it is read-only.")
        status = path.stat()
        temporary = path.with_name(f".{path.name}.new")
        with suppress(FileNotFoundError):  # of a program that was killed; the lock is ours
            temporary.unlink()
        # The mode is set at the end: until then nobody else reads the file, which may hold secrets.
        descriptor = os.open(temporary, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC, 0o600)
        try:
            with os.fdopen(descriptor, "wb") as file:
                file.write(content)
                file.flush()
                made = os.fstat(file.fileno())
                if (made.st_uid, made.st_gid) != (status.st_uid, status.st_gid):
                    os.fchown(file.fileno(), status.st_uid, status.st_gid)
                os.fchmod(file.fileno(), status.st_mode & 0o7777)
                os.fsync(file.fileno())
            temporary.rename(path)
        except BaseException:
            with suppress(OSError):
                temporary.unlink()
            raise
        _sync_folder(path.parent)


def _sync_folder(folder: Path) -> None:
    """Make a rename survive a crash. The file has been replaced already, so failures are ignored."""
    with suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


@contextmanager
def _refusals(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        reason = _REASONS.get(error.errno or 0, error.strerror or "unknown reason")
        raise NotReplaceable(f"{path.name} cannot be changed here: {reason}.") from error
