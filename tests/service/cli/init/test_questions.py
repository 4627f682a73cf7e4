"""``enrich init``: its questions, on a real terminal."""

import os
import pty
import re
import signal
import subprocess
import tomllib
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from tests.fakes.cli import COMMAND
from tests.service.cli.init.conftest import load


@contextmanager
def on_terminal(*words: str) -> Iterator[tuple["subprocess.Popen[str]", int]]:
    """Run it on a terminal; the process, and the file descriptor of the person's side."""
    person, terminal = pty.openpty()
    command = [*COMMAND, "init", *words]
    try:
        with subprocess.Popen(
            command, stdin=terminal, stderr=terminal, stdout=subprocess.PIPE, encoding="utf-8"
        ) as process:
            try:
                yield process, person
            finally:
                process.kill()
    finally:
        os.close(person)
        os.close(terminal)


def answered(typed: str, *words: str) -> tuple[int, str, str]:
    """Type this; the exit code, stdout, and what the terminal showed."""
    with on_terminal(*words) as (process, person):
        os.write(person, typed.encode())
        out, _ = process.communicate(timeout=50)
        return process.returncode, out, os.read(person, 65536).decode()


@pytest.mark.integration
def test_a_person_is_asked_for_what_is_missing(stores_file: Path) -> None:
    code, out, shown = answered("abc123\n99\n4\ncheckout.po\n")

    assert (code, out) == (0, "")
    assert "Store hash" in shown
    assert "Enter a number from 1 to 12." in shown
    assert "Name of the field [checkout.po_number]" in shown
    store = load(stores_file).stores["abc123"].store
    assert store.po_number
    assert store.po_number.sources == ("metafields.checkout.po",)


@pytest.mark.integration
def test_a_wrong_answer_is_told_and_asked_for_again_at_once(stores_file: Path) -> None:
    path = "https://api.bigcommerce.com/stores/ABC123/v3/"
    code, _, shown = answered(f"www.great/buys\n{path}\n4\npo_number\ncheckout.po_number\n")

    assert code == 0
    # What was typed ahead is echoed first, so only the order of what the command wrote counts.
    told = re.findall(r"Store hash|Name of the field|is not a store hash|is not the namespace and key", shown)
    assert told == [
        "Store hash",
        "is not a store hash",
        "Store hash",
        "Name of the field",
        "is not the namespace and key",
        "Name of the field",
    ]
    assert list(load(stores_file).stores) == ["abc123"]


@pytest.mark.integration
def test_questions_are_not_part_of_the_file(folder: Path) -> None:
    code, out, shown = answered("\n\n", "--store", "abc123", "--output", "-")

    assert code == 0
    assert "Where do buyers leave the PO number?" in shown
    assert out.startswith("# This file contains no secrets.")
    assert tomllib.loads(out)["stores"]["abc123"]["po_number"]


@pytest.mark.integration
def test_end_of_input_writes_nothing(stores_file: Path) -> None:
    code, out, shown = answered("\x04")

    assert (code, out) == (130, "")
    assert "Traceback" not in shown
    assert not stores_file.exists()


@pytest.mark.integration
def test_an_interrupt_writes_nothing(stores_file: Path) -> None:
    with on_terminal() as (process, person):
        shown = ""
        while "Store hash" not in shown:
            shown += os.read(person, 1024).decode()
        # One that comes just before Python begins to wait for the answer is handled only after it: then press it again.
        for _ in range(50):
            process.send_signal(signal.SIGINT)
            with suppress(subprocess.TimeoutExpired):
                process.wait(1)
                break
        out, _ = process.communicate(timeout=50)

    assert (process.returncode, out) == (130, "")
    assert not stores_file.exists()
