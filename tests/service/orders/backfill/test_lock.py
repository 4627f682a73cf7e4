"""The lock: one backfill at a time for a store."""

import asyncio
import os

import pytest
from arq import ArqRedis

from service.orders.backfill import lock as backfill_lock
from service.orders.backfill.lock import LOCK_TTL_S, AlreadyRunning, single_backfill
from service.orders.state.keys import backfill_lock_key

KEY = backfill_lock_key("abc123")


async def test_a_second_backfill_is_refused_and_names_the_running_one(redis: ArqRedis) -> None:
    async with single_backfill(redis, "abc123"):
        with pytest.raises(AlreadyRunning, match=f"^backfill of abc123: is already running .*process {os.getpid()}"):
            async with single_backfill(redis, "abc123"):
                pass
        assert await redis.exists(KEY), "the refused backfill does not release the lock"
        async with single_backfill(redis, "def456"):
            pass


async def test_the_lock_is_released_after_an_error(redis: ArqRedis) -> None:
    with pytest.raises(ZeroDivisionError):
        async with single_backfill(redis, "abc123"):
            raise ZeroDivisionError
    async with single_backfill(redis, "abc123"):
        pass


async def test_the_lock_expires_unless_it_is_renewed(redis: ArqRedis, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(backfill_lock, "RENEW_INTERVAL_S", 0.01)
    async with single_backfill(redis, "abc123"):
        assert 0 < await redis.ttl(KEY) <= LOCK_TTL_S
        await redis.pexpire(KEY, 60)
        async with asyncio.timeout(30):
            while await redis.ttl(KEY) < LOCK_TTL_S - 1:  # noqa: ASYNC110 - the state is in Redis
                await asyncio.sleep(0.01)


async def test_a_backfill_that_has_lost_its_lock_does_not_release_the_new_one(redis: ArqRedis) -> None:
    async with single_backfill(redis, "abc123"):
        await redis.set(KEY, "elsewhere, process 1")
    assert await redis.get(KEY) == b"elsewhere, process 1"
