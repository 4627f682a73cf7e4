# mypy: disable-error-code="empty-body"
"""The scripts of a leased worker. Each is one step in Redis; its Lua text lies beside this file."""

from collections.abc import Mapping, Sequence

from redis.asyncio import Redis

from service.redis.scripts import Arg, Key, OptionalKey, Rest, redis_script


@redis_script
async def claim_jobs(
    redis: Redis,
    *,
    queue: Key,
    now_ms: Arg[int | None],
    owner: Arg[str],
    lease_ms: Arg[int],
    limit: Arg[int],
    lease_prefix: Arg[str],
    job_prefix: Arg[str],
    tries_prefix: Arg[str],
    store_limit: Arg[int],
    read_limit: Arg[int],
    running: Rest[Sequence[str]],
) -> tuple[tuple[tuple[str, str, str, int], ...], tuple[str, ...]]:
    """Lease due jobs that no worker runs: id, due time, body and tries of each; and the ids that were removed."""


@redis_script
async def queues_to_poll(redis: Redis, *, now_ms: Arg[int | None], running: Rest[Mapping[str, int]]) -> tuple[str, ...]:
    """Those of the queues that have more due jobs than the process has ``running``."""


@redis_script
async def renew_leases(
    redis: Redis,
    *,
    queue: Key,
    owner: Arg[str],
    lease_ms: Arg[int],
    lease_prefix: Arg[str],
    due_ms_by_job: Rest[Mapping[str, int]],
) -> tuple[str, ...]:
    """Renew leases; for each job that is no longer ours its id and "taken" or "gone"."""


@redis_script
async def finish_job(
    redis: Redis,
    *,
    lease: Key,
    job: Key,
    tries: Key,
    queue: Key,
    work_list: OptionalKey,
    now_ms: Arg[int | None],
    owner: Arg[str],
    job_id: Arg[str],
    due_ms: Arg[int],
    is_done: Arg[bool],
    delay_ms: Arg[int | None],
) -> int:
    """Close or requeue a job; 0 when it is no longer the job that was claimed."""
