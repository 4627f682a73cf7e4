"""The lock: one command of a kind at a time for a store."""

import asyncio
import os

import pytest
from arq import ArqRedis

from service.orders.state.keys import backfill_lock_key, rehearsal_lock_key
from service.orders.state.per_store import run_lock
from service.orders.state.per_store.run_lock import LOCK_TTL_S, AlreadyRunning, single_run

KEY = backfill_lock_key("abc123")
WHAT = "backfill of abc123"


async def test_a_second_run_is_refused_and_names_the_running_one(redis: ArqRedis) -> None:
    async with single_run(redis, KEY, what=WHAT):
        with pytest.raises(AlreadyRunning, match=f"^backfill of abc123: is already running .*process {os.getpid()}"):
            async with single_run(redis, KEY, what=WHAT):
                pass
        assert await redis.exists(KEY), "the refused run does not release the lock"
        async with single_run(redis, backfill_lock_key("def456"), what=WHAT):
            pass
        async with single_run(redis, rehearsal_lock_key("abc123"), what=WHAT):
            pass


async def test_the_lock_is_released_after_an_error(redis: ArqRedis) -> None:
    with pytest.raises(ZeroDivisionError):
        async with single_run(redis, KEY, what=WHAT):
            raise ZeroDivisionError
    async with single_run(redis, KEY, what=WHAT):
        pass


async def test_the_lock_expires_unless_it_is_renewed(redis: ArqRedis, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run_lock, "RENEW_INTERVAL_S", 0.01)
    async with single_run(redis, KEY, what=WHAT):
        assert 0 < await redis.ttl(KEY) <= LOCK_TTL_S
        await redis.pexpire(KEY, 60)
        async with asyncio.timeout(30):
            while await redis.ttl(KEY) < LOCK_TTL_S - 1:  # noqa: ASYNC110 - the state is in Redis
                await asyncio.sleep(0.01)


async def test_a_run_that_has_lost_its_lock_does_not_release_the_new_one(redis: ArqRedis) -> None:
    async with single_run(redis, KEY, what=WHAT):
        await redis.set(KEY, "elsewhere, process 1")
    assert await redis.get(KEY) == b"elsewhere, process 1"
