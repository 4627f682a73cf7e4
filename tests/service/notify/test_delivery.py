"""What waits is delivered in order, after pauses, to the channels that there are now; or it is given up."""

import asyncio
import json

from arq import ArqRedis
from structlog.testing import capture_logs

from service.notify import delivery
from service.notify.persistence import MAX_QUEUED, Persistence
from tests.fakes.notify.http_receiver import http_receiver
from tests.fakes.notify.messages import a_message
from tests.fakes.notify.notify_stack import BEGAN, ENDED, NotifyStack, configuration
from tests.fakes.notify.smtp_server import smtp_server


async def test_what_was_not_taken_is_sent_again_with_growing_pauses_and_in_order(stack: NotifyStack) -> None:
    stack.receiver.answer = 503
    worker = await stack.begin_alert()
    with capture_logs() as logs:
        pauses = []
        for _ in range(9):
            await worker.deliver_once()
            tries = len(stack.receiver.requests)
            await worker.deliver_once()
            assert len(stack.receiver.requests) == tries  # not before the pause is over
            raw = await stack.redis.hget("enrich:notify:pauses", "slack")  # type: ignore[misc]
            pauses.append(json.loads(raw or b"")[1] - stack.now)
            stack.now += pauses[-1]
        assert pauses == [5, 10, 20, 40, 80, 160, 320, 600, 600]
        await stack.repair(1)
        await stack.pass_time(600, worker, step=150)
        stack.receiver.answer = 200
        stack.receiver.requests.clear()
        await stack.notifier().deliver_once()
    assert stack.headlines == [BEGAN, ENDED]
    assert await Persistence(stack.redis).pause("slack") is None
    postponed = [line for line in logs if line["event"] == "notification_postponed"]
    assert [line["log_level"] for line in postponed] == ["warning"] + ["debug"] * 8
    assert postponed[0] == {
        "event": "notification_postponed",
        "log_level": "warning",
        "alert": "FailedOrdersWait",
        "channel": "slack",
        "trouble": "503 ok",
        "retry_in_ms": 5000,
    }
    assert stack.counted == [*[("slack", "failed")] * 9, ("slack", "sent"), ("slack", "sent")]


async def test_a_pause_that_the_other_side_asks_for_is_kept(stack: NotifyStack) -> None:
    stack.receiver.answers = [(429, {"retry-after": "120"}, "")]
    worker = await stack.begin_alert()
    await worker.deliver_once()
    stack.now += 119
    await worker.deliver_once()
    assert len(stack.receiver.requests) == 1
    stack.now += 1
    await worker.deliver_once()
    assert len(stack.receiver.requests) == 2
    assert await Persistence(stack.redis).queue() == []


async def test_a_message_that_nobody_takes_for_a_day_is_given_up_and_logged(stack: NotifyStack) -> None:
    stack.receiver.answer = (404, {}, "no_service")
    worker = await stack.begin_alert()
    await worker.deliver_once()
    stack.now += delivery.GIVE_UP_AFTER_S + 1
    with capture_logs() as logs:
        await worker.deliver_once()
        await worker.deliver_once()
    assert logs == [
        {
            "event": "notification_dropped",
            "log_level": "error",
            "alert": "FailedOrdersWait",
            "channel": "slack",
            "reason": "404 no_service",
            "headline": BEGAN,
        }
    ]
    assert len(stack.receiver.requests) == 2
    assert stack.counted[-1] == ("slack", "dropped")


async def test_a_corrected_destination_gets_what_waits_at_once(stack: NotifyStack) -> None:
    stack.receiver.answer = 404
    worker = await stack.begin_alert()
    await worker.deliver_once()
    async with http_receiver() as right:
        stack.configuration = configuration(f'slack = "{right.url}/slack"')
        await worker.deliver_once()
        assert [request.json["text"] for request in right.requests] == [BEGAN]


async def test_a_channel_that_is_removed_gets_nothing_and_the_log_says_so(stack: NotifyStack) -> None:
    worker = await stack.begin_alert()
    stack.configuration = configuration(f'teams = "{stack.receiver.url}/teams"')
    with capture_logs() as logs:
        await worker.deliver_once()
    assert [(line["event"], line["reason"]) for line in logs] == [
        ("notification_dropped", "the channel is no longer in the stores file")
    ]
    assert stack.receiver.requests == []


async def test_a_channel_that_fails_does_not_hold_up_another(stack: NotifyStack) -> None:
    async with smtp_server() as server:
        mail = f"smtp://127.0.0.1:{server.port}?to=ops@example.com&from=enrich@example.com"
        slack = f'slack = ["{stack.receiver.url}/a", "{stack.receiver.url}/b"]'
        stack.configuration = configuration(f'{slack}\nmail = "{mail}"')
        stack.receiver.answers = [0, 500]
        worker = await stack.begin_alert()
        delivering = asyncio.create_task(worker.deliver_once())
        async with asyncio.timeout(10):
            await server.arrived.wait()
        await stack.receiver.wait_for(2)
        delivering.cancel()
        await asyncio.gather(delivering, return_exceptions=True)
    assert server.mails[0].content["Subject"] == BEGAN


async def test_no_more_than_so_many_messages_wait_and_the_oldest_go_first(redis: ArqRedis) -> None:
    persistence, dropped = Persistence(redis), []
    for number in range(MAX_QUEUED // 2 + 10):
        version = (await persistence.alerts()).version
        lost = await persistence.record(version, {}, [a_message(id=f"msg_{number}")], ["slack", "mail"])
        assert lost is not None
        dropped += [(queued.message.id, queued.channel) for queued in lost]
    assert len(await persistence.queue()) == MAX_QUEUED
    assert dropped == [(f"msg_{number}", channel) for number in range(10) for channel in ("slack", "mail")]
