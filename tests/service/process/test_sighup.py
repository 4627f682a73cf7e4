"""SIGHUP to a real process: from a person, or from a terminal that closes."""

import os
import pty
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

pytestmark = pytest.mark.integration

ROOT = Path(__file__).parents[3]

# Its argument, if any, becomes its controlling terminal.
PROGRAM = """
import fcntl, os, signal, sys, termios, time
if len(sys.argv) > 1:
    fcntl.ioctl(os.open(sys.argv[1], os.O_RDWR), termios.TIOCSCTTY, 0)
from service.process.sighup import SighupHandler
def terminate(*_):
    print("terminated", flush=True)
    os._exit(0)
signal.signal(signal.SIGTERM, terminate)
handler = SighupHandler()
handler.on_sighup = lambda: print("reload", flush=True)
print("ready", flush=True)
while True: time.sleep(0.05)  # signal.pause would miss one that comes just before it
"""


@contextmanager
def running(*arguments: str, ignoring: bool = False) -> Iterator["subprocess.Popen[str]"]:
    """Run the program; ``ignoring`` starts it as ``nohup`` does."""
    # It inherits this, whether the tests themselves were started by ``nohup`` or not.
    inherited = signal.signal(signal.SIGHUP, signal.SIG_IGN if ignoring else signal.SIG_DFL)
    try:
        process = subprocess.Popen(
            [sys.executable, "-c", PROGRAM, *arguments],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            text=True,
            env=os.environ | {"PYTHONPATH": str(ROOT)},
            start_new_session=True,
        )
    finally:
        signal.signal(signal.SIGHUP, inherited)
    with process:
        try:
            yield process
        finally:
            process.kill()


def line(process: "subprocess.Popen[str]") -> str:
    assert process.stdout
    return process.stdout.readline().strip()


@pytest.fixture
def terminal() -> Iterator[tuple[int, str]]:
    """The master side of a terminal, and the name of its slave side."""
    master, slave = pty.openpty()
    name = os.ttyname(slave)
    os.close(slave)
    yield master, name
    with suppress(OSError):
        os.close(master)


def test_each_sighup_calls_the_handler() -> None:
    with running() as process:
        assert line(process) == "ready"
        for _ in range(2):
            process.send_signal(signal.SIGHUP)
            assert line(process) == "reload"


def test_sighup_from_another_terminal_calls_the_handler(terminal: tuple[int, str]) -> None:
    with running(terminal[1]) as process:
        assert line(process) == "ready"
        process.send_signal(signal.SIGHUP)
        assert line(process) == "reload"


def test_a_process_terminates_with_its_terminal(terminal: tuple[int, str]) -> None:
    with running(terminal[1]) as process:
        assert line(process) == "ready"
        os.close(terminal[0])
        assert line(process) == "terminated"


def test_a_process_started_by_nohup_outlives_its_terminal(terminal: tuple[int, str]) -> None:
    with running(terminal[1], ignoring=True) as process:
        assert line(process) == "ready"
        os.close(terminal[0])
        assert line(process) == "reload"
