"""``enrich up`` and ``enrich demo`` whose terminal is closed, or that are killed: nothing of them stays behind."""

import fcntl
import os
import pty
import signal
import subprocess
import sys
import termios
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import httpx
import pytest

from service.demo.folder import DemoFolder
from service.redis.embedded.server import EmbeddedRedis, running_url
from tests.fakes.cli import COMMAND
from tests.fakes.sandbox import free_port

pytestmark = pytest.mark.integration

ROOT = Path(__file__).parents[3]

# Nothing listens there: that store's calls fail, which changes nothing here.
STORES = """
[bigcommerce]
api_url = "http://127.0.0.1:9"
b2b_api_url = "http://127.0.0.1:9"

[stores.abc123]
access_token = "token"
client_secret = "secret"
po_number = "order.customer_message"
"""


def until(condition: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + 40
    while not condition():
        assert time.monotonic() < deadline, what
        time.sleep(0.02)


def processes() -> dict[int, tuple[int, str]]:
    """The parent and the command of every process but the dead ones that nobody has waited for."""
    listed = subprocess.run(
        ["ps", "-A", "-ww", "-o", "pid=,ppid=,stat=,command="], capture_output=True, text=True, check=True
    )
    rows = [line.split(maxsplit=3) for line in listed.stdout.splitlines()]
    return {int(row[0]): (int(row[1]), row[3]) for row in rows if not row[2].startswith("Z")}


def below(pid: int) -> dict[int, str]:
    """The descendants of a process, and their commands."""
    running = processes()
    found: dict[int, str] = {}
    parents = {pid}
    while parents:
        children = {child for child, (parent, _) in running.items() if parent in parents}
        found |= {child: running[child][1] for child in children}
        parents = children
    return found


def named(found: dict[int, str], *words: str) -> int:
    """The process whose command contains these words."""
    (pid,) = [pid for pid, command in found.items() if all(word in command for word in words)]
    return pid


class Running:
    """A command on a terminal of its own, in a folder of its own."""

    def __init__(self, process: "subprocess.Popen[bytes]", terminal: int, folder: Path) -> None:
        self.process, self._terminal, self.folder = process, terminal, folder
        os.set_blocking(terminal, False)
        self.shown = b""

    def read(self) -> bytes:
        """What the terminal has shown so far. A terminal that nobody reads blocks the one that writes."""
        with suppress(BlockingIOError, OSError):
            self.shown += os.read(self._terminal, 65536)
        return self.shown

    def close_terminal(self) -> None:
        os.close(self._terminal)

    def leftovers(self) -> list[Path]:
        return list(self.folder.glob("enrich-demo-*"))


@contextmanager
def on_terminal(folder: Path, *words: str) -> Iterator[Running]:
    master, slave = pty.openpty()

    def own_terminal() -> None:
        signal.signal(signal.SIGHUP, signal.SIG_DFL)  # the tests themselves may run under nohup
        fcntl.ioctl(slave, termios.TIOCSCTTY, 0)

    environ = {name: value for name, value in os.environ.items() if not name.startswith(("ENRICH_", "REDIS_"))}
    (folder / "stores.toml").write_text(STORES)
    with subprocess.Popen(
        [*COMMAND, *words],
        stdin=slave,
        stdout=slave,
        stderr=slave,
        cwd=folder,
        env=environ
        | {"PYTHONPATH": str(ROOT), "TMPDIR": str(folder), "ENRICH_DATA_DIR": "data", "ENRICH_METRICS_PORT": "0"},
        start_new_session=True,
        preexec_fn=own_terminal,
    ) as process:
        os.close(slave)
        running = Running(process, master, folder)
        try:
            yield running
        finally:
            for pid in [*below(process.pid), process.pid]:
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            with suppress(OSError):
                os.close(master)


@contextmanager
def running_up(folder: Path) -> Iterator[tuple[Running, Callable[[], bool]]]:
    """``enrich up``, and whether it is ready with its worker."""
    with free_port() as listener:
        port = listener.getsockname()[1]
    with (
        on_terminal(folder, "up", "--port", str(port), "--console-port", "0") as running,
        httpx.Client(trust_env=False) as http,
    ):

        def is_ready() -> bool:
            running.read()
            try:
                ready = http.get(f"http://127.0.0.1:{port}/readyz")
            except httpx.HTTPError:
                return False
            return ready.status_code == 200 and ready.json()["workers"] == 1

        until(is_ready, "it starts")
        yield running, is_ready


@contextmanager
def running_demo(folder: Path) -> Iterator[Running]:
    """``enrich demo`` that has begun to place orders."""
    with on_terminal(folder, "demo", "--orders", "200", "--rate", "0.2") as running:
        until(lambda: b"PO in a form field" in running.read(), "it places orders")
        yield running


def test_up_ends_with_its_terminal_and_with_all_that_it_started(tmp_path: Path) -> None:
    with running_up(tmp_path) as (running, _):
        started = below(running.process.pid)
        assert len(started) == 4, started  # worker, receiver, Redis, and the watchdog of Redis
        running.close_terminal()
        running.process.wait(40)
        until(lambda: not started.keys() & processes().keys(), "all have ended")


@pytest.mark.chaos
def test_up_replaces_what_is_killed_and_what_is_left_of_a_killed_up_ends(tmp_path: Path) -> None:
    with running_up(tmp_path) as (running, is_ready):
        for words in (("redis-server",), ("service.cli", "web")):
            killed = named(below(running.process.pid), *words)
            os.kill(killed, signal.SIGKILL)
            until(lambda killed=killed: killed not in processes(), "it is dead")  # type: ignore[misc]
            until(is_ready, f"{words} is replaced")
        started = below(running.process.pid)
        assert len(started) == 4, started
        running.process.kill()
        running.process.wait()
        until(lambda: not started.keys() & processes().keys(), "all have ended")
    assert running_url(tmp_path / "data") is None
    with EmbeddedRedis(tmp_path / "data"):
        pass


@pytest.mark.chaos
def test_up_takes_over_at_once_from_a_killed_one(tmp_path: Path) -> None:
    with running_up(tmp_path) as (running, _):
        started = below(running.process.pid)
        running.process.kill()
        running.process.wait()
        with running_up(tmp_path) as (second, is_ready):
            until(lambda: not started.keys() & processes().keys(), "what was left has ended")
            assert second.process.poll() is None
            assert is_ready()


@pytest.mark.chaos
def test_a_demo_ends_with_its_terminal_and_leaves_nothing(tmp_path: Path) -> None:
    with running_demo(tmp_path) as running:
        started = below(running.process.pid)
        assert len(started) == 5, started  # as above, and the sandbox
        assert len(running.leftovers()) == 1
        running.close_terminal()
        running.process.wait(40)
        until(lambda: not started.keys() & processes().keys(), "all have ended")
        assert running.leftovers() == []


@pytest.mark.chaos
def test_what_a_killed_demo_leaves_ends_and_the_next_one_removes_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    with running_demo(tmp_path) as running:
        (left,) = running.leftovers()
        DemoFolder().remove()
        assert running.leftovers() == [left], "that of a demo that runs stays"
        started = below(running.process.pid)
        running.process.kill()
        running.process.wait()
        until(lambda: not started.keys() & processes().keys(), "all have ended")
        assert running.leftovers() == [left]
        DemoFolder().remove()
        assert running.leftovers() == []


def test_what_is_left_goes_with_the_redis_that_still_runs_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    program = (
        "import sys, time; from service.demo.folder import DemoFolder; "
        "from service.redis.embedded.server import EmbeddedRedis; folder = DemoFolder(); "
        "redis = EmbeddedRedis(folder.path / 'redis'); redis.start(); redis._watchdog.pause(); "
        "print(folder.path, flush=True); time.sleep(60)"
    )
    with subprocess.Popen(
        [sys.executable, "-c", program],
        stdout=subprocess.PIPE,
        text=True,
        env=os.environ | {"PYTHONPATH": str(ROOT), "TMPDIR": str(tmp_path)},
    ) as demo:
        assert demo.stdout
        left = Path(demo.stdout.readline().strip())
        demo.kill()
    assert running_url(left / "redis") is not None
    DemoFolder().remove()
    assert list(tmp_path.glob("enrich-demo-*")) == []


def test_a_folder_that_is_kept_for_its_logs_is_no_leftover(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    kept = DemoFolder()
    kept.keep()
    DemoFolder().remove()
    assert list(tmp_path.glob("enrich-demo-*")) == [kept.path]
