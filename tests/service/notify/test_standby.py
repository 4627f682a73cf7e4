"""A receiver watches the alerts only while no worker is alive."""

import asyncio
from dataclasses import replace

import pytest

from service.notify.alerts import DEFINITIONS, AlertKind
from service.notify.standby import stand_by
from service.orders.state.queue import Queue
from service.process.task_cancellation import cancel_and_wait
from tests.fakes.notify.notify_stack import NotifyStack


async def test_it_stands_back_while_a_worker_is_alive(
    stack: NotifyStack, redis_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    no_worker = DEFINITIONS[AlertKind.NO_WORKER]
    monkeypatch.setitem(DEFINITIONS, AlertKind.NO_WORKER, replace(no_worker, for_s=0.0))
    polls = asyncio.Semaphore(0)

    def configuration() -> object:
        polls.release()
        return stack.configuration

    standing_by = asyncio.create_task(stand_by(redis_url, configuration, every_s=0.01))  # type: ignore[arg-type]
    for _ in range(5):
        await polls.acquire()
    assert await stack.redis.keys("enrich:notify:*") == []

    await Queue(stack.redis).remove_heartbeat("here:1")
    await stack.receiver.wait_for(1)
    assert stack.headlines == ["CRITICAL: No worker is running"]
    assert await stack.redis.exists("enrich:notify:lease:watch")

    await stack.heartbeat()
    async with asyncio.timeout(30):
        while await stack.redis.exists("enrich:notify:lease:watch"):
            await polls.acquire()  # it lets the worker watch at once
    await cancel_and_wait([standing_by])
