"""A store whose orders stopped waiting for late values."""

from pathlib import Path

import pytest
from redis.asyncio import Redis

from service.checks.findings import Finding, Level
from service.checks.rules.late_values import check_late_values
from service.orders.state.keys import late_misses_key
from service.orders.state.worklists.late_orders import MAX_MISSES
from service.redis.client import connect
from tests.fakes.stacks.checks import configuration

RULE = 'from = "metafields.checkout.po_number"'


async def check(redis: Redis, tmp_path: Path, *, keys: str = "", rule: str = RULE) -> list[Finding]:
    text = f"""
[stores.sandbox]
access_token = "sandbox-access-token"
client_secret = "sandbox-client-secret"
{keys}
[stores.sandbox.po_number]
{rule}
"""
    return await check_late_values(redis, configuration(tmp_path, text).stores["sandbox"])


@pytest.mark.parametrize("misses", [MAX_MISSES, MAX_MISSES + 7])
async def test_a_store_that_stopped_waiting_is_a_warning(redis_url: str, tmp_path: Path, misses: int) -> None:
    async with connect(redis_url) as redis:
        await redis.set(late_misses_key("sandbox"), misses)
        (finding,) = await check(redis, tmp_path)
    assert (finding.level, finding.store, finding.subject) == (Level.WARNING, "sandbox", "late values")
    assert finding.message == (
        "the last 50 orders that waited for po_number got no value. Now only one order in 20 waits."
    )
    assert "`wait = false`" in finding.cure


async def test_a_store_that_still_waits_is_no_finding(redis_url: str, tmp_path: Path) -> None:
    async with connect(redis_url) as redis:
        assert await check(redis, tmp_path) == []
        await redis.set(late_misses_key("sandbox"), MAX_MISSES - 1)
        assert await check(redis, tmp_path) == []


@pytest.mark.parametrize(
    ("keys", "rule"),
    [
        ('late_values = "0s"', RULE),
        ("", f"{RULE}\nwait = false"),
        ("", 'from = "order.customer_message"'),
    ],
)
async def test_a_store_without_rules_that_wait_is_no_finding(
    redis_url: str, tmp_path: Path, keys: str, rule: str
) -> None:
    async with connect(redis_url) as redis:
        await redis.set(late_misses_key("sandbox"), MAX_MISSES)
        assert await check(redis, tmp_path, keys=keys, rule=rule) == []


async def test_a_redis_that_does_not_answer_is_no_finding(tmp_path: Path) -> None:
    async with connect("redis://127.0.0.1:1/0") as redis:
        assert await check(redis, tmp_path) == []
