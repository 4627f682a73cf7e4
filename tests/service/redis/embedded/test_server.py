"""The embedded Redis, with real processes."""

import asyncio
import contextlib
import importlib.util
import os
import signal
import stat
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from redis import Redis

from service.errors import ConfigError
from service.redis.embedded import server as embedded_redis
from service.redis.embedded.server import EmbeddedRedis, running_url
from tests.fakes.webhooks import raising

pytestmark = pytest.mark.integration


@contextlib.contextmanager
def client(url: str) -> Iterator[Any]:
    with Redis.from_url(url) as redis:
        yield redis


def wait_for(condition: Callable[[], bool], within_s: float = 30.0) -> None:
    deadline = time.monotonic() + within_s
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_data_is_kept_after_a_clean_stop(tmp_path: Path) -> None:
    with EmbeddedRedis(tmp_path / "data") as server, client(server.url) as redis:
        redis.set("order", "250")
    with EmbeddedRedis(tmp_path / "data") as server, client(server.url) as redis:
        assert redis.get("order") == b"250"


def test_data_is_kept_after_kill_9_of_redis(tmp_path: Path) -> None:
    with EmbeddedRedis(tmp_path) as server, client(server.url) as redis:
        redis.set("order", "250")
        assert server.pid is not None
        os.kill(server.pid, signal.SIGKILL)
        wait_for(lambda: server.pid is None)
    with EmbeddedRedis(tmp_path) as server, client(server.url) as redis:
        assert redis.get("order") == b"250"


def kill(server: EmbeddedRedis) -> None:
    assert server.pid is not None
    os.kill(server.pid, signal.SIGKILL)
    wait_for(lambda: server.pid is None)


@pytest.mark.parametrize("folder", ["data", "x" * 110], ids=["in the folder", "in a private folder"])
def test_a_server_that_died_is_restarted_at_the_same_address(tmp_path: Path, folder: str) -> None:
    with EmbeddedRedis(tmp_path / folder) as server:
        url = server.url
        for number in range(3):
            with client(url) as redis:
                redis.set(str(number), "250")
            kill(server)
            server.restart()
        with client(url) as redis:
            assert [redis.get(str(number)) for number in range(3)] == [b"250"] * 3
        assert server.url == url == running_url(tmp_path / folder)
    assert running_url(tmp_path / folder) is None


