"""Garbage in a queue, or in a job; and errors that a job does not handle."""

import time
from itertools import pairwise

import pytest
from arq import ArqRedis
from arq.constants import job_key_prefix, retry_key_prefix
from structlog.testing import capture_logs

from service.orders.state.job_kinds import WINDOW
from tests.fakes.processes.leased_worker import enqueue, is_empty, until, working
from workers import job_leases


async def test_an_entry_of_a_queue_that_is_no_job_is_removed_and_logged_once(redis: ArqRedis) -> None:
    done: list[int] = []

    async def job(order_id: int) -> None:
        done.append(order_id)

    for strange in (b"\xff\xfe", b"", b"window", b"unknown:abc123:1", b"window:", "wïndow:1:2".encode()):
        await redis.zadd(WINDOW.queue, {strange: 1})
    await enqueue(redis, 7)
    with capture_logs() as logs:
        async with working(redis, job):
            await until(lambda: is_empty(redis))

    assert done == [7]
    assert [line["rebuilt"] for line in logs if line["event"] == "job_unreadable"] == [False] * 6


@pytest.mark.parametrize(
    "body",
    [
        None,
        b"\x80\x04garbage",
        b"",
        b"[]",
        b"{}",
        b'{"f": "window"}',
        b'{"f": "unknown", "a": [], "k": {}, "et": 1}',
        b'{"t": null, "f": "window", "a": ["abc123", 7], "k": {}, "et": "soon"}',
    ],
)
async def test_an_unreadable_job_is_rebuilt_from_its_id(redis: ArqRedis, body: bytes | None) -> None:
    done: list[int] = []

    async def job(order_id: int) -> None:
        done.append(order_id)

    job_id = await enqueue(redis, 7)
    if body is None:
        await redis.delete(job_key_prefix + job_id)
    else:
        await redis.set(job_key_prefix + job_id, body)
    async with working(redis, job):
        await until(lambda: is_empty(redis))

    assert done == [7]
    assert await redis.keys("arq:*") == []


async def test_keys_that_another_program_has_written_do_not_keep_jobs_from_being_claimed(redis: ArqRedis) -> None:
    done: list[int] = []

    async def job(order_id: int) -> None:
        done.append(order_id)

    strange, counted = [await enqueue(redis, order_id) for order_id in (1, 2)]
    await redis.delete(job_key_prefix + strange)
    await redis.lpush(job_key_prefix + strange, "no job")  # type: ignore[misc]
    await redis.set(retry_key_prefix + counted, "many")
    async with working(redis, job):
        await until(lambda: is_empty(redis))

    assert done == [2, 1]
    assert await redis.keys("arq:*") == []


async def test_an_error_that_a_job_does_not_handle_requeues_it_after_a_delay(
    redis: ArqRedis, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(job_leases, "FAILED_JOB_DELAY_MS", 40)
    tried: list[float] = []

    async def job(_: int) -> None:
        tried.append(time.monotonic())
        if len(tried) < 4:
            raise LookupError("a defect")

    await enqueue(redis, 7)
    with capture_logs() as logs:
        async with working(redis, job):
            await until(lambda: is_empty(redis))

    waits = [later - earlier for earlier, later in pairwise(tried)]
    assert len(waits) == 3
    assert min(waits) >= 0.04
    assert [line["error"] for line in logs if line["event"] == "job_crashed"] == ["LookupError"] * 3
    assert await redis.keys("arq:*") == []
