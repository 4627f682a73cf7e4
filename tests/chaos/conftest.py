"""Collects the figures of all scenarios, and prints one table at the end of the run."""

from pathlib import Path
from typing import Any

import pytest

from tests.chaos.figures import Figures, Report, section, table, write_section

_ROWS = pytest.StashKey[list[Figures]]()


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--chaos-table", metavar="README", type=Path, help="write the table of all scenarios into it")


def pytest_configure(config: pytest.Config) -> None:
    config.stash[_ROWS] = []


@pytest.fixture
def report(request: pytest.FixtureRequest, capsys: pytest.CaptureFixture[str]) -> Report:
    """Prints a scenario's figures in one line, keeps them for the table, and asserts what must hold."""

    def record(figures: Figures) -> None:
        request.config.stash[_ROWS].append(figures)
        terminal: Any = request.config.pluginmanager.get_plugin("terminalreporter")
        with capsys.disabled():
            terminal.ensure_newline()
            terminal.write_line(str(figures))
        figures.assert_promises()

    return record


def pytest_terminal_summary(
    terminalreporter: pytest.TerminalReporter, exitstatus: int | pytest.ExitCode, config: pytest.Config
) -> None:
    rows = config.stash[_ROWS]
    readme: Path | None = config.getoption("--chaos-table", default=None)
    if len(rows) < 2:
        return
    terminalreporter.section("failure modes")
    terminalreporter.write_line(table(rows))
    # A table with a broken promise, or an incomplete one, is not written.
    if readme and exitstatus == pytest.ExitCode.OK:
        write_section(readme, section(rows, "make chaos"))
        terminalreporter.write_line(f"written into {readme}")