def test_a_failed_restart_leaves_nothing_behind_and_can_be_retried(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with EmbeddedRedis(tmp_path) as server:
        url = server.url
        kill(server)
        with monkeypatch.context() as patch:
            patch.setenv("PATH", str(tmp_path))
            patch.setattr(importlib.util, "find_spec", lambda _: None)
            with pytest.raises(ConfigError):
                server.restart()
        with monkeypatch.context() as patch:
            patch.setattr(subprocess, "Popen", raising(OSError(28, "No space left on device")))
            with pytest.raises(ConfigError, match="No space left on device"):
                server.restart()
        with monkeypatch.context() as patch:
            silent = tmp_path / "bin" / "redis-server"
            silent.parent.mkdir()
            silent.write_text("#!/bin/sh\nexec sleep 60\n")
            silent.chmod(0o700)
            patch.setenv("PATH", f"{silent.parent}:{os.environ['PATH']}")
            patch.setattr(embedded_redis, "_START_TIMEOUT_S", 0.2)
            with pytest.raises(ConfigError, match="does not answer"):
                server.restart()
        assert server.pid is None

        server.restart()
        assert server.pid is not None
        with client(url) as redis:
            assert redis.ping()


async def test_works_as_an_async_context_manager(tmp_path: Path) -> None:
    async with EmbeddedRedis(tmp_path) as server:
        with client(server.url) as redis:
            assert redis.ping()
        assert server.pid is not None
    assert server.pid is None
    assert running_url(tmp_path) is None


async def test_a_cancelled_start_leaves_no_server(tmp_path: Path) -> None:
    server = EmbeddedRedis(tmp_path)
    starting = asyncio.create_task(server.__aenter__())
    await asyncio.sleep(0)
    starting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await starting
    assert server.pid is None
    assert running_url(tmp_path) is None


def test_the_server_listens_on_a_private_socket_only(tmp_path: Path) -> None:
    with EmbeddedRedis(tmp_path / "new" / "data") as server, client(server.url) as redis:
        config = redis.config_get("*")
        assert config["port"] == "0"
        assert config["appendonly"] == "yes"
        assert config["appendfsync"] == "everysec"
        assert config["save"] == ""
        assert config["maxmemory-policy"] == "noeviction"
        redis.set("order", "250")
    folder = tmp_path / "new" / "data"
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    for path in folder.rglob("*"):
        assert stat.S_IMODE(path.stat().st_mode) & 0o077 == 0, path


def test_a_folder_with_a_long_path_gets_a_short_private_socket(tmp_path: Path) -> None:
    folder = tmp_path / ("long" * 25) / "with space and % sign"
    with EmbeddedRedis(folder) as server, client(server.url) as redis:
        assert redis.ping()
        socket_folder = Path(server.url.removeprefix("unix://")).parent
        assert stat.S_IMODE(socket_folder.stat().st_mode) == 0o700
        assert running_url(folder) == server.url
    assert not socket_folder.exists()


def test_a_folder_may_have_odd_characters(tmp_path: Path) -> None:
    with EmbeddedRedis(tmp_path / "a b%20#?") as server, client(server.url) as redis:
        assert redis.ping()


def test_a_second_server_on_the_same_folder_is_refused(tmp_path: Path) -> None:
    with EmbeddedRedis(tmp_path), pytest.raises(ConfigError) as refused:
        EmbeddedRedis(tmp_path).start()
    assert str(tmp_path) in str(refused.value)
    assert f"process {os.getpid()}" in str(refused.value)


def test_running_url_finds_the_server_of_a_folder(tmp_path: Path) -> None:
    assert running_url(tmp_path / "nothing here") is None
    with EmbeddedRedis(tmp_path) as server:
        assert running_url(tmp_path) == server.url
    assert running_url(tmp_path) is None


# Starts a Redis, prints its process id, and waits to be killed.
OWNER = """
import subprocess, sys, time
from pathlib import Path
from service.redis.embedded.server import EmbeddedRedis
with EmbeddedRedis(Path(sys.argv[1])) as server:
    if "no watchdog" in sys.argv:
        server._watchdog.pause()
    if "restarted" in sys.argv:
        server.restart()
    pids = [server.pid]
    if "child" in sys.argv:
        pids.append(subprocess.Popen(["sleep", "60"], stdout=subprocess.DEVNULL, pass_fds=[server.lifeline]).pid)
    print(*pids, flush=True)
    time.sleep(60)
"""


@contextlib.contextmanager
def killed_owner(folder: Path, *words: str) -> Iterator[list[int]]:
    """The process ids of a Redis on ``folder``, and of a child, whose owner was killed."""
    with subprocess.Popen([sys.executable, "-c", OWNER, folder, *words], stdout=subprocess.PIPE, text=True) as owner:
        assert owner.stdout
        pids = [int(word) for word in owner.stdout.readline().split()]
        with Redis.from_url(running_url(folder) or "") as redis:
            redis.set("order", "250")
        owner.kill()
    try:
        yield pids
    finally:
        for pid in pids:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)


@pytest.mark.parametrize("words", [(), ("restarted",)], ids=["the first", "a restarted one"])
def test_redis_ends_cleanly_with_its_owner(tmp_path: Path, words: tuple[str, ...]) -> None:
    with killed_owner(tmp_path, *words):
        wait_for(lambda: running_url(tmp_path) is None)
        with EmbeddedRedis(tmp_path) as server, client(server.url) as redis:
            assert redis.get("order") == b"250"


def test_redis_stays_for_the_owners_children_until_they_have_ended(tmp_path: Path) -> None:
    with killed_owner(tmp_path, "restarted", "child") as (_, child):
        with pytest.raises(AssertionError):
            wait_for(lambda: running_url(tmp_path) is None, within_s=0.5)
        os.kill(child, signal.SIGKILL)
        wait_for(lambda: running_url(tmp_path) is None)


def test_a_redis_that_took_over_is_not_ended_by_the_watchdog_of_the_one_before(tmp_path: Path) -> None:
    with killed_owner(tmp_path, "child") as (_, child), EmbeddedRedis(tmp_path) as server:
        os.kill(child, signal.SIGKILL)
        with pytest.raises(AssertionError):
            wait_for(lambda: server.pid is None, within_s=0.5)


