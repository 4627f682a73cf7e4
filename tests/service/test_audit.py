"""Who did what: kept on the orders, logged once by whichever worker comes first."""

import asyncio
import os

import pytest
from arq import ArqRedis
from structlog.testing import capture_logs

from service import audit
from service.audit import Action, actions_of, log_recorded, record
from service.redis.client import connect

AT = 1_768_078_800.0


def action(*orders: int, at: float = AT, **changes: str) -> Action:
    return Action(**{"who": "ana", "action": "orders retry", "store": "abc123", **changes}, orders=orders, at=at)


@pytest.fixture
async def redis(redis_url: str):  # type: ignore[no-untyped-def]
    async with connect(redis_url) as client:
        yield client


async def test_each_order_keeps_its_last_actions_the_newest_first(redis: ArqRedis) -> None:
    for number in range(audit.KEPT_PER_ORDER + 5):
        await record(redis, action(1, 2, at=AT + number))
    await record(redis, action(2, action="orders set", detail="po_number"))

    kept = await actions_of(redis, "abc123", 1)
    assert [each.at - AT for each in kept] == [24.0 - number for number in range(20)]
    assert (await actions_of(redis, "abc123", 2))[0].detail == "po_number"
    assert await actions_of(redis, "abc123", 3) == []
    assert await redis.ttl("enrich:actions:abc123:1") > 89 * 86_400


async def test_an_action_is_logged_once_however_many_workers_there_are(redis: ArqRedis) -> None:
    await record(redis, action(*range(1, 251)))
    with capture_logs() as lines:
        await asyncio.gather(*(log_recorded(redis) for _ in range(4)))

    assert lines == [
        {
            "log_level": "info",
            "event": "action",
            "store": "abc123",
            "who": "ana",
            "action": "orders retry",
            "orders": list(range(1, 101)),
            "orders_count": 250,
            "detail": "",
            "at": "2026-01-10T21:00:00.000Z",
        }
    ]


async def test_actions_wait_for_a_worker_in_a_list_that_does_not_grow_for_ever(
    redis: ArqRedis, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(audit, "MAX_UNLOGGED", 3)
    for number in range(5):
        await record(redis, action(at=AT + number))
    with capture_logs() as lines:
        await log_recorded(redis)

    assert [line["at"][17:19] for line in lines] == ["02", "03", "04"]


async def test_what_another_version_wrote_is_passed_over(redis: ArqRedis) -> None:
    await redis.rpush("enrich:actions", '{"who": "ana", "new": 1}', "[", action().to_json())  # type: ignore[misc]
    with capture_logs() as lines:
        await log_recorded(redis)

    assert len(lines) == 1


async def test_without_redis_the_process_logs_the_action_itself() -> None:
    with capture_logs() as lines:
        await record(None, action())

    assert [line["event"] for line in lines] == ["action"]


def test_the_user_is_that_of_the_system_and_not_of_a_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("USER", "somebody")
    monkeypatch.setenv("LOGNAME", "somebody")
    monkeypatch.delenv("SUDO_USER", raising=False)
    assert "somebody" not in audit.system_user()
    monkeypatch.setenv("SUDO_USER", "ana")
    assert audit.system_user().startswith("ana (sudo ")
    monkeypatch.delenv("SUDO_USER")
    monkeypatch.setattr(os, "getuid", lambda: 3_999_999_999)
    assert audit.system_user() == "uid 3999999999"


def test_people_read_words_and_scripts_names() -> None:
    assert audit.in_words("orders set") == "set values by hand"
    assert audit.in_words("retry_group") == "retried it with its group"
    assert [name for name in audit.ActionName if "_" in audit.in_words(name)] == []
    # Of another version of this program.
    assert audit.in_words("made_it_blue") == "made it blue"


@pytest.mark.parametrize("source", ["retry", "assign", "reassign"])
def test_commands_that_name_their_action_by_its_source_have_one(source: str) -> None:
    assert audit.ActionName(f"orders {source}")
