"""The queue on a real Redis: what a webhook writes, and that a duplicate writes nothing."""

import asyncio
import json

import pytest
from arq import ArqRedis

from service.errors import QueueUnavailable
from service.orders.state import queue as orders_queue
from service.orders.state.job_kinds import RECOVERY, WINDOW
from service.orders.state.keys import entry_key
from service.orders.state.ledger import Ledger
from service.orders.state.order_entry import Entry, Stage, Status
from service.orders.state.queue import Counts, EnqueueResult, Queue, Webhook
from service.orders.state.transitions import Transitions
from service.redis.client import connect
from tests.fakes.redis.server import running_redis

NOW = 1_700_000_000.0


def webhook(order_id: int = 250, *, created_at: float | None = NOW - 1, status: bool = False) -> Webhook:
    scope = "store/order/statusUpdated" if status else "store/order/created"
    return Webhook("abc123", order_id, "msg_1", scope, created_at, NOW - 0.5)


def queue_on(redis: ArqRedis) -> Queue:
    return Queue(redis, clock=lambda: NOW)


async def test_a_webhook_becomes_a_job_and_an_entry(redis: ArqRedis) -> None:
    assert await queue_on(redis).accept(webhook()) is EnqueueResult.QUEUED

    assert await redis.zrange(WINDOW.queue, 0, -1, withscores=True) == [(b"window:abc123:250", (NOW - 1) * 1000)]
    job = json.loads(await redis.get("arq:job:window:abc123:250") or b"")
    assert job == {"t": None, "f": "window", "a": ["abc123", 250], "k": {}, "et": int(NOW * 1000)}
    assert await redis.ttl("arq:job:window:abc123:250") == -1, "a job must outlive any outage"
    entry = await Ledger(redis).get("abc123", 250)
    assert entry == Entry(
        "abc123",
        250,
        source="webhook",
        webhook_id="msg_1",
        announced_at=NOW - 1,
        times={Stage.WEBHOOK_SENT: NOW - 1, Stage.RECEIVED: NOW - 0.5, Stage.QUEUED: NOW},
    )


async def test_a_second_webhook_for_the_same_order_changes_nothing(redis: ArqRedis) -> None:
    queue = queue_on(redis)
    await queue.accept(webhook())
    before = {key: await redis.dump(key) for key in await redis.keys("*")}

    assert await queue.accept(webhook()) is EnqueueResult.DUPLICATE

    assert {key: await redis.dump(key) for key in await redis.keys("*")} == before


@pytest.mark.parametrize("status", [status for status in Status if status.is_final])
async def test_a_webhook_for_a_finished_order_is_a_duplicate(redis: ArqRedis, status: Status) -> None:
    await Transitions(redis).finish(Entry("abc123", 250, status=status))

    assert await queue_on(redis).accept(webhook()) is EnqueueResult.DUPLICATE

    assert await redis.zcard(WINDOW.queue) == 0


async def test_an_order_in_recovery_is_not_queued_again(redis: ArqRedis) -> None:
    await Transitions(redis, clock=lambda: NOW).to_recovery(Entry("abc123", 250), 5.0)

    assert await queue_on(redis).accept(webhook()) is EnqueueResult.DUPLICATE

    assert await redis.zrange(RECOVERY.queue, 0, -1, withscores=True) == [(b"recover:abc123:250", (NOW + 5) * 1000)]


async def test_the_order_of_a_late_webhook_goes_to_recovery(redis: ArqRedis) -> None:
    await queue_on(redis).accept(webhook(created_at=NOW - 60))

    assert await redis.zcard(WINDOW.queue) == 0
    assert await redis.zrange(RECOVERY.queue, 0, -1) == [b"recover:abc123:250"]


async def test_an_old_order_does_not_overtake_orders_already_in_recovery(redis: ArqRedis) -> None:
    queue, transitions = queue_on(redis), Transitions(redis, clock=lambda: NOW - 5)
    await transitions.to_recovery(Entry("abc123", 1), 0.0)

    await queue.enqueue("abc123", 2, source="backfill", created_at=NOW - 86_400)

    assert await redis.zrange(RECOVERY.queue, 0, -1, withscores=True) == [
        (b"recover:abc123:1", (NOW - 5) * 1000),
        (b"recover:abc123:2", NOW * 1000),
    ]


async def test_orders_are_queued_by_their_creation_time(redis: ArqRedis) -> None:
    queue = queue_on(redis)
    for order_id, age in ((1, 2), (2, 7), (3, 4)):
        await queue.accept(webhook(order_id, created_at=NOW - age))

    assert await redis.zrange(WINDOW.queue, 0, -1) == [b"window:abc123:2", b"window:abc123:3", b"window:abc123:1"]


async def test_an_order_with_a_creation_time_in_the_future_is_due_now(redis: ArqRedis) -> None:
    await queue_on(redis).accept(webhook(created_at=NOW + 7))

    assert await redis.zscore(WINDOW.queue, "window:abc123:250") == NOW * 1000


async def test_an_order_of_a_webhook_without_a_time_is_due_since_the_webhook_came(redis: ArqRedis) -> None:
    await queue_on(redis).accept(webhook(created_at=None))

    assert await redis.zscore(WINDOW.queue, "window:abc123:250") == (NOW - 0.5) * 1000


async def test_a_status_change_queues_only_an_order_that_waits_for_it(redis: ArqRedis) -> None:
    queue, transitions = queue_on(redis), Transitions(redis, clock=lambda: NOW)
    assert await queue.accept(webhook(1, status=True)) is EnqueueResult.IGNORED

    await transitions.await_status(Entry("abc123", 2))
    assert await queue.accept(webhook(2)) is EnqueueResult.DUPLICATE
    assert await queue.accept(webhook(2, status=True)) is EnqueueResult.QUEUED
    assert await redis.ttl(entry_key("abc123", 2)) == -1


