"""Reads text files, and detects by their stamps whether they have changed since."""

import hashlib
from collections.abc import Mapping
from pathlib import Path

Stamp = tuple[int, ...]
"""The state of a file at one moment. It differs after the file was written, replaced, or made readable."""


class UnreadableError(Exception):
    """Why a file cannot be read: a phrase that follows the file's name."""


LATIN = "WINDOWS-1252"
"""What Western editors write where they do not write UTF-8."""


class NotUtf8Error(UnreadableError):
    """The file is text in another encoding, most likely ``encoding``; ``offset`` is the first character that"
    " shows it."""

    def __init__(self, data: bytes, error: UnicodeDecodeError) -> None:
        super().__init__(f"is not UTF-8 text (byte {error.start + 1})")
        is_utf16 = data.startswith((b"\xff\xfe", b"\xfe\xff"))
        self.encoding = "utf-16" if is_utf16 else LATIN
        self.text = data.decode(self.encoding, errors="replace")
        self.offset = error.start


class FileReader:
    """Reads text files, and records the stamp of each one just before."""

    def __init__(self) -> None:
        self._stamps: dict[Path, Stamp] = {}
        self._digests: dict[Path, str] = {}

    @property
    def stamps(self) -> Mapping[Path, Stamp]:
        """The stamps of all files that were asked for, including those that could not be read."""
        return self._stamps

    @property
    def digests(self) -> Mapping[Path, str]:
        """The ``content_digest`` of each file that could be read."""
        return self._digests

    def text(self, path: Path) -> str:
        """Read a UTF-8 file, with or without a byte-order mark. Raises UnreadableError."""
        self._stamps.setdefault(path, stamp(path))
        try:
            data = path.read_bytes()
            self._digests[path] = content_digest(data)
            return data.decode("utf-8-sig")
        except FileNotFoundError:
            raise UnreadableError("does not exist") from None
        except IsADirectoryError:
            raise UnreadableError("is a directory, not a file") from None
        except PermissionError:
            raise UnreadableError("is not readable by this user") from None
        except UnicodeDecodeError as error:
            raise NotUtf8Error(data, error) from None
        except OSError as error:
            raise UnreadableError(f"cannot be read ({error.strerror})") from None
        except ValueError:  # a NUL character in the path
            raise UnreadableError("has an invalid name") from None


def content_digest(content: bytes) -> str:
    """Identifies the content of a file: the same content has the same digest on all machines."""
    return hashlib.sha256(content).hexdigest()


def stamp(path: Path) -> Stamp:
    """The file's current stamp. Symbolic links are followed, so a link to another file changes the stamp."""
    try:
        status = path.stat()
    except OSError as error:
        return (error.errno or 0,)
    except ValueError:  # a NUL character in the path
        return ()
    # A copy may keep the size and mtime of the file that it replaces. No tool can set the ctime.
    return (status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns)
