"""Checks of messages that wait."""

from arq import ArqRedis

from service.checks import Finding, Level, check_notifications
from service.notify.persistence import Pause, Persistence
from service.redis.client import connect
from tests.fakes.notify.messages import a_message


async def test_a_channel_that_takes_no_messages_is_a_warning(redis: ArqRedis) -> None:
    persistence = Persistence(redis)
    assert await check_notifications(redis) == []
    await persistence.record(0, {}, [a_message(), a_message(id="msg_2")], ["slack", "mail"])
    assert await check_notifications(redis) == []  # nobody has tried yet
    await persistence.set_pause("slack", Pause(4, 1.0, "digest", "404 no_service"))
    assert await check_notifications(redis) == [
        Finding(
            Level.WARNING,
            None,
            "[notify] slack",
            "2 messages could not be delivered yet: 404 no_service.",
            "The workers try again. `enrich notify test` tries the channel now.",
        )
    ]


async def test_a_redis_that_does_not_answer_is_reported_elsewhere() -> None:
    async with connect("redis://127.0.0.1:9/0") as nobody:
        assert await check_notifications(nobody) == []
