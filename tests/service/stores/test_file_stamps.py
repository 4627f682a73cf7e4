"""Reading text files, and detecting changes by their stamps."""

import os
import time
from pathlib import Path

import pytest

from service.stores import FileReader, stamp
from service.stores.file_stamps import UnreadableError


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "secret"
    path.write_text("old")
    return path


def test_an_unchanged_file_keeps_its_stamp(path: Path) -> None:
    before = stamp(path)
    path.read_text()
    assert stamp(path) == before


def test_a_copy_of_the_same_size_and_time_has_another_stamp(path: Path) -> None:
    before, status = stamp(path), path.stat()
    new = path.with_name("new")
    new.write_text("new")
    os.utime(new, ns=(status.st_atime_ns, status.st_mtime_ns))
    new.rename(path)
    assert path.stat().st_mtime_ns == status.st_mtime_ns
    assert stamp(path) != before


def test_a_file_that_was_made_readable_has_another_stamp(path: Path) -> None:
    path.chmod(0)
    before = stamp(path)
    time.sleep(0.02)  # the file system's clock may tick only every few milliseconds
    path.chmod(0o600)
    assert stamp(path) != before


def test_a_link_to_another_file_has_another_stamp(path: Path) -> None:
    link, other = path.with_name("link"), path.with_name("other")
    other.write_text("new")
    link.symlink_to(path)
    before = stamp(link)
    assert before == stamp(path)
    link.unlink()
    link.symlink_to(other)
    assert stamp(link) != before


def test_a_missing_file_has_a_stamp(path: Path) -> None:
    existing = stamp(path)
    path.unlink()
    assert stamp(path) == stamp(path) != existing
    assert stamp(Path("no\0file")) == stamp(Path("no\0file"))


def test_stamps_are_taken_before_reading_and_for_unreadable_files_too(path: Path) -> None:
    files, missing, before = FileReader(), path.with_name("missing"), stamp(path)
    assert files.text(path) == "old"
    path.write_text("newer")
    assert files.text(path) == "newer"
    with pytest.raises(UnreadableError, match="does not exist"):
        files.text(missing)
    assert files.stamps == {path: before, missing: stamp(missing)}
