"""One backfill at a time for a store."""

import asyncio
import os

import pytest
from arq import ArqRedis

from service.orders.backfill import lock as backfill_lock
from service.orders.backfill.lock import LOCK_S, AlreadyRunning, single_backfill
from service.orders.state.keys import backfill_lock_key

KEY = backfill_lock_key("abc123")


async def test_a_second_one_is_told_who_is_running(redis: ArqRedis) -> None:
    async with single_backfill(redis, "abc123"):
        with pytest.raises(AlreadyRunning, match=f"^backfill of abc123: is running already .*process {os.getpid()}"):
            async with single_backfill(redis, "abc123"):
                pass
        assert await redis.exists(KEY), "whoever was refused takes nothing away"
        async with single_backfill(redis, "def456"):
            pass


async def test_after_its_end_another_may_run(redis: ArqRedis) -> None:
    with pytest.raises(ZeroDivisionError):
        async with single_backfill(redis, "abc123"):
            raise ZeroDivisionError
    async with single_backfill(redis, "abc123"):
        pass


async def test_one_that_was_killed_is_forgotten_and_one_that_lives_is_not(
    redis: ArqRedis, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(backfill_lock, "RENEW_EVERY_S", 0.01)
    async with single_backfill(redis, "abc123"):
        assert 0 < await redis.ttl(KEY) <= LOCK_S
        await redis.pexpire(KEY, 60)
        async with asyncio.timeout(30):
            while await redis.ttl(KEY) < LOCK_S - 1:  # noqa: ASYNC110 - it is Redis that changes
                await asyncio.sleep(0.01)


async def test_who_has_lost_it_does_not_take_another_ones_away(redis: ArqRedis) -> None:
    async with single_backfill(redis, "abc123"):
        await redis.set(KEY, "elsewhere, process 1")
    assert await redis.get(KEY) == b"elsewhere, process 1"
