"""Tells how many Super Admins of a store the workers know, and when they were read."""

from redis.asyncio import Redis
from redis.exceptions import RedisError

from service.checks.findings import Finding, Level, counted
from service.orders.state.clocks import redis_time
from service.orders.state.per_store.super_admins import SuperAdminBook, SuperAdmins

_SUBJECT = "Super Admins"
_COST = "Until they are read, a Create is sent for the orders of shoppers of no Company, too."
_CURE = "The workers read them at their start and once an hour: look for `periodic_task_postponed` in their log."


async def check_super_admins(redis: Redis | None, store: str) -> list[Finding]:
    """One finding: how many are known and when they were read. None when Redis does not answer."""
    if redis is None:
        return []
    try:
        known, now = await SuperAdminBook(redis).read(store), await redis_time(redis)
    except RedisError:
        return []  # check_redis reports it
    return [super_admins_finding(store, known, now)]


def super_admins_finding(store: str, known: SuperAdmins, now: float) -> Finding:
    """Say how old the list is. ``now`` is seconds since the epoch, on Redis's clock."""
    if known.read_at is None:
        # The check of the token tries to read it, too, and says what is wrong.
        return Finding(Level.OK, store, _SUBJECT, "not read yet; the workers do it at their start.")
    count, minutes = counted(len(known.customers), "Super Admin"), max(0, round((now - known.read_at) / 60))
    message = f"{count} known, read {counted(minutes, 'minute')} ago."
    if not known.is_current(now):
        return Finding(Level.WARNING, store, _SUBJECT, f"{message} {_COST}", _CURE)
    return Finding(Level.OK, store, _SUBJECT, message)
