"""The counts of accepted and refused webhooks."""

from service.orders.state.per_store.webhook_counts import HOUR_S, SPAN_S, WebhookCounts
from service.redis.client import connect

NOW = 1_700_000_000.0


async def test_counts_of_all_receivers_add_up_for_an_hour(redis_url: str) -> None:
    async with connect(redis_url) as redis:
        counts = WebhookCounts(redis)
        await counts.add({("abc123", "stale"): 9}, now=NOW - HOUR_S - SPAN_S)
        await counts.add({("abc123", "stale"): 1, ("", "wrong_path"): 2}, now=NOW - HOUR_S)
        await counts.add({("abc123", "stale"): 3, ("abc123", "accepted"): 4}, now=NOW)
        assert await counts.of_last_hour(now=NOW) == {"abc123": {"stale": 4, "accepted": 4}, "": {"wrong_path": 2}}


async def test_counts_expire_and_nothing_to_add_costs_nothing(redis_url: str) -> None:
    async with connect(redis_url) as redis:
        counts = WebhookCounts(redis)
        await counts.add({}, now=NOW)
        assert await redis.keys("*") == []
        await counts.add({("abc123", "stale"): 1}, now=NOW)
        (key,) = await redis.keys("*")
        assert HOUR_S < await redis.ttl(key) <= HOUR_S + 2 * SPAN_S
