# mypy: disable-error-code="empty-body"
"""The scripts of retry jobs. Each is one step in Redis; its Lua text lies beside this file."""

from collections.abc import Mapping

from redis.asyncio import Redis

from service.redis.scripts import Arg, Key, Rest, redis_script


@redis_script
async def start_retry_job(
    redis: Redis,
    *,
    active: Key,
    job: Key,
    orders: Key,
    running: Key,
    recent: Key,
    job_id: Arg[str],
    name: Arg[str],
    order_ids: Arg[str],
    keep_ms: Arg[int],
    fields: Rest[Mapping[str, str]],
) -> str:
    """Start a retry job, unless one of the same group runs already: the id of the one that runs."""


@redis_script
async def end_retry_job(
    redis: Redis,
    *,
    active: Key,
    job: Key,
    orders: Key,
    results: Key,
    running: Key,
    lease: Key,
    owner: Arg[str],
    job_id: Arg[str],
    name: Arg[str],
    state: Arg[str],
    why: Arg[str],
    keep_ms: Arg[int],
) -> int:
    """End a job: 1, or 0 when this process no longer has its lease: nothing was done."""


@redis_script
async def recent_retry_jobs(
    redis: Redis, *, recent: Key, most: Arg[int], prefix: Arg[str]
) -> tuple[tuple[str, tuple[str, ...], str | None, tuple[str, ...]], ...]:
    """The newest retry jobs of a store: of each its id, its fields, its orders and its results."""
