"""Periodic tasks: when they run again, and how they are queued."""

from collections.abc import Callable
from typing import Any

import pytest
from arq import ArqRedis, Retry
from redis.exceptions import ConnectionError as RedisConnectionError
from structlog.testing import capture_logs

from service.errors import CredentialsRefused, NotFound, OutOfBudget, TryAgain
from service.orders.state.job_kinds import MONITOR_HOOKS, PROBE, READ_SUPER_ADMINS, RECONCILE
from service.sandbox.demo import DEMO_STORE_HASH
from service.stores import Store
from tests.fakes.redis.exchanges import counted_exchanges
from tests.workers.stacks.stack import Stack
from workers.periodic.periodic_task import (
    AT_ONCE,
    MAX_BACKOFF_S,
    SPREAD_S,
    PeriodicTask,
    ensure_periodic_jobs,
    spread_s,
)

NOW = 1_700_000_000.0


def clock() -> float:
    return NOW


class Task(PeriodicTask):
    """A periodic task whose runs return or raise ``result``."""

    name = "test_task"
    result: float | Exception = 0.0

    async def run_once(self, _: Store) -> float:
        if isinstance(self.result, Exception):
            raise self.result
        return self.result


OpenTask = Callable[[float], Task]


@pytest.fixture
def task_every(stack: Stack) -> OpenTask:
    """Makes a task with the given interval in seconds."""
    return lambda every_s: Task(stack.resources(), every_s=every_s, clock=stack.clock)


async def after(task: Task, result: float | Exception) -> tuple[float, list[tuple[str, str]]]:
    """In how many seconds the next run is due after a run with this result, and what was logged (event, level)."""
    task.result = result
    with capture_logs() as logs, pytest.raises(Retry) as retry:
        await task.run({}, DEMO_STORE_HASH)
    assert retry.value.defer_score is not None
    return retry.value.defer_score / 1000, [(line["event"], line["log_level"]) for line in logs]


async def test_run_schedules_the_next_run(task_every: OpenTask) -> None:
    assert await after(task_every(60.0), 42.0) == (42.0, [])


async def test_transient_error_is_retried_soon_and_logged_once(task_every: OpenTask) -> None:
    task = task_every(60.0)
    pauses, lines = [], []
    for _ in range(8):
        pause, logs = await after(task, TryAgain("Get Webhooks", "Bad Gateway", status=502))
        pauses.append(pause)
        lines += logs

    assert 1.0 <= pauses[0] <= 2.0
    assert max(pauses) <= MAX_BACKOFF_S
    assert lines == [("periodic_task_postponed", "warning")] + 7 * [("periodic_task_postponed", "debug")]

    await after(task, 42.0)
    pause, logs = await after(task, RedisConnectionError())
    assert pause <= 2.0
    assert logs == [("periodic_task_postponed", "warning")]


async def test_error_never_makes_the_interval_longer(task_every: OpenTask) -> None:
    task = task_every(1.0)
    for error in (TryAgain("a", "b"), OutOfBudget("a", seconds=25.0), CredentialsRefused("a", "b", status=401)):
        pause, _ = await after(task, error)
        assert pause <= 1.0


async def test_without_quota_it_waits_until_the_quota_resets(task_every: OpenTask) -> None:
    task = task_every(60.0)
    assert await after(task, OutOfBudget("Get Webhooks", seconds=7.5)) == (7.5, [("periodic_task_postponed", "debug")])
    pause, _ = await after(task, OutOfBudget("Get Webhooks", seconds=0.0))
    assert pause > 0.0, "not a busy loop"


@pytest.mark.parametrize(
    "error", [CredentialsRefused("Get Webhooks", "no", status=403), NotFound("Get Webhooks", "no")]
)
async def test_error_that_only_a_person_can_fix_is_retried_at_the_normal_interval(
    task_every: OpenTask, error: Exception
) -> None:
    assert await after(task_every(600.0), error) == (600.0, [("periodic_task_postponed", "warning")])


async def test_unexpected_error_is_logged_and_the_task_continues(task_every: OpenTask) -> None:
    pause, logs = await after(task_every(60.0), KeyError("id"))
    assert 1.0 <= pause <= 2.0
    assert logs == [("internal_error", "error")]


async def queued(redis: ArqRedis) -> dict[bytes, float]:
    return dict(await redis.zrange(RECONCILE.queue, 0, -1, withscores=True))


async def test_each_store_gets_its_jobs_once(redis: ArqRedis) -> None:
    await ensure_periodic_jobs(redis, ["abc123", "xyz789"], clock=clock)
    before = await dump_all(redis)
    assert await queued(redis) == {
        f"{name}:{store}".encode(): NOW * 1000
        for name in ("reconcile", "guard", "super_admins")
        for store in ("abc123", "xyz789")
    }
    assert before[b"arq:job:guard:abc123"] == MONITOR_HOOKS.body("abc123", now=NOW)

    await ensure_periodic_jobs(redis, ["abc123", "xyz789"], clock=lambda: NOW + 60)
    assert await dump_all(redis) == before


