"""``enrich up`` and the Redis that it brings."""

import asyncio
from collections.abc import Callable
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from service.cli import up
from service.errors import ConfigError, Problem
from service.redis.embedded import EmbeddedRedis


class DyingRedis(EmbeddedRedis):
    """It has died, and comes up again only after so many tries."""

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


async def test_a_redis_that_died_is_started_again_however_often_that_fails(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(up, "LOOK_EVERY_S", 0.01)
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


async def test_a_redis_that_lives_is_left_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(up, "LOOK_EVERY_S", 0.01)
    redis = DyingRedis(tmp_path, fails=-1)
    keeping = asyncio.create_task(up._keep_alive(redis))
    await asyncio.sleep(0.1)
    keeping.cancel()
    assert redis.tries == 0
