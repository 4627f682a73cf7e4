"""The supervisor with real child processes: tiny modules in a temporary folder."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from service.process.supervisor import Supervisor

pytestmark = pytest.mark.integration

ROOT = Path(__file__).parents[3]

# Each appends what happens to it to one shared file, under the name that is its first argument. They sleep in short
# spans: signal.pause would miss a signal that comes just before it.
MODULES = {
    "orderly": """
import signal, sys, time
from diary import write
signal.signal(signal.SIGTERM, lambda *_: (write("ended"), sys.exit(0)))
write("ready")
while True: time.sleep(0.05)
""",
    "stubborn": """
import signal, time
from diary import write
signal.signal(signal.SIGTERM, lambda *_: write("no"))
write("ready")
while True: time.sleep(0.05)
""",
    "brief": """
import sys
from diary import write
write("ready")
print("to stdout")
print("to stderr", file=sys.stderr)
sys.exit(3)
""",
    "slow": """
import time
from diary import write
write("began")
time.sleep(0.3)
from service.process.sighup import SighupHandler
handler = SighupHandler()
handler.on_sighup = lambda: write("reload")
write("ready")
while True: time.sleep(0.05)
""",
    "diary": """
import os, sys
def write(what):
    fd = os.open(os.environ["DIARY"], os.O_WRONLY | os.O_APPEND)
    os.write(fd, f"{sys.argv[1]} {what}\\n".encode())
    os.close(fd)
