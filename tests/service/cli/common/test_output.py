"""What commands print: for terminals, pipes and programs."""

import json
import os
import subprocess
from pathlib import Path

import pytest
from rich.table import Table
from rich.text import Text

from service.cli.common.output import open_console, print_json
from service.cli.orders.entry_format import as_table
from service.orders.state.order_entry import Entry, Status
from tests.fakes.cli import COMMAND

EVIL = "before \x1b]0;title\x07\x9b31m\x00\rafter"


@pytest.mark.parametrize("is_terminal", [True, False])
def test_control_characters_do_not_reach_the_terminal(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], is_terminal: bool
) -> None:
    if is_terminal:
        monkeypatch.setenv("FORCE_COLOR", "1")
    table = Table(box=None)
    table.add_column("WORDS", style="red")
    table.add_row(Text(EVIL))
    console = open_console()
    console.print(table)
    console.print(EVIL, markup=False)
    out = capsys.readouterr().out

    assert console.is_terminal is is_terminal
    assert ("\x1b[31m" in out) is is_terminal  # rich's own colour stays
    assert not {"\x1b]", "\x07", "\x9b", "\x00", "\r"} & {*out, *(out[at : at + 2] for at in range(len(out)))}
    assert out.count("before ]0;title31mafter") == 2


def test_json_is_read_back_whatever_it_holds(capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    value = {"text": EVIL + "\u2028\ud83d é 😀"}
    print_json(value)
    out = capfdbinary.readouterr().out.decode()

    assert json.loads(out) == value
    assert "é 😀" in out
    assert not set("\x1b\x9b\u2028\ud83d") & set(out)


@pytest.mark.parametrize("encoding", ["ascii", pytest.param("iso-8859-1", marks=pytest.mark.chaos)])
def test_a_terminal_that_is_not_utf_8_is_no_error(folder: Path, encoding: str) -> None:
    (folder / "stores.toml").write_text(
        '[stores.abc123]\nname = "Łódź 😀"\naccess_token = "token"\nclient_secret = "secret"\n'
        'po_number = "order.customer_message"\n'
    )

    def run(*words: str) -> bytes:
        environ = os.environ | {"PYTHONIOENCODING": encoding, "PYTHONUTF8": "0"}
        return subprocess.run([*COMMAND, *words], env=environ, capture_output=True, check=True, timeout=50).stdout

    assert rb"abc123 (\u0141\xf3d\u017a \U0001f600)".replace(b"\\xf3", "ó".encode(encoding, "backslashreplace")) in run(
        "check", "--offline"
    )
    assert json.loads(run("check", "--offline", "--json"))["errors"] == 0


def test_a_file_that_is_written_through_stdout_is_utf_8(folder: Path) -> None:
    environ = os.environ | {"PYTHONIOENCODING": "iso-8859-1", "PYTHONUTF8": "0"}
    words = ("init", "--store", "def456", "--name", "Zürich", "--po-from", "comment", "--output", "-")
    ran = subprocess.run([*COMMAND, *words], env=environ, capture_output=True, check=True, timeout=50)
    assert 'name              = "Zürich"' in ran.stdout.decode()


def test_a_reason_can_be_read_in_80_columns(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("COLUMNS", "80")
    open_console().print(as_table([Entry("abc123defg", 1234567, Status.SKIPPED, reason="not_a_company_user")]))
    lines = [Text.from_ansi(line).plain for line in capsys.readouterr().out.splitlines()]

    assert all(len(line) <= 80 for line in lines)
    assert "".join(line[70:].strip() for line in lines[2:]) == "not_a_company_user"