async def test_lost_job_is_queued_again(redis: ArqRedis) -> None:
    await ensure_periodic_jobs(redis, ["abc123"], clock=clock)
    whole = await queued(redis)

    await redis.zrem(RECONCILE.queue, "reconcile:abc123")
    await ensure_periodic_jobs(redis, ["abc123"], clock=clock)
    assert await queued(redis) == whole

    await redis.delete("arq:job:reconcile:abc123")
    await ensure_periodic_jobs(redis, ["abc123"], clock=clock)
    assert await redis.get("arq:job:reconcile:abc123") == RECONCILE.body("abc123", now=NOW)


async def test_first_runs_of_many_stores_are_spread(redis: ArqRedis) -> None:
    await ensure_periodic_jobs(redis, [f"store{number}" for number in range(100)], clock=clock)
    due = set((await queued(redis)).values())
    assert len(due) > 50
    assert NOW * 1000 <= min(due) <= max(due) <= (NOW + SPREAD_S) * 1000


MANY = [f"store{number}" for number in range(2_000)]


async def test_start_with_many_stores_costs_few_exchanges_and_no_write_where_nothing_is_missing(
    redis: ArqRedis,
) -> None:
    batches = len(MANY) / AT_ONCE
    await redis.ping()
    with counted_exchanges() as first:
        await ensure_periodic_jobs(redis, MANY)
    assert await redis.zcard(RECONCILE.queue) == 3 * len(MANY)
    assert first.number <= 1 + 4 * batches, "the time, one to read and three to write for each batch"
    written = (await redis.info("persistence"))["rdb_changes_since_last_save"]

    with counted_exchanges() as second:
        await ensure_periodic_jobs(redis, MANY)
    assert second.number <= 1 + batches
    assert second.sent < first.sent / 2
    assert (await redis.info("persistence"))["rdb_changes_since_last_save"] == written


async def test_a_job_that_is_lost_among_many_is_due_now(redis: ArqRedis) -> None:
    await ensure_periodic_jobs(redis, MANY[: AT_ONCE + 2], clock=clock)
    await redis.zrem(RECONCILE.queue, RECONCILE.id(MANY[7]))
    await redis.delete(MONITOR_HOOKS.key(MANY[AT_ONCE + 1]))
    await ensure_periodic_jobs(redis, MANY[: AT_ONCE + 2], clock=lambda: NOW + 600)
    assert await redis.zscore(RECONCILE.queue, RECONCILE.id(MANY[7])) is not None
    assert await redis.exists(MONITOR_HOOKS.key(MANY[AT_ONCE + 1]))
    assert await redis.zcard(RECONCILE.queue) == 3 * (AT_ONCE + 2)


@pytest.mark.parametrize(
    ("stores", "reconcile_s", "hooks_s"), [(20, 0, 0), (21, 5, 5), (5_000, 50, 100), (50_000, 240, 240)]
)
def test_first_runs_are_spread_by_the_number_of_stores(stores: int, reconcile_s: float, hooks_s: float) -> None:
    spread = spread_s(stores)
    assert (spread[RECONCILE], spread[MONITOR_HOOKS], spread[READ_SUPER_ADMINS]) == (reconcile_s, hooks_s, hooks_s)


async def test_jobs_can_be_made_due_now_but_a_probe_only_where_one_is_queued(redis: ArqRedis) -> None:
    await ensure_periodic_jobs(redis, ["abc123", "xyz789"], clock=lambda: NOW + 600)
    await redis.zadd(PROBE.queue, {PROBE.id("abc123"): (NOW + 300) * 1000})

    await ensure_periodic_jobs(redis, ["abc123"], now_due=True, clock=clock)
    await ensure_periodic_jobs(redis, ["abc123"], now_due=True, clock=lambda: NOW + 60)
    assert await queued(redis) == {
        b"reconcile:abc123": NOW * 1000,
        b"guard:abc123": NOW * 1000,
        b"super_admins:abc123": NOW * 1000,
        b"probe:abc123": NOW * 1000,
        b"reconcile:xyz789": (NOW + 600) * 1000,
        b"guard:xyz789": (NOW + 600) * 1000,
        b"super_admins:xyz789": (NOW + 600) * 1000,
    }

    await ensure_periodic_jobs(redis, ["new1"], now_due=True, clock=clock)
    assert b"reconcile:new1" in await queued(redis)
    assert b"probe:new1" not in await queued(redis)


async def test_no_store_no_job(redis: ArqRedis) -> None:
    await ensure_periodic_jobs(redis, [], clock=clock)
    assert await dump_all(redis) == {}


async def dump_all(redis: ArqRedis) -> dict[bytes, Any]:
    found: dict[bytes, Any] = {}
    for key in await redis.keys("*"):
        found[key] = await redis.get(key) if key.startswith(b"arq:job:") else await redis.zrange(key, 0, -1)
    return found
