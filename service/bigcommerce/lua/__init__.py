# mypy: disable-error-code="empty-body"
"""The scripts of a store's quota budget. Each is one step in Redis; its Lua text lies beside this file."""

from redis.asyncio import Redis

from service.redis.scripts import Arg, Key, OptionalKey, redis_script


@redis_script
async def spend_budget(
    redis: Redis,
    *,
    budget: Key,
    unless: OptionalKey,
    now_ms: Arg[str | None],
    keep_ms: Arg[int],
    first_limit: Arg[int],
    first_length_ms: Arg[int],
    reserve_percent: Arg[int],
    calls: Arg[int],
) -> tuple[int, ...]:
    """Take calls off a budget: granted (1, 0 or -1), wait (ms), then the window as ``correct_budget`` returns it."""


@redis_script
async def correct_budget(
    redis: Redis,
    *,
    budget: Key,
    now_ms: Arg[str | None],
    keep_ms: Arg[int],
    first_limit: Arg[int],
    first_length_ms: Arg[int],
    spent_window: Arg[int],
    reported_left: Arg[int],
    reported_reset_ms: Arg[int],
    reported_limit: Arg[int | None],
    reported_length_ms: Arg[float | None],
) -> tuple[int, ...]:
    """Correct a budget by an answer's headers: the window's id, left, resets in (ms), length (ms), guessed (1 or 0)."""
