"""Garbage in a queue, or in a job."""

import pytest
from arq import ArqRedis
from arq.constants import job_key_prefix
from structlog.testing import capture_logs

from service.orders.state.job_kinds import WINDOW
from tests.fakes.processes.leased_worker import enqueue, is_empty, until, working


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
    [None, b"\x80\x04garbage", b"", b"[]", b"{}", b'{"f": "window"}', b'{"f": "unknown", "a": [], "k": {}, "et": 1}'],
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
