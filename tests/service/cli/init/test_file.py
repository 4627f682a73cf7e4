"""``enrich init``: where it writes, and which files it leaves alone."""

import errno
import os
import stat
from pathlib import Path
from typing import Any

import pytest

from tests.fakes.cli import CommandResult, Enrich
from tests.service.cli.init.conftest import FLAGS, SECRETS, load


def test_the_file_is_the_one_that_commands_read(enrich: Enrich, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ENRICH_CONFIG", "etc.toml")
    ran = enrich("init", *FLAGS)
    assert (folder / "etc.toml").exists()
    assert " enrich check\n" in ran.err


def test_next_steps_name_a_file_in_another_place(enrich: Enrich, folder: Path) -> None:
    assert " ENRICH_CONFIG='my stores.toml' enrich check\n" in enrich("init", *FLAGS, "--output", "my stores.toml").err
    assert [path.name for path in folder.iterdir() if path.is_file()] == ["my stores.toml"]


def test_an_existing_file_is_not_changed(enrich: Enrich, stores_file: Path) -> None:
    stores_file.write_text("mine")
    assert enrich("init", *FLAGS) == CommandResult(
        2,
        "",
        "stores.toml: already exists. To add a store, append the output of --output - to it."
        " To replace the file, use --force.\n",
    )
    assert stores_file.read_text() == "mine"


def test_force_replaces_it(enrich: Enrich, stores_file: Path) -> None:
    stores_file.write_text("mine")
    assert enrich("init", *FLAGS, "--force").code == 0
    assert list(load(stores_file).stores) == ["abc123"]


def test_another_store_is_appended_from_stdout(enrich: Enrich, stores_file: Path) -> None:
    enrich("init", *FLAGS)
    other = enrich("init", "--store", "def456", "--po-from", "comment", "--output", "-")
    with stores_file.open("a") as file:
        file.write(other.out)

    assert other.code == 0
    assert "Wrote" not in other.err
    assert list(load(stores_file, SECRETS | {"DEF456_ACCESS_TOKEN": "t", "DEF456_CLIENT_SECRET": "s"}).stores) == [
        "abc123",
        "def456",
    ]


def test_the_file_has_the_usual_mode_and_a_link_stays_a_link(enrich: Enrich, folder: Path, stores_file: Path) -> None:
    (folder / "real.toml").write_text("old")
    stores_file.symlink_to("real.toml")
    assert enrich("init", *FLAGS, "--force").code == 0

    usual = folder / "usual"
    usual.touch()
    assert stores_file.is_symlink()
    assert stat.S_IMODE((folder / "real.toml").stat().st_mode) == stat.S_IMODE(usual.stat().st_mode)


@pytest.mark.parametrize(
    ("output", "why"),
    [("none/stores.toml", "No such file"), ("data", "it is not a file"), ("pipe", "it is not a file")],
)
def test_a_path_that_cannot_be_written_is_named(enrich: Enrich, folder: Path, output: str, why: str) -> None:
    (folder / "data").mkdir(exist_ok=True)
    os.mkfifo(folder / "pipe")
    ran = enrich("init", *FLAGS, "--force", "--output", output)
    assert ran.code == 2
    assert ran.err.startswith(f"{output}: cannot be written ({why}")
    assert {path.name for path in folder.iterdir()} == {"data", "pipe"}
    assert (folder / "pipe").is_fifo()


def test_a_full_disk_leaves_the_old_file_unchanged(
    enrich: Enrich, folder: Path, stores_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def write_half(path: Path, text: str, **_: Any) -> int:
        path.write_bytes(text[:10].encode())
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    stores_file.write_text("mine")
    with monkeypatch.context() as patch:
        patch.setattr(Path, "write_text", write_half)
        ran = enrich("init", *FLAGS, "--force")

    assert (ran.code, stores_file.read_text()) == (2, "mine")
    assert ran.err.startswith("stores.toml: cannot be written (No space left on device).")
    assert [path.name for path in folder.iterdir() if path.is_file()] == ["stores.toml"]
