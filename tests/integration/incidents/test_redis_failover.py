"""Receiver and workers across a failover of Redis behind one name, with no restart."""

import asyncio
from pathlib import Path

import httpx
import pytest

from service.orders.state.order_entry import Status
from tests.fakes.deployment import Deployment, deployed, outcomes
from tests.fakes.redis.failover import RedisBehindOneName, running_redis_behind_one_name

pytestmark = pytest.mark.integration


async def until_ready(deployment: Deployment, status: int) -> dict[str, object]:
    """Wait until /readyz answers with this status; its JSON. Ten seconds is what the service promises."""
    async with httpx.AsyncClient(base_url=deployment.url, trust_env=False) as client, asyncio.timeout(10):
        while True:
            answer = await client.get("/readyz")
            if answer.status_code == status:
                break
            await asyncio.sleep(0.05)
    found: dict[str, object] = answer.json()
    return found


async def test_processes_find_the_new_master_by_themselves(tmp_path: Path) -> None:
    async with deployed(tmp_path, redis=running_redis_behind_one_name()) as deployment:
        redis = deployment.redis
        assert isinstance(redis, RedisBehindOneName)
        before = [await deployment.place(number) for number in range(3)]
        assert outcomes(await deployment.wait_until_finished(before)) == {Status.CREATED: 3}

        await redis.demote()
        # The name still leads to the old master, which answers all but writes.
        assert await until_ready(deployment, 503) == {"redis": False, "workers": None, "queued": None}
        redis.switch_name()
        assert await until_ready(deployment, 200) == {"redis": True, "workers": 1, "queued": 0}

        after = [await deployment.place(number) for number in range(3, 6)]
        assert outcomes(await deployment.wait_until_finished(after, within_s=10)) == {Status.CREATED: 3}
        assert deployment.web.returncode is None
        assert deployment.workers[0].returncode is None
        for process in (deployment.web, *deployment.workers):
            assert not process.events("internal_error"), process.text
        lost = [line["error"] for line in deployment.workers[0].events("redis_lost")]
        assert all("(READONLY)" in error for error in lost), lost


async def test_a_quiet_receiver_takes_the_first_webhook_after_a_failover(tmp_path: Path) -> None:
    async with deployed(tmp_path, redis=running_redis_behind_one_name()) as deployment:
        redis = deployment.redis
        assert isinstance(redis, RedisBehindOneName)
        await redis.demote()
        redis.switch_name()
        order = await deployment.place(1)
        (entry,) = (await deployment.wait_until_finished([order], within_s=10)).values()
        assert entry.status is Status.CREATED
        # Queued by the try whose answer the old master kept, or by the next one: either way it is answered 200.
        (answer,) = [event["event"] for event in deployment.web.events() if "webhook" in event["event"]]
        assert answer in ("webhook_accepted", "webhook_duplicate")
