"""Collects the figures of all scenarios, and prints one table at the end of the run."""

from pathlib import Path
from typing import Any

import pytest

from tests.chaos.figures import Figures, Report, section, table, worst_of_each, write_section

_ROWS = pytest.StashKey[list[Figures]]()


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--chaos-table", metavar="README", type=Path, help="write the table of all scenarios into it")
    parser.addoption("--storm-seed", metavar="N", type=int, help="run the storm of this seed only")
    parser.addoption("--storm-seconds", metavar="S", type=float, default=60.0, help="how long a storm lasts")


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
    every: list[Figures] = config.stash[_ROWS]
    rows = worst_of_each(every)
    readme: Path | None = config.getoption("--chaos-table", default=None)
    if len(rows) < 2:
        return
    terminalreporter.section("failure modes")
    terminalreporter.write_line(table(rows))
    # A table with a broken promise, or an incomplete one, is not written.
    if readme and exitstatus == pytest.ExitCode.OK:
        write_section(readme, section(rows, "make chaos"))
        terminalreporter.write_line(f"written into {readme}")
