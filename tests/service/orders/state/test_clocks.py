"""Redis's clock as a process knows it, whatever its own clock says."""

import time

import pytest
from arq import ArqRedis

from service.orders.state import clocks
from service.orders.state.clocks import RedisClock, redis_time, steady_clock

HOUR_S = 3600.0


async def test_a_clock_that_is_an_hour_wrong_gives_redis_time_once_it_has_asked(
    redis: ArqRedis, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = time.time
    monkeypatch.setattr(time, "time", lambda: real() - HOUR_S)
    clock = RedisClock(redis)
    assert clock() < await redis_time(redis) - HOUR_S / 2

    before = await redis_time(redis)
    await clock.sync()
    assert before - 1 < clock() < before + HOUR_S / 2


async def test_a_clock_that_is_set_changes_neither_clock(redis: ArqRedis, monkeypatch: pytest.MonkeyPatch) -> None:
    real, steady, clock = time.time, steady_clock(), RedisClock(redis)
    await clock.sync()
    before = steady(), clock()
    monkeypatch.setattr(time, "time", lambda: real() - HOUR_S)
    assert steady() >= before[0]
    assert clock() >= before[1]
    await clock.sync()
    assert clock() > before[1] - 1


class ScriptedRedis:
    """A Redis whose clock is ahead of the machine's, and whose answer takes a while."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now, self.ahead, self.there, self.back = 100.0, 0.0, 0.0, 0.0
        monkeypatch.setattr(clocks, "boot_time", lambda: self.now)

    async def time(self) -> tuple[int, int]:
        self.now += self.there
        at = self.now + self.ahead
        self.now += self.back
        return int(at), round(at % 1 * 1e6)


async def test_a_slow_answer_does_not_move_what_a_fast_one_has_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    redis = ScriptedRedis(monkeypatch)
    clock = RedisClock(redis)  # type: ignore[arg-type]
    redis.ahead = 7.0
    await clock.sync()
    redis.back = 3.0  # the event loop was busy
    await clock.sync()
    assert clock() == pytest.approx(redis.now + 7.0)


async def test_a_redis_with_another_clock_is_followed(monkeypatch: pytest.MonkeyPatch) -> None:
    redis = ScriptedRedis(monkeypatch)
    clock = RedisClock(redis)  # type: ignore[arg-type]
    await clock.sync()
    redis.ahead, redis.there, redis.back = -30.0, 0.25, 0.25
    await clock.sync()
    assert clock() == pytest.approx(redis.now - 30.0, abs=0.25)
