"""Changing the configuration of running workers."""

from typing import Any

import httpx
import pytest
from arq import ArqRedis
from redis.exceptions import ConnectionError as RedisConnectionError

from service.configuration import Configuration, load_configuration
from service.configuration.reloading import Changes
from service.orders.state.job_kinds import MONITOR_HOOKS, PROBE, READ_SUPER_ADMINS, RECONCILE
from service.orders.state.order_entry import Status
from tests.fakes.stacks.job_stack import STORES, JobStack
from tests.fakes.upstream import STORE_HASH
from workers import worker_process

CHANGED = Changes(added=[], removed=[], changed=[STORE_HASH])


def rotated(job_stack: JobStack, *, also: str = "") -> Configuration:
    """The stores file with another access token."""
    path = job_stack.folder / "stores.toml"
    text = STORES.format(keys="", fields="").replace('"access-token"', '"new-token"')
    path.write_text(text + (text.replace(STORE_HASH, also) if also else ""))
    return load_configuration(path)


def tokens(requests: list[httpx.Request]) -> set[str]:
    return {request.headers["X-Auth-Token"] for request in requests}


async def due_at(redis: ArqRedis) -> dict[bytes, float]:
    return {job: due / 1000 for job, due in await redis.zrange(RECONCILE.queue, 0, -1, withscores=True)}


async def test_new_access_token_is_used(job_stack: JobStack) -> None:
    await job_stack.webhook()
    await job_stack.run_until_finished()
    assert tokens(job_stack.upstream.requests) == {"access-token"}

    await worker_process._apply_configuration(job_stack.resources, rotated(job_stack), CHANGED)
    before = len(job_stack.upstream.requests)
    await job_stack.retry()
    await job_stack.run_until_finished()
    asked = job_stack.upstream.requests[before:]
    assert len(asked) > 1
    assert tokens(asked) == {"new-token"}
    assert len(job_stack.jobs._reader._loaders) == 1, "the loader of the old token is released"


async def test_changed_credentials_are_probed_at_once(job_stack: JobStack) -> None:
    def order(request: httpx.Request) -> Any:
        is_new = request.headers["X-Auth-Token"] == "new-token"
        return job_stack.order if is_new else (401, {"title": "Unauthorized"})

    job_stack.upstream.on("GET /v2/orders/1", order)
    job_stack.record.make()
    await job_stack.webhook()
    for _ in range(6):  # now the next probe is more than two minutes away
        await job_stack.run_next()
    assert await job_stack.resources.breaker.is_open(STORE_HASH)
    changed_at = job_stack.clock()

    await worker_process._apply_configuration(job_stack.resources, rotated(job_stack), CHANGED, clock=job_stack.clock)
    assert (await due_at(job_stack.redis))[PROBE.id(STORE_HASH).encode()] == changed_at
    for kind in (MONITOR_HOOKS, RECONCILE, READ_SUPER_ADMINS):
        await job_stack.redis.zrem(kind.queue, kind.id(STORE_HASH))  # this test is about the probe

    assert (await job_stack.run_until_finished()).status is Status.UPDATED
    assert job_stack.clock() - changed_at < 10.0
    assert not await job_stack.resources.breaker.is_open(STORE_HASH)


async def test_parked_orders_of_a_removed_store_fail_after_two_days(job_stack: JobStack) -> None:
    job_stack.upstream.on("GET /v2/orders/1", (401, {"title": "Unauthorized"}))
    await job_stack.webhook()
    await job_stack.run_next()
    assert await job_stack.queued() == [PROBE.id(STORE_HASH)]
    asked = len(job_stack.upstream.requests)

    gone = Configuration(job_stack.resources.configuration.endpoints, {}, ())
    await worker_process._apply_configuration(job_stack.resources, gone, Changes([], [STORE_HASH], []))
    entry = await job_stack.run_until_finished(max_jobs=1000)

    assert (entry.status, entry.reason) == (Status.FAILED, "the store is not in the stores file")
    assert len(job_stack.upstream.requests) == asked
    assert await job_stack.queued() == []


async def test_new_store_gets_its_periodic_jobs_at_once(job_stack: JobStack) -> None:
    await worker_process._apply_configuration(
        job_stack.resources, rotated(job_stack, also="new1"), Changes(["new1"], [], [])
    )
    assert set(job_stack.resources.configuration.stores) == {STORE_HASH, "new1"}
    assert set(await due_at(job_stack.redis)) == {b"reconcile:new1", b"guard:new1", b"super_admins:new1"}


async def test_new_configuration_is_applied_without_redis(job_stack: JobStack, monkeypatch: pytest.MonkeyPatch) -> None:
    async def gone(*_: object, **__: object) -> None:
        raise RedisConnectionError("gone")

    monkeypatch.setattr(worker_process, "ensure_periodic_jobs", gone)
    configuration = rotated(job_stack)
    await worker_process._apply_configuration(job_stack.resources, configuration, CHANGED)
    assert job_stack.resources.configuration is configuration