async def test_a_status_change_just_before_the_order_waits_is_not_lost(redis: ArqRedis) -> None:
    queue, transitions = queue_on(redis), Transitions(redis, clock=lambda: NOW)
    await queue.accept(webhook())
    assert await queue.accept(webhook(status=True)) is EnqueueResult.IGNORED

    entry = await Ledger(redis).get("abc123", 250)
    assert entry is not None
    assert not await transitions.await_status(entry), "a new attempt must begin"
    assert await transitions.await_status(entry), "but only once"


async def test_a_retry_starts_over_and_keeps_what_was_sent(redis: ArqRedis) -> None:
    queue, transitions = queue_on(redis), Transitions(redis, clock=lambda: NOW)
    await transitions.finish(Entry("abc123", 250, status=Status.FAILED, reason="po_number", checks=3, attempts=4))

    assert await queue.retry("abc123", 250) is EnqueueResult.QUEUED

    entry = await Ledger(redis).get("abc123", 250)
    assert entry is not None
    assert (entry.status, entry.reason, entry.start_over, entry.attempts) == (Status.QUEUED, None, True, 4)
    assert await redis.zcard(RECOVERY.queue) == 1


async def test_two_hundred_concurrent_webhooks_for_one_order_make_one_job(redis_url: str) -> None:
    async with connect(redis_url) as redis:
        queue = queue_on(redis)
        answers = await asyncio.gather(*(queue.accept(webhook()) for _ in range(200)))

        assert sorted(answers) == [EnqueueResult.DUPLICATE] * 199 + [EnqueueResult.QUEUED]
        assert await redis.zcard(WINDOW.queue) == 1


async def test_counts_are_of_live_workers_and_waiting_jobs(redis: ArqRedis) -> None:
    queue = queue_on(redis)
    for order_id in range(1, 4):
        await queue.accept(webhook(order_id))
    await queue.heartbeat("a", 1)
    await queue.heartbeat("b", 0)
    assert await queue.counts() == Counts(workers=2, queued=2)

    await redis.delete("enrich:workers:b")
    assert await queue.counts() == Counts(workers=1, queued=2), "a worker without a heartbeat is dead"
    await queue.remove_heartbeat("a")
    assert await queue.counts() == Counts(workers=0, queued=3)


async def test_a_webhook_survives_a_short_outage_of_redis(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(orders_queue, "PATIENCE_S", 30.0)
    async with running_redis() as server, connect(server.url) as redis:
        queue = queue_on(redis)
        await queue.accept(webhook(1))
        await append_only_file_is_written(redis)
        server.kill()
        accepting = asyncio.create_task(queue.accept(webhook(2)))
        await server.restart()

        assert await accepting is EnqueueResult.QUEUED
        assert await redis.zcard(WINDOW.queue) == 2, "the webhook acknowledged before is still there"


async def append_only_file_is_written(redis: ArqRedis) -> None:
    """Wait until the kernel has all that Redis has accepted, so that a kill -9 of Redis loses nothing.

    With ``appendfsync everysec`` Redis delays writes to its file while an fsync runs, for up to two seconds.
    """
    async with asyncio.timeout(30):
        while True:
            state = await redis.info("persistence")
            if not state["aof_buffer_length"] and not state["aof_pending_bio_fsync"]:
                return
            await asyncio.sleep(0.005)


async def test_a_dead_redis_is_queue_unavailable() -> None:
    async with running_redis() as server, connect(server.url) as redis:
        queue = queue_on(redis)
        server.kill()
        with pytest.raises(QueueUnavailable):
            await queue.accept(webhook())


async def test_a_hung_redis_is_queue_unavailable() -> None:
    async with running_redis() as server, connect(server.url) as redis:
        queue = queue_on(redis)
        await queue.accept(webhook(1))
        server.pause()
        with pytest.raises(QueueUnavailable):
            await queue.accept(webhook(2))
        server.resume()
        assert await queue.accept(webhook(2)) in (EnqueueResult.QUEUED, EnqueueResult.DUPLICATE)


@pytest.mark.parametrize(("setting", "normal"), [(("min-replicas-to-write", 1), 0), (("maxmemory", 1), 0)], ids=str)
async def test_a_webhook_survives_a_redis_that_cannot_write_for_a_moment(
    redis: ArqRedis, setting: tuple[str, int], normal: int
) -> None:
    await redis.config_set(*setting)
    try:
        accepting = asyncio.create_task(queue_on(redis).accept(webhook()))
        await asyncio.sleep(0.3)
        assert not accepting.done(), "BigCommerce would repeat the webhook only after the window"
    finally:
        await redis.config_set(setting[0], normal)

    assert await accepting is EnqueueResult.QUEUED


async def test_an_order_requeued_in_its_first_second_gets_a_job_with_another_due_time(
    redis: ArqRedis,
) -> None:
    """A worker that still closes the previous job recognizes it by its due time."""
    queue, transitions = queue_on(redis), Transitions(redis, clock=lambda: NOW)
    await queue.accept(webhook(created_at=NOW - 1))
    before = await redis.zscore(WINDOW.queue, "window:abc123:250")
    entry, _ = await transitions.begin_attempt("abc123", 250)
    await transitions.await_status(entry)

    await queue.accept(webhook(created_at=NOW - 1, status=True))

    assert await redis.zscore(WINDOW.queue, "window:abc123:250") == NOW * 1000 != before
