"""Leases: one process at a time does something, and another one may as soon as the first has died.

A lease ends by itself. Who holds one renews it well before that.
"""

from redis.asyncio import Redis

from service.redis import lua


async def hold_lease(redis: Redis, key: str, owner: str, *, ttl_ms: int) -> bool:
    """Take or renew the lease at ``key``; False while somebody else holds it. Errors are Redis's own."""
    return bool(await lua.hold_lease(redis, lease=key, owner=owner, ttl_ms=ttl_ms))


async def release_lease(redis: Redis, key: str, owner: str) -> None:
    """Give the lease back, unless it has ended already. Errors are Redis's own."""
    await lua.release_lease(redis, lease=key, owner=owner)
