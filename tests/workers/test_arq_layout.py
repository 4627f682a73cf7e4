"""What we rely on of arq's own layout. When a new arq changes it, this fails before a store's orders do."""

import inspect
import json
from typing import Any, cast

from arq import ArqRedis, Retry, Worker, constants, func
from arq.jobs import deserialize_job_raw
from arq.typing import WorkerCoroutine

from service.orders.state.job_kinds import WINDOW, from_json, to_json
from service.redis.client import connect


def test_the_names_of_arqs_keys_are_the_known_ones() -> None:
    assert constants.job_key_prefix == "arq:job:"
    assert constants.in_progress_key_prefix == "arq:in-progress:"
    assert constants.retry_key_prefix == "arq:retry:"


async def _job(_: dict[Any, Any]) -> None:
    return


async def test_a_job_of_ours_is_a_job_of_arqs(redis_url: str) -> None:
    async with connect(redis_url, serializer=to_json, deserializer=from_json) as redis:
        assert isinstance(redis, ArqRedis)
        job = await redis.enqueue_job("window", "abc123", 250, _job_id="window:abc123:250", _queue_name=WINDOW.queue)
        assert job is not None
        theirs = json.loads(await redis.get("arq:job:window:abc123:250") or b"")
        assert await redis.zrange(WINDOW.queue, 0, -1) == [b"window:abc123:250"]

    ours = json.loads(WINDOW.body("abc123", 250, now=theirs["et"] / 1000))
    assert ours == theirs


def test_arq_reads_a_job_of_ours() -> None:
    raw = WINDOW.body("abc123", 250, now=1_700_000_000.0)

    expected: tuple[object, ...] = ("window", ["abc123", 250], {}, None, 1_700_000_000_000)
    assert deserialize_job_raw(raw, deserializer=from_json) == expected


async def test_what_a_worker_of_ours_uses_of_arqs_is_there() -> None:
    job = cast("WorkerCoroutine", _job)
    worker = Worker([func(job, name="window")], queue_name=WINDOW.queue, redis_pool=ArqRedis(), handle_signals=False)
    assert worker.functions["window"].coroutine is job
    assert (worker.job_counter, worker.tasks, worker.allow_pick_jobs, worker.main_task) == (0, {}, True, None)
    assert "self.main_task = self.loop.create_task(self.main())" in inspect.getsource(Worker.async_run)
    assert (Retry(defer=1.5).defer_score, Retry().defer_score) == (1500, None)
