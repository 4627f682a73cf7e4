# mypy: disable-error-code="empty-body"
"""The script that spends a sign-in code. Its Lua text lies beside this file."""

from redis.asyncio import Redis

from service.redis.scripts import Arg, Key, redis_script


@redis_script
async def spend_code(redis: Redis, *, code: Key, session: Key, sessions: Key, session_id: Arg[str]) -> str:
    """Spend a sign-in code for a session, once: what the code grants, or nothing when there is no such code."""
