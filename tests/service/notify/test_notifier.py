"""From a state in Redis to a message that arrives: once, in order, and again until it does."""

import asyncio
from dataclasses import replace

import pytest
from structlog.testing import capture_logs

from service.notify.notifier import Timing
from service.notify.persistence import Persistence
from service.orders.failures.muted_groups import MutedGroups
from service.orders.failures.unmuted_failures import UnmutedFailures
from service.orders.state.keys import notify_queue_key
from service.process.task_cancellation import cancel_and_wait
from tests.fakes.notify.messages import NASTY, a_message
from tests.fakes.notify.notify_stack import BEGAN, ENDED, FAILED_FOR_S, NotifyStack, configuration


async def test_one_message_when_it_begins_and_one_when_it_ends_however_many_orders_fail(stack: NotifyStack) -> None:
    worker = stack.notifier()
    for order_id in range(1, 31):
        await stack.fail(order_id, "Cost Center" if order_id % 3 else "po_number")
    with capture_logs() as logs:
        await worker.watch_once()
        await stack.pass_time(3600, worker, step=150)
        await worker.deliver_once()
        for order_id in range(1, 31):
            await stack.repair(order_id)
        await stack.pass_time(600, worker, step=150)
        await worker.deliver_once()

    assert stack.headlines == [BEGAN, ENDED]
    text = stack.receiver.requests[0].json["blocks"][1]["text"]["text"]
    assert text.startswith("abc123: 30 failed orders wait. Reasons: Cost Center (20), po_number (10).")
    assert [line["event"] for line in logs] == ["alert_began", "notification_sent", "alert_ended", "notification_sent"]
    assert logs[0] == {
        "event": "alert_began",
        "log_level": "warning",
        "alert": "FailedOrdersWait",
        "store": "abc123",
        "summary": "30 failed orders wait. Reasons: Cost Center (20), po_number (10).",
    }
    assert stack.counted == [("slack", "sent"), ("slack", "sent")]


async def test_an_order_that_nobody_mends_does_not_hide_later_ones(stack: NotifyStack) -> None:
    worker = await stack.begin_alert()
    await stack.pass_time(7200, worker, step=600)
    await stack.fail(2, "Cost Center")
    await stack.fail(3, "Cost Center")
    with capture_logs() as logs:
        await stack.pass_time(FAILED_FOR_S + 100, worker, step=100)
    await worker.deliver_once()
    assert stack.headlines == [BEGAN, "WARNING: More orders have failed: abc123"]
    text = stack.receiver.requests[1].json["blocks"][1]["text"]["text"]
    assert text.startswith(
        "abc123: 3 failed orders wait. 2 have failed since the last message. Reasons: Cost Center (2)."
    )
    assert [line["event"] for line in logs] == ["alert_has_more"]


async def test_a_muted_group_is_not_told_of_and_ends_its_alert(stack: NotifyStack) -> None:
    worker = await stack.begin_alert()
    await worker.deliver_once()
    (group,) = {failure.group for failure in await UnmutedFailures(stack.redis).failed("abc123")}
    await MutedGroups(stack.redis).mute("abc123", group, "ana", 3600.0)
    await stack.fail(2)
    await stack.pass_time(900, worker, step=150)
    await worker.deliver_once()
    assert stack.headlines == [BEGAN, ENDED]
    await stack.fail(3, "Cost Center")
    await stack.pass_time(900, worker, step=150)
    await worker.deliver_once()
    assert stack.headlines == [BEGAN, ENDED, BEGAN]
    text = stack.receiver.requests[2].json["blocks"][1]["text"]["text"]
    assert text.startswith("abc123: 1 failed order waits. Reasons: Cost Center (1).")


async def test_an_order_that_is_repaired_soon_is_not_told(stack: NotifyStack) -> None:
    worker = stack.notifier()
    await stack.fail(1)
    await worker.watch_once()
    await stack.pass_time(FAILED_FOR_S - 15, worker)
    await stack.repair(1)
    await stack.pass_time(900, worker, step=150)
    await worker.deliver_once()
    assert stack.headlines == []


async def test_what_comes_and_goes_sends_few_messages(stack: NotifyStack) -> None:
    worker = stack.notifier()
    for _ in range(20):
        await stack.fail(1)
        await stack.pass_time(600, worker, step=200)
        await stack.repair(1)
        await stack.pass_time(600, worker, step=200)
    await worker.deliver_once()
    # Twenty times in seven hours. At first each time is told; soon it must be quiet for longer than it is.
    # Each time is a new failure, told of with pauses that grow.
    assert stack.headlines == [BEGAN, ENDED, BEGAN, *["WARNING: More orders have failed: abc123"] * 6]


async def test_several_workers_send_it_once(stack: NotifyStack) -> None:
    workers = [stack.notifier() for _ in range(4)]
    await stack.fail(1)
    for _ in range(12):
        await asyncio.gather(*(worker.watch_once() for worker in workers))
        stack.now += 30
        await asyncio.gather(*(worker.deliver_once() for worker in workers))
    assert stack.headlines == [BEGAN]


async def test_only_one_worker_looks_at_a_time(stack: NotifyStack) -> None:
    first, second = stack.notifier(), stack.notifier()
    assert (await first.watch_once(), await second.watch_once(), await first.watch_once()) == (True, False, True)


async def test_a_worker_that_stops_lets_another_look_at_once(stack: NotifyStack) -> None:
    first, second = stack.notifier(), stack.notifier()
    watching = asyncio.create_task(first.watch())
    async with asyncio.timeout(30):
        while not await stack.redis.exists("enrich:notify:lease:watch"):
            assert not watching.done()
    assert await second.watch_once() is False
    await cancel_and_wait([watching])
    assert await second.watch_once() is True


