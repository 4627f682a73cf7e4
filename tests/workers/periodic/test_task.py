"""What keeps a chore going, and how it gets into its queue."""

from typing import Any

import pytest
from arq import ArqRedis, Retry
from redis.exceptions import ConnectionError as RedisConnectionError
from structlog.testing import capture_logs

from service.errors import CredentialsRefused, NotFound, OutOfBudget, TryAgain
from service.orders.state.jobs import MONITOR_HOOKS, PROBE, RECONCILE
from workers.periodic.task import MAX_BACKOFF_S, SPREAD_S, PeriodicTask, ensure_periodic_jobs

NOW = 1_700_000_000.0


def clock() -> float:
    return NOW


async def after(chore: PeriodicTask, result: float | Exception) -> tuple[float, list[tuple[str, str]]]:
    """In how many seconds the next turn is due, and what was logged (event, level)."""

    async def do() -> float:
        if isinstance(result, Exception):
            raise result
        return result

    with capture_logs() as logs, pytest.raises(Retry) as retry:
        await chore.turn("abc123", do)
    assert retry.value.defer_score is not None
    return retry.value.defer_score / 1000, [(line["event"], line["log_level"]) for line in logs]


async def test_a_turn_is_followed_by_the_next() -> None:
    assert await after(PeriodicTask("guard", every_s=60.0), 42.0) == (42.0, [])


async def test_passing_trouble_is_tried_again_soon_and_told_once() -> None:
    chore = PeriodicTask("guard", every_s=60.0)
    pauses, lines = [], []
    for _ in range(8):
        pause, logs = await after(chore, TryAgain("Get Webhooks", "Bad Gateway", status=502))
        pauses.append(pause)
        lines += logs

    assert 1.0 <= pauses[0] <= 2.0
    assert max(pauses) <= MAX_BACKOFF_S
    assert lines == [("periodic_task_postponed", "warning")] + 7 * [("periodic_task_postponed", "debug")]

    await after(chore, 42.0)
    pause, logs = await after(chore, RedisConnectionError())
    assert pause <= 2.0
    assert logs == [("periodic_task_postponed", "warning")]


async def test_trouble_never_makes_the_pause_longer_than_usual() -> None:
    chore = PeriodicTask("guard", every_s=1.0)
    for error in (TryAgain("a", "b"), OutOfBudget("a", seconds=25.0), CredentialsRefused("a", "b", status=401)):
        pause, _ = await after(chore, error)
        assert pause <= 1.0


async def test_without_budget_it_waits_as_long_as_it_is_told_to() -> None:
    chore = PeriodicTask("guard", every_s=60.0)
    assert await after(chore, OutOfBudget("Get Webhooks", seconds=7.5)) == (7.5, [("periodic_task_postponed", "debug")])
    pause, _ = await after(chore, OutOfBudget("Get Webhooks", seconds=0.0))
    assert pause > 0.0, "or it would spin"


@pytest.mark.parametrize(
    "error", [CredentialsRefused("Get Webhooks", "no", status=403), NotFound("Get Webhooks", "no")]
)
async def test_what_only_a_person_can_mend_is_asked_again_at_the_usual_pace(error: Exception) -> None:
    assert await after(PeriodicTask("guard", every_s=600.0), error) == (600.0, [("periodic_task_postponed", "warning")])


async def test_an_error_that_nobody_thought_of_is_logged_and_the_chore_goes_on() -> None:
    pause, logs = await after(PeriodicTask("guard", every_s=60.0), KeyError("id"))
    assert 1.0 <= pause <= 2.0
    assert logs == [("internal_error", "error")]


async def queued(redis: ArqRedis) -> dict[bytes, float]:
    return dict(await redis.zrange(RECONCILE.queue, 0, -1, withscores=True))


async def test_each_store_gets_its_chores_once(redis: ArqRedis) -> None:
    await ensure_periodic_jobs(redis, ["abc123", "xyz789"], clock=clock)
    before = await everything(redis)
    assert await queued(redis) == {
        f"{name}:{store}".encode(): NOW * 1000 for name in ("reconcile", "guard") for store in ("abc123", "xyz789")
    }
    assert before[b"arq:job:guard:abc123"] == MONITOR_HOOKS.body("abc123", now=NOW)

    await ensure_periodic_jobs(redis, ["abc123", "xyz789"], clock=lambda: NOW + 60)
    assert await everything(redis) == before


async def test_a_chore_that_got_lost_comes_back(redis: ArqRedis) -> None:
    await ensure_periodic_jobs(redis, ["abc123"], clock=clock)
    whole = await queued(redis)

    await redis.zrem(RECONCILE.queue, "reconcile:abc123")
    await ensure_periodic_jobs(redis, ["abc123"], clock=clock)
    assert await queued(redis) == whole

    await redis.delete("arq:job:reconcile:abc123")
    await ensure_periodic_jobs(redis, ["abc123"], clock=clock)
    assert await redis.get("arq:job:reconcile:abc123") == RECONCILE.body("abc123", now=NOW)


async def test_the_chores_of_many_stores_do_not_begin_all_at_once(redis: ArqRedis) -> None:
    await ensure_periodic_jobs(redis, [f"store{number}" for number in range(100)], clock=clock)
    due = set((await queued(redis)).values())
    assert len(due) > 50
    assert NOW * 1000 <= min(due) <= max(due) <= (NOW + SPREAD_S) * 1000


async def test_chores_can_be_had_at_once_but_a_probe_only_where_one_is_due(redis: ArqRedis) -> None:
    await ensure_periodic_jobs(redis, ["abc123", "xyz789"], clock=lambda: NOW + 600)
    await redis.zadd(PROBE.queue, {PROBE.id("abc123"): (NOW + 300) * 1000})

    await ensure_periodic_jobs(redis, ["abc123"], now_due=True, clock=clock)
    await ensure_periodic_jobs(redis, ["abc123"], now_due=True, clock=lambda: NOW + 60)
    assert await queued(redis) == {
        b"reconcile:abc123": NOW * 1000,
        b"guard:abc123": NOW * 1000,
        b"probe:abc123": NOW * 1000,
        b"reconcile:xyz789": (NOW + 600) * 1000,
        b"guard:xyz789": (NOW + 600) * 1000,
    }

    await ensure_periodic_jobs(redis, ["new1"], now_due=True, clock=clock)
    assert b"reconcile:new1" in await queued(redis)
    assert b"probe:new1" not in await queued(redis)


async def test_no_store_no_chore(redis: ArqRedis) -> None:
    await ensure_periodic_jobs(redis, [], clock=clock)
    assert await everything(redis) == {}


async def everything(redis: ArqRedis) -> dict[bytes, Any]:
    found: dict[bytes, Any] = {}
    for key in await redis.keys("*"):
        found[key] = await redis.get(key) if key.startswith(b"arq:job:") else await redis.zrange(key, 0, -1)
    return found