""",
}


class Diary:
    """What the children wrote."""

    def __init__(self, path: Path) -> None:
        self.path = path
        path.touch()

    @property
    def lines(self) -> list[str]:
        return self.path.read_text().splitlines()

    async def until(self, condition: Callable[[list[str]], bool]) -> None:
        async with asyncio.timeout(30):
            while not condition(self.lines):  # noqa: ASYNC110
                await asyncio.sleep(0.01)

    async def has(self, *lines: str) -> None:
        await self.until(lambda written: all(line in written for line in lines))


@pytest.fixture
def diary(tmp_path: Path) -> Diary:
    for name, text in MODULES.items():
        (tmp_path / f"{name}.py").write_text(text)
    return Diary(tmp_path / "diary")


@asynccontextmanager
async def processes(
    diary: Diary, *, stop_timeout_s: float = 30.0, log_folder: Path | None = None
) -> AsyncIterator[Supervisor]:
    environ = {"PYTHONPATH": f"{diary.path.parent}{os.pathsep}{ROOT}", "DIARY": str(diary.path)}
    running = Supervisor(environ, log_folder=log_folder, stop_timeout_s=stop_timeout_s, restart_delay_s=0.01)
    try:
        yield running
    finally:
        await running.stop()


async def test_children_are_stopped_in_reverse_order(diary: Diary) -> None:
    async with processes(diary) as running:
        children = [await running.start(name, "orderly", name) for name in ("one", "two", "three")]
        await diary.has("one ready", "two ready", "three ready")
        await running.stop()

    assert diary.lines[3:] == ["three ended", "two ended", "one ended"]
    assert [child.returncode for child in children] == [0, 0, 0]


async def test_child_that_ignores_sigterm_is_killed(diary: Diary) -> None:
    async with processes(diary, stop_timeout_s=0.2) as running:
        child = await running.start("one", "stubborn", "one")
        await diary.has("one ready")
        await running.stop()

    assert child.returncode == -signal.SIGKILL


async def test_child_that_dies_is_restarted_and_stopped_at_the_end(diary: Diary) -> None:
    with capture_logs() as lines:
        async with processes(diary) as running:
            child = await running.start("one", "orderly", "one")
            await diary.has("one ready")
            child.kill()
            await diary.until(lambda written: written == ["one ready", "one ready"])

    assert lines == [{"log_level": "error", "event": "process_ended", "process": "one", "exit_code": -signal.SIGKILL}]
    assert diary.lines == ["one ready", "one ready", "one ended"]


async def test_child_that_keeps_exiting_is_restarted_each_time(diary: Diary) -> None:
    with capture_logs() as lines:
        async with processes(diary) as running:
            await running.start("brief", "brief", "brief")
            await diary.until(lambda written: len(written) >= 3)

    assert {line["exit_code"] for line in lines} == {3}


async def test_restart_that_fails_is_tried_again(diary: Diary, tmp_path: Path) -> None:
    folder = tmp_path / "logs"
    folder.mkdir()
    with capture_logs() as lines:
        async with processes(diary, log_folder=folder) as running:
            child = await running.start("one", "orderly", "one")
            await diary.has("one ready")
            folder.rename(tmp_path / "away")
            child.kill()
            async with asyncio.timeout(30):
                while len(lines) < 3:  # noqa: ASYNC110 - until two starts have failed
                    await asyncio.sleep(0.01)
            (tmp_path / "away").rename(folder)
            await diary.until(lambda written: written == ["one ready", "one ready"])


async def test_child_without_keep_alive_is_not_restarted(diary: Diary) -> None:
    async with processes(diary) as running:
        child = await running.start("brief", "brief", "brief", keep_alive=False)
        assert await child.wait() == 3
        await running.stop()

    assert diary.lines == ["brief ready"]


async def test_nothing_is_restarted_after_stop(diary: Diary) -> None:
    with capture_logs() as lines:
        async with processes(diary) as running:
            await running.start("one", "orderly", "one")
            await diary.has("one ready")
            await running.stop()
            assert all(task.done() for task in running._restarting)

    assert lines == []
    assert diary.lines == ["one ready", "one ended"]


async def test_stop_may_be_called_twice(diary: Diary) -> None:
    async with processes(diary) as running:
        await running.start("one", "orderly", "one")
        await diary.has("one ready")
        await running.stop()
        await running.stop()

    assert diary.lines == ["one ready", "one ended"]


async def test_ctrl_c_does_not_reach_the_children(diary: Diary) -> None:
    """A terminal sends it to the foreground process group; a child is in a session, and so a group, of its own."""
    async with processes(diary) as running:
        child = await running.start("one", "orderly", "one")
        await diary.has("one ready")
        assert os.getpgid(child.pid) == os.getsid(child.pid) == child.pid
        assert os.getpgid(child.pid) != os.getpgid(0)


async def test_signal_is_forwarded_to_every_running_child(diary: Diary) -> None:
    async with processes(diary) as running:
        brief = await running.start("brief", "brief", "brief", keep_alive=False)
        await brief.wait()
        children = [await running.start(name, "slow", name) for name in ("one", "two")]
        await diary.has("one ready", "two ready")
        running.forward_signal(signal.SIGHUP)
        await diary.has("one reload", "two reload")
        assert [child.returncode for child in children] == [None, None]


async def test_sighup_does_not_kill_a_child_that_is_still_starting(diary: Diary) -> None:
    async with processes(diary) as running:
        child = await running.start("slow", "slow", "slow")
        await diary.has("slow began")
        running.forward_signal(signal.SIGHUP)
        await diary.has("slow ready")
        assert child.returncode is None
        running.forward_signal(signal.SIGHUP)
        await diary.has("slow reload")


async def test_output_goes_to_one_file_per_child_in_the_log_folder(diary: Diary, tmp_path: Path) -> None:
    async with processes(diary, log_folder=tmp_path) as running:
        child = await running.start("brief", "brief", "brief", keep_alive=False)
        await child.wait()

    assert sorted((tmp_path / "brief.log").read_text().splitlines()) == ["to stderr", "to stdout"]


async def test_children_know_their_parent(diary: Diary, tmp_path: Path) -> None:
    (tmp_path / "show.py").write_text("import os; print(os.environ['ENRICH_PARENT_PID'])")
    async with processes(diary, log_folder=tmp_path) as running:
        await (await running.start("show", "show", keep_alive=False)).wait()

    assert (tmp_path / "show.log").read_text() == f"{os.getpid()}\n"


async def test_modules_in_the_current_folder_do_not_shadow_ours(
    diary: Diary, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    here = tmp_path / "here"
    here.mkdir()
    (here / "brief.py").write_text("raise SystemExit(9)")
    monkeypatch.chdir(here)
    async with processes(diary) as running:
        child = await running.start("brief", "brief", "brief", keep_alive=False)
        assert await child.wait() == 3
