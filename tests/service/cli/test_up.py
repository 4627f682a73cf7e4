"""``enrich up`` and its embedded Redis."""

import asyncio
from collections.abc import Callable
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from service.cli import up
from service.errors import ConfigError, Problem
from service.process.background_loops import LoopFailed
from service.redis.embedded.server import EmbeddedRedis
from tests.fakes.cli import Enrich
from tests.fakes.sandbox import free_port


class DyingRedis(EmbeddedRedis):
    """A Redis that has died and cannot be restarted the first ``fails`` times."""

    def __init__(self, folder: Path, fails: int) -> None:
        super().__init__(folder)
        self.fails = fails
        self.tries = 0

    @property
    def pid(self) -> int | None:
        return 4711 if self.tries > self.fails else None

    def restart(self) -> None:
        self.tries += 1
        if self.pid is None:
            raise ConfigError(Problem("data", "cannot hold the data: No space left on device."))


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(30):
        while not condition():  # noqa: ASYNC110 - it happens in a thread
            await asyncio.sleep(0.01)


async def test_redis_is_restarted_however_often_that_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(up, "REDIS_CHECK_INTERVAL_S", 0.01)
    redis = DyingRedis(tmp_path, fails=3)
    with capture_logs() as logs:
        keeping = asyncio.create_task(up._keep_alive(redis))
        await until(lambda: redis.pid is not None)
        await asyncio.sleep(0.1)
        assert not keeping.done()
        keeping.cancel()

    assert redis.tries == 4
    assert [line["event"] for line in logs] == ["process_ended", "redis_not_started"]  # each cause once
    assert "No space left on device" in logs[1]["error"]


async def test_redis_that_runs_is_not_restarted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(up, "REDIS_CHECK_INTERVAL_S", 0.01)
    redis = DyingRedis(tmp_path, fails=-1)
    keeping = asyncio.create_task(up._keep_alive(redis))
    await asyncio.sleep(0.1)
    keeping.cancel()
    assert redis.tries == 0


def test_up_exits_1_when_a_loop_keeps_failing(enrich: Enrich, monkeypatch: pytest.MonkeyPatch) -> None:
    async def fail(*_: object) -> None:
        raise LoopFailed("worker")

    monkeypatch.setattr(up, "_up", fail)
    with free_port() as listener:
        port = listener.getsockname()[1]
    ran = enrich("up", "--port", str(port))
    assert (ran.code, ran.out, ran.err) == (1, "", "")