@pytest.fixture
def orphan(tmp_path: Path) -> Iterator[int]:
    """The process id of a Redis on ``tmp_path`` whose owner was killed, and its watchdog, too."""
    with killed_owner(tmp_path, "no watchdog") as (pid,):
        assert running_url(tmp_path) is not None
        yield pid


def test_an_orphaned_redis_is_shut_down_and_its_data_kept(tmp_path: Path, orphan: int) -> None:
    url = running_url(tmp_path)
    assert url is not None
    with client(url) as redis:
        redis.set("order", "250")
    with EmbeddedRedis(tmp_path) as server, client(server.url) as redis:
        assert server.pid != orphan
        assert redis.get("order") == b"250"


def test_a_hung_orphan_is_named(tmp_path: Path, orphan: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(embedded_redis, "_STOP_TIMEOUT_S", 0.1)
    os.kill(orphan, signal.SIGSTOP)
    with pytest.raises(ConfigError, match=f"kill -9 {orphan}"):
        EmbeddedRedis(tmp_path).start()
    assert running_url(tmp_path) is not None


def test_ctrl_c_does_not_reach_redis(tmp_path: Path) -> None:
    with EmbeddedRedis(tmp_path) as server:
        assert server.pid is not None
        assert os.getsid(server.pid) == server.pid != os.getsid(0)


def test_the_error_for_a_server_that_dies_at_once_shows_its_last_line(tmp_path: Path) -> None:
    (tmp_path / "redis.sock").mkdir()
    with pytest.raises(ConfigError, match=r"Redis ended at once\. Its last line in redis\.log: .+") as refused:
        EmbeddedRedis(tmp_path).start()
    assert "\n" not in str(refused.value)
    assert running_url(tmp_path) is None


def test_a_server_that_does_not_answer_is_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    silent = tmp_path / "bin" / "redis-server"
    silent.parent.mkdir()
    silent.write_text("#!/bin/sh\necho hello from the shell\nexec sleep 60\n")
    silent.chmod(0o700)
    monkeypatch.setenv("PATH", f"{silent.parent}:{os.environ['PATH']}")
    monkeypatch.setattr(embedded_redis, "_START_TIMEOUT_S", 2.0)  # enough for the shell to print hello
    server = EmbeddedRedis(tmp_path / "data")
    with pytest.raises(ConfigError, match=r"(?s)does not answer.*hello from the shell"):
        server.start()
    assert server.pid is None
    assert running_url(tmp_path / "data") is None


def test_a_server_that_ignores_sigterm_is_killed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(embedded_redis, "_STOP_TIMEOUT_S", 0.1)
    with EmbeddedRedis(tmp_path) as server:
        assert server.pid is not None
        os.kill(server.pid, signal.SIGSTOP)
    assert server.pid is None
    assert running_url(tmp_path) is None


def test_without_any_redis_the_error_names_the_cure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: None)
    with pytest.raises(ConfigError, match="Install Redis, or set REDIS_URL"):
        EmbeddedRedis(tmp_path).start()


def test_redis_on_the_path_comes_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    broken = tmp_path / "redis-server"
    broken.write_text("#!/bin/sh\necho this is the one on the PATH\n")
    broken.chmod(0o700)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    with pytest.raises(ConfigError, match="this is the one on the PATH"):
        EmbeddedRedis(tmp_path / "data").start()


def test_the_error_for_a_folder_that_cannot_be_created_names_it(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigError, match=f"{tmp_path}/file/data.*Not a directory.*ENRICH_DATA_DIR"):
        EmbeddedRedis(tmp_path / "file" / "data").start()


def test_start_returns_after_large_data_is_loaded(tmp_path: Path) -> None:
    with EmbeddedRedis(tmp_path) as server, client(server.url) as redis:
        redis.eval("for number = 1, 300000 do redis.call('SET', 'key:' .. number, number) end", 0)
        redis.execute_command("BGREWRITEAOF")
        wait_for(lambda: not redis.info("persistence")["aof_rewrite_in_progress"])
    with EmbeddedRedis(tmp_path) as server, client(server.url) as redis:
        assert redis.dbsize() == 300_000