async def test_a_worker_whose_lease_has_ended_cannot_tell_it_a_second_time(stack: NotifyStack) -> None:
    persistence = Persistence(stack.redis)
    read = await persistence.alerts()
    message = a_message()
    assert await persistence.record(read.version, {}, [message], ["slack"]) == []
    assert await persistence.record(read.version, {}, [message], ["slack"]) is None
    assert len(await persistence.queue()) == 1


async def test_a_worker_that_read_the_queue_before_another_delivered_does_not_send_it_again(
    stack: NotifyStack, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = await stack.begin_alert(), stack.notifier()
    hold_lease = second._delivery._persistence.hold_lease

    async def late(name: str, owner: str, *, ttl_s: float) -> bool:
        await first.deliver_once()
        return await hold_lease(name, owner, ttl_s=ttl_s)

    monkeypatch.setattr(second._delivery._persistence, "hold_lease", late)
    await second.deliver_once()
    assert stack.headlines == [BEGAN]


async def test_of_many_failures_the_newest_say_why(stack: NotifyStack) -> None:
    worker = stack.notifier()
    for order_id in range(60):
        await stack.fail(order_id)
    await worker.watch_once()
    await stack.pass_time(FAILED_FOR_S, worker, step=100)
    await worker.deliver_once()
    text = stack.receiver.requests[0].json["blocks"][1]["text"]["text"]
    assert text.startswith("abc123: 60 failed orders wait. Reasons of the newest 50: po_number (50).")


async def test_a_worker_that_dies_before_it_sends_leaves_the_message_to_another(stack: NotifyStack) -> None:
    await stack.begin_alert()
    await stack.notifier().deliver_once()
    assert stack.headlines == [BEGAN]


async def test_a_worker_that_dies_while_it_sends_is_followed_by_another(stack: NotifyStack) -> None:
    timing = Timing(send_lease_s=600.0)
    stack.receiver.answers = [0]
    dying = await stack.begin_alert(stack.notifier(timing))
    sending = asyncio.create_task(dying.deliver_once())
    await stack.receiver.wait_for(1)
    other = stack.notifier(timing)
    await other.deliver_once()
    assert len(stack.receiver.requests) == 1  # the dying one still has the lease
    await stack.redis.set("enrich:notify:lease:send:slack", "the dead worker", px=200)
    async with asyncio.timeout(10):
        while await Persistence(stack.redis).queue():
            await other.deliver_once()
    assert stack.headlines == [BEGAN, BEGAN]
    sending.cancel()
    await asyncio.gather(sending, return_exceptions=True)


async def test_stores_limits_what_is_told(stack: NotifyStack) -> None:
    stack.configuration = configuration(f'slack = "{stack.receiver.url}/"\nstores = ["other"]', "abc123", "other")
    worker = stack.notifier()
    await stack.fail(1)
    await stack.fail(2, store="other")
    await worker.watch_once()
    await stack.pass_time(400, worker)
    await worker.deliver_once()
    assert stack.headlines == ["WARNING: Failed orders wait for a person: other"]


async def test_a_store_that_is_gone_is_forgotten_without_a_message(stack: NotifyStack) -> None:
    worker = await stack.begin_alert()
    stack.configuration = configuration(f'slack = "{stack.receiver.url}/"', "other")
    await stack.pass_time(900, worker, step=150)
    await worker.deliver_once()
    assert stack.headlines == [BEGAN]
    assert (await Persistence(stack.redis).alerts()).states == {}


async def test_text_of_others_arrives_as_text(stack: NotifyStack) -> None:
    worker = stack.notifier()
    await stack.fail(1, NASTY)
    await worker.watch_once()
    await stack.pass_time(FAILED_FOR_S, worker)
    await worker.deliver_once()
    blocks = stack.receiver.requests[0].json["blocks"]
    assert blocks[1]["text"]["type"] == "plain_text"
    assert NASTY[:40] in blocks[1]["text"]["text"]


async def test_a_worker_without_the_table_does_nothing(stack: NotifyStack) -> None:
    stack.configuration = configuration("")
    worker = stack.notifier()
    await stack.fail(1)
    assert await worker.watch_once() is False
    await worker.deliver_once()
    assert await stack.redis.keys("enrich:notify:*") == []


async def test_a_message_that_this_version_cannot_read_is_removed(stack: NotifyStack) -> None:
    await stack.redis.zadd(notify_queue_key(), {"{": 1, '{"channel": "slack", "message": {}}': 2})
    worker = await stack.begin_alert()
    await worker.deliver_once()
    assert stack.headlines == [BEGAN]
    assert await stack.redis.zcard(notify_queue_key()) == 0


async def test_an_unexpected_error_is_logged_and_does_not_end_the_loop(
    stack: NotifyStack, monkeypatch: pytest.MonkeyPatch
) -> None:
    worker = stack.notifier(replace(Timing(), watch_s=0.01))
    runs = 0
    again = asyncio.Event()

    async def fails() -> bool:
        nonlocal runs
        runs += 1
        if runs > 2:
            again.set()
        raise ValueError("x")

    monkeypatch.setattr(worker, "watch_once", fails)
    with capture_logs() as logs:
        watching = asyncio.create_task(worker.watch())
        async with asyncio.timeout(10):
            await again.wait()
        watching.cancel()
        await asyncio.gather(watching, return_exceptions=True)
    assert {(line["event"], line["place"]) for line in logs} == {("internal_error", "notifications")}
