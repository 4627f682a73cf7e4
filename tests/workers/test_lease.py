"""The leased worker against a real Redis: what it takes, what it keeps, what it lets go."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
from arq import ArqRedis, Retry
from arq.constants import in_progress_key_prefix, job_key_prefix, retry_key_prefix
from arq.worker import func
from redis.exceptions import ResponseError
from structlog.testing import capture_logs

from service.orders.state.jobs import WINDOW, from_json, to_json
from service.redis.client import connect
from tests.fakes.redis_server import running_redis
from workers import lease, lua
from workers.lease import LeasedWorker, LeaseLost

Job = Callable[[int], Awaitable[None]]

STORE = "abc123"

# A lease that no pause of a busy machine outlasts.
LONG_S = 60.0


async def put(redis: ArqRedis, order_id: int, *, store: str = STORE, score: int | None = None) -> str:
    job_id = WINDOW.id(store, order_id)
    await redis.set(WINDOW.key(store, order_id), WINDOW.body(store, order_id, now=1_700_000_000.0))
    await redis.zadd(WINDOW.queue, {job_id: score if score is not None else order_id})
    return job_id


def worker_for(redis: ArqRedis, job: Job, *, max_jobs: int = 10) -> LeasedWorker:
    async def run(ctx: dict[str, Any], *args: Any, **_: Any) -> None:
        await job(args[1])

    return LeasedWorker(
        [func(run, name=WINDOW.function)],
        queue_name=WINDOW.queue,
        redis_pool=redis,
        max_jobs=max_jobs,
        poll_interval_s=0.01,
        rebuild=lambda job_id: WINDOW.rebuilt(job_id, time.time()),
        job_serializer=to_json,
        job_deserializer=from_json,
    )


@asynccontextmanager
async def working(redis: ArqRedis, job: Job, *, max_jobs: int = 10) -> AsyncIterator[LeasedWorker]:
    worker = worker_for(redis, job, max_jobs=max_jobs)
    serving = asyncio.create_task(worker.serve())
    try:
        yield worker
    finally:
        await worker.drain(0.1)
        await serving


async def until(holds: Callable[[], Awaitable[bool]], within_s: float = 30.0) -> None:
    async with asyncio.timeout(within_s):
        while not await holds():  # noqa: ASYNC110 - what is waited for happens in Redis
            await asyncio.sleep(0.01)


async def is_renewed(redis: ArqRedis, key: str) -> None:
    """Return when the lease, of which half is over, is as long as ever."""
    await redis.pexpire(key, int(LONG_S * 500))
    await until(lambda: _lasts(redis, key, LONG_S * 0.75))


async def empty(redis: ArqRedis) -> bool:
    return not await redis.exists(WINDOW.queue)


@pytest.fixture
async def redis(redis_url: str) -> AsyncIterator[ArqRedis]:
    async with connect(redis_url, serializer=to_json, deserializer=from_json) as client:
        yield client


async def test_a_job_that_is_done_leaves_nothing_in_redis(redis: ArqRedis) -> None:
    done: list[int] = []

    async def job(order_id: int) -> None:
        done.append(order_id)

    await put(redis, 1)
    async with working(redis, job):
        await until(lambda: empty(redis))

    assert done == [1]
    assert await redis.keys("arq:*") == []


async def test_jobs_are_picked_in_the_order_of_their_score(redis: ArqRedis) -> None:
    done: list[int] = []

    async def job(order_id: int) -> None:
        done.append(order_id)

    for order_id in (3, 1, 2):
        await put(redis, order_id)
    async with working(redis, job, max_jobs=1):
        await until(lambda: empty(redis))

    assert done == [1, 2, 3]


async def test_a_worker_takes_no_more_than_it_has_room_for(redis: ArqRedis) -> None:
    running, most = 0, 0
    go = asyncio.Event()

    async def job(_: int) -> None:
        nonlocal running, most
        running += 1
        most = max(most, running)
        await go.wait()
        running -= 1

    for order_id in range(1, 8):
        await put(redis, order_id, store=f"store{order_id}")
    async with working(redis, job, max_jobs=3) as worker:
        await until(lambda: _is(running == 3))
        assert worker.running == 3
        go.set()
        await until(lambda: empty(redis))

    assert most == 3


async def test_running_jobs_do_not_hide_the_ones_behind_them(redis: ArqRedis) -> None:
    """Two workers with room for ten each get all twenty of twenty running, though the first ten stay in front."""
    started: set[int] = set()
    go = asyncio.Event()

    async def job(order_id: int) -> None:
        started.add(order_id)
        await go.wait()

    for order_id in range(1, 21):
        await put(redis, order_id, store=f"store{order_id % 5}")
    async with working(redis, job), working(redis, job):
        await until(lambda: _is(len(started) == 20))
        go.set()
        await until(lambda: empty(redis))


async def test_a_busy_store_leaves_room_for_the_others(redis: ArqRedis) -> None:
    started: list[int] = []
    go = asyncio.Event()

    async def job(order_id: int) -> None:
        started.append(order_id)
        await go.wait()

    for order_id in range(1, 31):
        await put(redis, order_id, store="busy")
    async with working(redis, job) as worker:
        await until(lambda: _is(worker.running == 5))
        # Later than all the others, and yet at once.
        await put(redis, 100, store="quiet")
        await until(lambda: _is(len(started) == 6))
        assert sorted(started) == [1, 2, 3, 4, 5, 100]
        go.set()
        await until(lambda: empty(redis))


async def test_the_other_orders_of_a_store_that_has_its_share_cost_redis_nothing(redis: ArqRedis) -> None:
    """Redis does nothing else meanwhile, and a store may have thousands of them, at every look."""

    async def job(_: int) -> None:
        await asyncio.sleep(60)

    worker = worker_for(redis, job)
    job_ids = [(await put(redis, order_id)).encode() for order_id in range(1, 501)]
    await redis.config_resetstat()

    await worker.start_jobs(job_ids)

    assert worker.running == 5
    assert (await redis.info("commandstats"))["cmdstat_zscore"]["calls"] == 5
    await lease.end(list(worker.tasks.values()))


async def test_stores_take_turns_when_there_is_not_room_for_all(redis: ArqRedis) -> None:
    started: list[int] = []

    async def job(order_id: int) -> None:
        started.append(order_id)

    for order_id in range(1, 7):
        await put(redis, order_id, store="one")
    await put(redis, 7, store="two")
    async with working(redis, job, max_jobs=2):
        await until(lambda: empty(redis))

    assert 7 in started[:2]
    assert [order_id for order_id in started if order_id != 7] == [1, 2, 3, 4, 5, 6]


async def test_two_workers_never_run_one_job_together(redis: ArqRedis, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lease, "LEASE_S", LONG_S)
    runs: list[int] = []

    async def job(order_id: int) -> None:
        runs.append(order_id)
        await asyncio.sleep(0)

    for order_id in range(1, 301):
        await put(redis, order_id)
    async with working(redis, job), working(redis, job), working(redis, job):
        await until(lambda: empty(redis))

    assert sorted(runs) == list(range(1, 301))


async def test_a_lease_names_its_owner_and_is_renewed(redis: ArqRedis, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lease, "LEASE_S", LONG_S)
    monkeypatch.setattr(lease, "RENEW_EVERY_S", 0.05)
    go = asyncio.Event()

    async def job(_: int) -> None:
        await go.wait()

    key = in_progress_key_prefix + await put(redis, 1)
    async with working(redis, job) as worker:
        await until(lambda: _exists(redis, key))
        for _ in range(3):
            assert await redis.get(key) == worker.owner.encode()
            await is_renewed(redis, key)
        go.set()
        await until(lambda: empty(redis))
    assert not await redis.exists(key)


async def test_a_dead_workers_job_is_with_another_when_its_lease_has_run_out(redis: ArqRedis) -> None:
    done: list[int] = []

    async def job(order_id: int) -> None:
        done.append(order_id)

    job_id = await put(redis, 1)
    await redis.set(in_progress_key_prefix + job_id, "a-dead-worker", px=300)
    async with working(redis, job):
        await until(lambda: empty(redis))
    assert done == [1]


async def test_a_job_that_another_worker_took_over_is_stopped_and_left_to_it(
    redis: ArqRedis, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lease, "RENEW_EVERY_S", 0.05)
    began, stopped = asyncio.Event(), asyncio.Event()

    async def job(_: int) -> None:
        began.set()
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            stopped.set()
            raise

    job_id = await put(redis, 1)
    async with working(redis, job) as worker:
        await asyncio.wait_for(began.wait(), 30.0)
        await redis.set(in_progress_key_prefix + job_id, "another-worker", px=60_000)
        await asyncio.wait_for(stopped.wait(), 30.0)
        await until(lambda: _is(worker.running == 0))

        assert await redis.get(in_progress_key_prefix + job_id) == b"another-worker"
        assert await redis.exists(job_key_prefix + job_id)
        assert await redis.zscore(WINDOW.queue, job_id) == 1


async def test_a_lease_that_ran_out_unnoticed_is_taken_back(redis: ArqRedis, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lease, "RENEW_EVERY_S", 0.05)
    go = asyncio.Event()

    async def job(_: int) -> None:
        await go.wait()

    async with working(redis, job) as worker:
        key = in_progress_key_prefix + await put(redis, 1)
        await until(lambda: _is(worker.running == 1))
        # Nobody else polls: as after a Redis that stood still for longer than the lease.
        worker.allow_pick_jobs = False
        await redis.delete(key)
        await until(lambda: _exists(redis, key))
        go.set()
        await until(lambda: empty(redis))


async def test_a_retry_comes_back_after_its_pause(redis: ArqRedis) -> None:
    runs: list[int] = []

    async def job(order_id: int) -> None:
        runs.append(order_id)
        if len(runs) < 3:
            raise Retry(defer=0.05)

    await put(redis, 1)
    async with working(redis, job):
        await until(lambda: empty(redis))

    assert runs == [1, 1, 1]
    assert await redis.keys(f"{retry_key_prefix}*") == []


async def test_jobs_in_hand_are_finished_and_nothing_new_is_taken(redis: ArqRedis) -> None:
    done: list[int] = []
    go = asyncio.Event()

    async def job(order_id: int) -> None:
        await go.wait()
        done.append(order_id)

    await put(redis, 1)
    async with working(redis, job, max_jobs=1) as worker:
        await until(lambda: _is(worker.running == 1))
        await put(redis, 2)
        finishing = asyncio.create_task(worker.drain(30.0))
        go.set()

        assert await finishing == 0
    assert done == [1]
    assert await redis.zrange(WINDOW.queue, 0, -1) == [WINDOW.id(STORE, 2).encode()]


async def test_what_is_not_finished_in_time_goes_back_to_the_queue(redis: ArqRedis) -> None:
    began = asyncio.Event()

    async def job(_: int) -> None:
        began.set()
        await asyncio.Event().wait()

    job_id = await put(redis, 1)
    async with working(redis, job) as worker:
        await asyncio.wait_for(began.wait(), 30.0)
        assert await worker.drain(0.05) == 1

    assert await redis.zscore(WINDOW.queue, job_id) == 1
    assert await redis.exists(job_key_prefix + job_id)
    assert not await redis.exists(in_progress_key_prefix + job_id), "free for the next worker at once"


async def test_polling_survives_a_redis_that_dies_and_comes_back() -> None:
    done: set[int] = set()

    async def job(order_id: int) -> None:
        done.add(order_id)

    async with (
        running_redis() as server,
        connect(server.url, serializer=to_json, deserializer=from_json) as redis,
        working(redis, job) as worker,
    ):
        await put(redis, 1)
        await until(lambda: _is(done == {1}))
        for order_id in (2, 3, 4):
            server.kill()
            await server.restart()
            await put(redis, order_id)
            await until(lambda: _is(len(done) == order_id))  # noqa: B023 - used up within the turn
        await until(lambda: _is(worker.running == 0))


# ── a worker that was taken for dead ────────────────────────────────────────────────────────────────────────────


async def nothing(_: int) -> None:
    return


async def claimed_by(worker: LeasedWorker, monkeypatch: pytest.MonkeyPatch) -> None:
    """Have the worker take what is due, and stand still before it runs it."""
    monkeypatch.setattr(LeasedWorker, "run_job", lambda *_: asyncio.Event().wait())
    await worker.start_jobs(await worker.pool.zrange(WINDOW.queue, 0, -1))


async def close(worker: LeasedWorker, job_id: str, *, retry_in_ms: int | None = None) -> None:
    await worker.finish_job(job_id, retry_in_ms is None, None, None, False, retry_in_ms, None)


@asynccontextmanager
async def two_workers(redis: ArqRedis) -> AsyncIterator[tuple[LeasedWorker, LeasedWorker]]:
    workers = worker_for(redis, nothing), worker_for(redis, nothing)
    try:
        yield workers
    finally:
        for worker in workers:
            await worker.drain(0.0)


async def test_a_stale_worker_neither_closes_nor_leases_a_job_that_another_has(
    redis: ArqRedis, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with two_workers(redis) as (stale, other):
        job_id = await put(redis, 1)
        await claimed_by(stale, monkeypatch)
        await redis.delete(in_progress_key_prefix + job_id)  # it stood still, and its lease ran out
        await claimed_by(other, monkeypatch)
        before = await redis.zscore(WINDOW.queue, job_id)

        assert job_id in await stale._extend([job_id])
        await close(stale, job_id)
        await close(stale, job_id, retry_in_ms=60_000)

        assert await redis.get(in_progress_key_prefix + job_id) == other.owner.encode()
        assert await redis.zscore(WINDOW.queue, job_id) == before
        assert await redis.exists(job_key_prefix + job_id)


async def test_a_stale_worker_neither_closes_nor_leases_a_new_job_of_the_same_id(
    redis: ArqRedis, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with two_workers(redis) as (stale, _):
        job_id = await put(redis, 1, score=1000)
        await claimed_by(stale, monkeypatch)
        await redis.delete(in_progress_key_prefix + job_id, job_key_prefix + job_id, WINDOW.queue)  # the order ended
        await put(redis, 1, score=2000)  # and is retried

        assert job_id in await stale._extend([job_id])
        await close(stale, job_id)
        await close(stale, job_id, retry_in_ms=60_000)

        assert await redis.zscore(WINDOW.queue, job_id) == 2000
        assert await redis.exists(job_key_prefix + job_id)
        assert not await redis.exists(in_progress_key_prefix + job_id)


async def test_a_job_that_moved_on_is_not_put_back(redis: ArqRedis, monkeypatch: pytest.MonkeyPatch) -> None:
    async with two_workers(redis) as (worker, _):
        job_id = await put(redis, 1)
        await claimed_by(worker, monkeypatch)
        await redis.delete(in_progress_key_prefix + job_id, job_key_prefix + job_id, WINDOW.queue)

        await close(worker, job_id, retry_in_ms=1000)

        assert await redis.keys("*") == []


async def test_a_worker_that_stood_still_asks_before_it_goes_on(
    redis: ArqRedis, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with two_workers(redis) as (stale, other):
        job_id = await put(redis, 1)
        await claimed_by(stale, monkeypatch)
        await stale.ensure_lease(job_id)
        stale._held[job_id].renewed_at -= lease.LEASE_S
        await stale.ensure_lease(job_id)  # nobody has taken it
        assert await redis.get(in_progress_key_prefix + job_id) == stale.owner.encode()

        await redis.delete(in_progress_key_prefix + job_id)
        await claimed_by(other, monkeypatch)
        stale._held[job_id].renewed_at -= lease.LEASE_S
        with pytest.raises(LeaseLost):
            await stale.ensure_lease(job_id)


# ── what stands in Redis is garbage, or Redis answers with an error ─────────────────────────────────────────────


@pytest.mark.parametrize("error", [ResponseError("MISCONF no space left"), ValueError("a bug"), OSError("strange")])
async def test_leases_are_renewed_whatever_went_wrong_the_last_time(
    redis: ArqRedis, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    monkeypatch.setattr(lease, "LEASE_S", LONG_S)
    monkeypatch.setattr(lease, "RENEW_EVERY_S", 0.05)
    go = asyncio.Event()
    fails = 2

    async def job(_: int) -> None:
        await go.wait()

    key = in_progress_key_prefix + await put(redis, 1)
    async with working(redis, job) as worker:
        renew = lua.renew_leases

        async def flaky(*redis: Any, **named: Any) -> Any:
            nonlocal fails
            if fails:
                fails -= 1
                raise error
            return await renew(*redis, **named)

        monkeypatch.setattr(lua, "renew_leases", flaky)
        await until(lambda: _exists(redis, key))
        await until(lambda: _is(fails == 0))
        await is_renewed(redis, key)
        assert await redis.get(key) == worker.owner.encode()
        assert worker.running == 1
        go.set()
        await until(lambda: empty(redis))


async def test_a_lease_that_is_garbage_stops_no_renewal(redis: ArqRedis, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lease, "RENEW_EVERY_S", 0.05)
    go = asyncio.Event()

    async def job(_: int) -> None:
        await go.wait()

    async with working(redis, job) as worker:
        key = in_progress_key_prefix + await put(redis, 1)
        await until(lambda: _is(worker.running == 1))
        worker.allow_pick_jobs = False
        await redis.delete(key)
        await redis.hset(key, "not", "a lease")  # type: ignore[misc]
        await asyncio.sleep(0.2)
        await redis.delete(key)
        await until(lambda: _exists(redis, key))
        go.set()
        await until(lambda: empty(redis))


async def test_what_is_no_job_in_a_queue_is_taken_out_and_told_once(redis: ArqRedis) -> None:
    done: list[int] = []

    async def job(order_id: int) -> None:
        done.append(order_id)

    for strange in (b"\xff\xfe", b"", b"window", b"unknown:abc123:1", b"window:", "wïndow:1:2".encode()):
        await redis.zadd(WINDOW.queue, {strange: 1})
    await put(redis, 7)
    with capture_logs() as logs:
        async with working(redis, job):
            await until(lambda: empty(redis))

    assert done == [7]
    assert [line["rebuilt"] for line in logs if line["event"] == "job_unreadable"] == [False] * 6


@pytest.mark.parametrize(
    "body",
    [None, b"\x80\x04garbage", b"", b"[]", b"{}", b'{"f": "window"}', b'{"f": "unknown", "a": [], "k": {}, "et": 1}'],
)
async def test_a_job_that_cannot_be_read_is_made_anew_from_its_id(redis: ArqRedis, body: bytes | None) -> None:
    done: list[int] = []

    async def job(order_id: int) -> None:
        done.append(order_id)

    job_id = await put(redis, 7)
    if body is None:
        await redis.delete(job_key_prefix + job_id)
    else:
        await redis.set(job_key_prefix + job_id, body)
    async with working(redis, job):
        await until(lambda: empty(redis))

    assert done == [7]
    assert await redis.keys("arq:*") == []


async def _is(condition: bool) -> bool:
    return condition


async def _lasts(redis: ArqRedis, key: str, seconds: float) -> bool:
    return bool(await redis.pttl(key) > seconds * 1000)


async def _exists(redis: ArqRedis, key: str) -> bool:
    return bool(await redis.exists(key))
