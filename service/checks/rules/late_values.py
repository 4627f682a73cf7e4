"""Checks whether a store's orders still wait for values that come late."""

from redis.asyncio import Redis
from redis.exceptions import RedisError

from service.checks.findings import Finding, Level
from service.configuration import ConfiguredStore
from service.orders.state.worklists.late_orders import MAX_MISSES, SAMPLE, LateOrders


async def check_late_values(redis: Redis | None, configured: ConfiguredStore) -> list[Finding]:
    """A warning where the orders stopped waiting; no finding when no rule waits, or Redis does not answer."""
    store, rules = configured.store, configured.rules.late
    if redis is None or not rules or not store.late_values_s:
        return []
    try:
        is_stopped = await LateOrders(redis).is_stopped(store.hash)
    except RedisError:
        return []  # check_redis reports it
    if not is_stopped:
        return []
    message = (
        f"the last {MAX_MISSES} orders that waited for {', '.join(rules)} got no value. Now only one order in {SAMPLE}"
        " waits."
    )
    cure = "If most orders have no such value, set `wait = false` in these rules. Else find out why it comes so late."
    return [Finding(Level.WARNING, store.hash, "late values", message, cure)]
