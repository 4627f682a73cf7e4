"""Text files, and how to tell that one has changed since it was read."""

from collections.abc import Mapping
from pathlib import Path

Stamp = tuple[int, ...]
"""How a file stood at a moment: another one when it has been written, replaced, or made readable meanwhile."""


class UnreadableError(Exception):
    """Why a file cannot be read, to be put after its name."""


class Files:
    """Reads text files, and keeps in mind how each one stood just before."""

    def __init__(self) -> None:
        self._stamps: dict[Path, Stamp] = {}

    @property
    def stamps(self) -> Mapping[Path, Stamp]:
        """Every file that was asked for, those included that could not be read."""
        return self._stamps

    def text(self, path: Path) -> str:
        """The text of a UTF-8 file, with or without a byte-order mark. Raises UnreadableError."""
        self._stamps.setdefault(path, stamp(path))
        try:
            return path.read_bytes().decode("utf-8-sig")
        except FileNotFoundError:
            raise UnreadableError("does not exist") from None
        except IsADirectoryError:
            raise UnreadableError("is a directory, not a file") from None
        except PermissionError:
            raise UnreadableError("may not be read by this user") from None
        except UnicodeDecodeError as error:
            raise UnreadableError(f"is not UTF-8 text (byte {error.start + 1})") from None
        except OSError as error:
            raise UnreadableError(f"cannot be read ({error.strerror})") from None
        except ValueError:  # a NUL character in the path
            raise UnreadableError("has a name that no file can have") from None


def stamp(path: Path) -> Stamp:
    """How the file stands now. Symbolic links are followed, each of which may have been turned to another file."""
    try:
        status = path.stat()
    except OSError as error:
        return (error.errno or 0,)
    except ValueError:  # a NUL character in the path
        return ()
    # A copy may keep size and time of what it replaces; the time of the last change of status, no tool can set.
    return (status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns)
