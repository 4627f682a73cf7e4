"""The worker process: heartbeat and worklists."""

import asyncio

import pytest
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import ResponseError
from structlog.testing import capture_logs

from service.orders.state.job_kinds import PROBE, RECOVERY, REVERIFY, VERIFY, WINDOW
from service.orders.state.keys import parked_key, reverify_key, verify_key
from service.process.task_cancellation import cancel_and_wait
from tests.fakes.stacks.job_stack import JobStack
from workers import worker_process


@pytest.mark.parametrize(
    ("error", "logged"),
    [(ResponseError("MISCONF No space left on device"), 1), (RedisConnectionError("gone"), 0), (ValueError("x"), 1)],
)
async def test_heartbeat_survives_any_redis_error(job_stack: JobStack, error: Exception, logged: int) -> None:
    queue, heartbeat, said = job_stack.resources.queue, job_stack.resources.queue.heartbeat, asyncio.Event()

    async def fails_once(worker: str, running: int) -> None:
        queue.heartbeat = succeeds  # type: ignore[method-assign]
        raise error

    async def succeeds(worker: str, running: int) -> None:
        await heartbeat(worker, running)
        said.set()

    queue.heartbeat = fails_once  # type: ignore[method-assign]
    with capture_logs() as logs:
        saying = asyncio.create_task(worker_process._send_heartbeats(job_stack.resources, "here:1", []))
        async with asyncio.timeout(30):
            await said.wait()
        # Cancelling once is not enough: `end` says why. A task that survives would hang the test's event loop.
        await cancel_and_wait([saying])

    assert (await queue.counts()).workers == 1
    assert len([line for line in logs if line["event"] == "internal_error"]) == logged


def test_worklist_keys_of_jobs() -> None:
    assert worker_process._worklist_key(VERIFY.id("abc123")) == verify_key("abc123")
    assert worker_process._worklist_key(REVERIFY.id("abc123")) == reverify_key("abc123")
    assert worker_process._worklist_key(PROBE.id("abc123")) == parked_key("abc123")
    assert worker_process._worklist_key(WINDOW.id("abc123", 1)) is None
    assert worker_process._worklist_key(RECOVERY.id("abc123", 1)) is None
