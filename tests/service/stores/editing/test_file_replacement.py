"""A file is replaced at once, with its owner and mode, or not at all."""

import errno
import os
import threading
from pathlib import Path

import pytest

from service.stores.editing.file_replacement import NotReplaceable, locked, replace


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "stores.toml"
    path.write_text("old")
    path.chmod(0o640)
    return path


def test_the_content_is_replaced_and_mode_and_owner_stay(file: Path) -> None:
    before = file.stat()
    with locked(file) as path:
        replace(path, b"new")
    after = file.stat()
    assert file.read_text() == "new"
    assert (after.st_mode, after.st_uid, after.st_gid) == (before.st_mode, before.st_uid, before.st_gid)
    assert after.st_ino != before.st_ino
    assert sorted(each.name for each in file.parent.iterdir()) == [".stores.toml.lock", "stores.toml"]


def test_a_link_stays_one_and_its_target_is_replaced(file: Path, tmp_path: Path) -> None:
    link = tmp_path / "link.toml"
    link.symlink_to(file)
    with locked(link) as path:
        replace(path, b"new")
    assert link.is_symlink()
    assert file.read_text() == "new"


def test_what_a_killed_program_left_behind_is_in_nobodys_way(file: Path) -> None:
    (file.parent / ".stores.toml.new").write_text("half")
    with locked(file) as path:
        replace(path, b"new")
    assert file.read_text() == "new"


@pytest.mark.parametrize(
    ("number", "reason"),
    [
        (errno.EBUSY, "it is mounted as a single file"),
        (errno.EROFS, "it is on a read-only file system"),
        (errno.ENOSPC, "the disk is full"),
        (errno.EIO, "Input/output error"),
    ],
)
def test_a_file_that_cannot_be_replaced_stays_as_it_is(
    file: Path, monkeypatch: pytest.MonkeyPatch, number: int, reason: str
) -> None:
    def refuse(self: Path, target: Path) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(Path, "rename", refuse)
    with pytest.raises(NotReplaceable, match=f"stores.toml cannot be changed here: {reason}"), locked(file) as path:
        replace(path, b"new")
    assert file.read_text() == "old"
    assert sorted(each.name for each in file.parent.iterdir()) == [".stores.toml.lock", "stores.toml"]


def test_a_read_only_file_is_not_replaced(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "access", lambda path, mode: mode != os.W_OK)  # root may write everything
    with pytest.raises(NotReplaceable, match="it is read-only"), locked(file) as path:
        replace(path, b"new")


def test_two_who_write_take_turns(file: Path) -> None:
    order: list[str] = []
    has_begun = threading.Event()

    def second() -> None:
        has_begun.set()
        with locked(file):
            order.append("second")

    with locked(file):
        thread = threading.Thread(target=second)
        thread.start()
        has_begun.wait()
        thread.join(0.05)
        order.append("first")
    thread.join()
    assert order == ["first", "second"]
