"""A process that ends with its parent, as real processes."""

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator

import pytest

from service.process import parent_death as parent

pytestmark = pytest.mark.integration

# Starts a child that says who it is and then waits to be told to end. The pipe is the child's to hold open.
STARTER = """
import os, subprocess, sys
child = subprocess.Popen([sys.executable, "-c", sys.argv[1]], env=os.environ | {"ENRICH_PARENT_PID": str(os.getpid())})
child.wait()
"""
CHILD = """
import os, signal, sys, time
from service.process.parent_death import end_with_parent
def leave(*_):
    print("told to end", flush=True)
    os._exit(0)
signal.signal(signal.SIGTERM, leave)
end_with_parent()
print(os.getpid(), flush=True)
while True: time.sleep(0.05)  # signal.pause would miss one that comes just before it
"""


@pytest.fixture
def starter() -> Iterator["subprocess.Popen[str]"]:
    with subprocess.Popen([sys.executable, "-c", STARTER, CHILD], stdout=subprocess.PIPE, text=True) as process:
        yield process
        process.kill()


def test_child_of_a_killed_parent_ends_as_if_told_to(starter: "subprocess.Popen[str]") -> None:
    assert starter.stdout
    child = int(starter.stdout.readline())
    os.kill(child, 0)  # it lives
    starter.kill()

    # Reads to the end of the pipe, which comes only when the child is gone.
    assert starter.stdout.read() == "told to end\n"


def test_child_whose_parent_died_before_it_looked_ends_at_once() -> None:
    gone = subprocess.Popen(["true"])
    gone.wait()
    environ = os.environ | {parent.VARIABLE: str(gone.pid)}
    done = subprocess.run([sys.executable, "-c", CHILD], env=environ, stdout=subprocess.PIPE, text=True, timeout=50)

    assert done.stdout.endswith("told to end\n")


def test_process_that_nobody_of_ours_started_is_left_alone() -> None:
    parent.terminate_with_parent({})
    assert [thread for thread in threading.enumerate() if thread.name == "parent"] == []


def test_child_of_a_living_parent_lives_on(starter: "subprocess.Popen[str]", monkeypatch: pytest.MonkeyPatch) -> None:
    looks = iter([os.getpid(), os.getpid(), os.getpid(), 1])
    told: list[int] = []
    monkeypatch.setattr(os, "getppid", lambda: next(looks))
    monkeypatch.setattr("time.sleep", lambda _: None)
    monkeypatch.setattr(os, "kill", lambda _, number: told.append(number))

    parent._watch(os.getpid())

    assert told == [signal.SIGTERM]
    assert next(looks, None) is None
