"""SIGHUP, as a real process gets it: from a person, or from a terminal that goes away."""

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

# Its last argument is the terminal that it takes for its own, if any.
PROGRAM = """
import fcntl, os, signal, sys, termios, time
if len(sys.argv) > 1:
    fcntl.ioctl(os.open(sys.argv[1], os.O_RDWR), termios.TIOCSCTTY, 0)
from service.process.sighup import Hangup
def end(*_):
    print("ended", flush=True)
    os._exit(0)
signal.signal(signal.SIGTERM, end)
hangup = Hangup()
hangup.tell = lambda: print("told", flush=True)
print("ready", flush=True)
while True: time.sleep(0.05)  # signal.pause would miss one that comes just before it
"""


@contextmanager
def running(*arguments: str, ignoring: bool = False) -> Iterator["subprocess.Popen[str]"]:
    """``ignoring`` starts it as ``nohup`` does."""
    prefix = ["sh", "-c", 'trap "" HUP; exec "$@"', "sh"] if ignoring else []
    with subprocess.Popen(
        [*prefix, sys.executable, "-c", PROGRAM, *arguments],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        text=True,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        start_new_session=True,
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def line(process: "subprocess.Popen[str]") -> str:
    assert process.stdout
    return process.stdout.readline().strip()


@pytest.fixture
def terminal() -> Iterator[tuple[int, str]]:
    """The end that a terminal's window holds, and the name of the other one."""
    master, slave = pty.openpty()
    name = os.ttyname(slave)
    os.close(slave)
    yield master, name
    with suppress(OSError):
        os.close(master)


def test_whoever_is_to_be_told_is_told_each_time() -> None:
    with running() as process:
        assert line(process) == "ready"
        for _ in range(2):
            process.send_signal(signal.SIGHUP)
            assert line(process) == "told"


def test_a_person_may_ask_for_it_from_another_terminal(terminal: tuple[int, str]) -> None:
    with running(terminal[1]) as process:
        assert line(process) == "ready"
        process.send_signal(signal.SIGHUP)
        assert line(process) == "told"


def test_a_process_ends_with_its_terminal(terminal: tuple[int, str]) -> None:
    with running(terminal[1]) as process:
        assert line(process) == "ready"
        os.close(terminal[0])
        assert line(process) == "ended"


def test_one_that_was_told_to_ignore_its_terminals_end_outlives_it(terminal: tuple[int, str]) -> None:
    with running(terminal[1], ignoring=True) as process:
        assert line(process) == "ready"
        os.close(terminal[0])
        assert line(process) == "told"
