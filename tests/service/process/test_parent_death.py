"""A child that terminates with its parent, as real processes."""

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator

import pytest

from service.process import parent_death

pytestmark = pytest.mark.integration

# Starts a child that prints its process id and waits for SIGTERM. The child keeps the pipe open.
STARTER = """
import os, subprocess, sys
child = subprocess.Popen([sys.executable, "-c", sys.argv[1]], env=os.environ | {"ENRICH_PARENT_PID": str(os.getpid())})
child.wait()
"""
CHILD = """
import os, signal, sys, time
from service.process.parent_death import terminate_with_parent
def terminate(*_):
    print("terminated", flush=True)
    os._exit(0)
signal.signal(signal.SIGTERM, terminate)
terminate_with_parent()
print(os.getpid(), flush=True)
while True: time.sleep(0.05)  # signal.pause would miss one that comes just before it
"""


@pytest.fixture
def starter() -> Iterator["subprocess.Popen[str]"]:
    with subprocess.Popen([sys.executable, "-c", STARTER, CHILD], stdout=subprocess.PIPE, text=True) as process:
        yield process
        process.kill()


def test_the_child_of_a_killed_parent_gets_sigterm(starter: "subprocess.Popen[str]") -> None:
    assert starter.stdout
    child = int(starter.stdout.readline())
    os.kill(child, 0)  # it is alive
    starter.kill()

    # Reads until the pipe is closed, which the child does when it exits.
    assert starter.stdout.read() == "terminated\n"


def test_a_child_whose_parent_is_already_dead_terminates_at_once() -> None:
    gone = subprocess.Popen(["true"])
    gone.wait()
    environ = os.environ | {parent_death.PARENT_PID_VARIABLE: str(gone.pid)}
    done = subprocess.run([sys.executable, "-c", CHILD], env=environ, stdout=subprocess.PIPE, text=True, timeout=50)

    assert done.stdout.endswith("terminated\n")


def test_a_process_without_a_parent_of_ours_is_not_monitored() -> None:
    parent_death.terminate_with_parent({})
    assert [thread for thread in threading.enumerate() if thread.name == "parent"] == []


def test_the_child_of_a_live_parent_keeps_running(
    starter: "subprocess.Popen[str]", monkeypatch: pytest.MonkeyPatch
) -> None:
    parents = iter([os.getpid(), os.getpid(), os.getpid(), 1])
    signals: list[int] = []
    monkeypatch.setattr(os, "getppid", lambda: next(parents))
    monkeypatch.setattr("time.sleep", lambda _: None)
    monkeypatch.setattr(os, "kill", lambda _, number: signals.append(number))

    parent_death._poll_parent(os.getpid())

    assert signals == [signal.SIGTERM]
    assert next(parents, None) is None
