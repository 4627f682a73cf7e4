"""The hook monitor's state of a store's webhooks, kept in Redis. Errors are Redis's own."""

import json
import time
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Self

from redis.asyncio import Redis

from service.hooks.problems import HookProblem, ProblemKind
from service.orders.state.job_kinds import MONITOR_HOOKS
from service.orders.state.keys import hook_key

# The hook monitor's calls must not cost a store much quota while webhooks fail for a reason that it cannot fix.
REQUEST_INTERVAL_S = 30.0


@dataclass(frozen=True, slots=True)
class HookState:
    """A store's webhooks at the last run. ``touched_at`` is when they were last updated to keep them active."""

    destination: str | None
    problems: frozenset[HookProblem]
    touched_at: float | None

    @classmethod
    async def read(cls, redis: Redis, store: str) -> Self:
        """Load the state of the store's webhooks."""
        stored = await redis.hgetall(hook_key(store))  # type: ignore[misc]
        destination, touched = stored.get(b"destination"), stored.get(b"touched_at")
        return cls(
            None if destination is None else destination.decode(),
            parse_problems(stored.get(b"troubles")) | parse_problems(stored.get(b"optional_troubles"), optional=True),
            None if touched is None else float(touched),
        )


async def has_delivery_problem(redis: Redis, store: str) -> bool:
    """Whether the hook monitor's last run found a problem that blocks delivery."""
    stored = await redis.hget(hook_key(store), "troubles")  # type: ignore[misc]
    return any(problem.blocks_delivery for problem in parse_problems(stored))


async def request_check(redis: Redis, store: str, *, missed_at: float, now: float) -> None:
    """Make the hook monitor due now, because the webhook of an order created at ``missed_at`` (our clock) is missing.

    Nothing if it has run since then, which also found what is wrong; and at most one such run in
    ``REQUEST_INTERVAL_S``, because each missing webhook requests one.
    """
    stored = await redis.hmget(hook_key(store), ["checked_at", "requested_at"])  # type: ignore[misc]
    checked_at, requested_at = (float(value or 0.0) for value in stored)
    if checked_at >= missed_at:
        return
    # A request during a run is lost when the run ends: then it is made again.
    is_open = requested_at > checked_at
    due_at = requested_at if is_open else max(now, requested_at + REQUEST_INTERVAL_S)
    async with redis.pipeline(transaction=True) as pipe:
        pipe.hset(hook_key(store), "requested_at", f"{due_at:.3f}")
        pipe.zadd(MONITOR_HOOKS.queue, {MONITOR_HOOKS.id(store): int(due_at * 1000)}, xx=True, lt=True)
        await pipe.execute()


async def request_check_now(redis: Redis, store: str) -> None:
    """Make the hook monitor due now, because a person has changed webhooks: its run shows whether that helped."""
    now = time.time()
    changed = {"requested_at": f"{now:.3f}", "changed_at": f"{now:.3f}"}
    async with redis.pipeline(transaction=True) as pipe:
        pipe.hset(hook_key(store), mapping=changed)
        pipe.zadd(MONITOR_HOOKS.queue, {MONITOR_HOOKS.id(store): int(now * 1000)}, xx=True, lt=True)
        await pipe.execute()


async def was_check_requested(redis: Redis, store: str, *, since: float, now: float) -> bool:
    """Whether the hook monitor became due by a request ``since`` a run began, which may have missed what changed."""
    requested_at = float(await redis.hget(hook_key(store), "requested_at") or 0.0)  # type: ignore[misc]
    return since < requested_at <= now


async def save_hook_state(
    redis: Redis,
    store: str,
    destination: str | None,
    problems: Iterable[HookProblem],
    touched_at: float | None,
    *,
    checked_at: float,
) -> None:
    """Save the result of a run that began at ``checked_at``. A destination that is saved already stays."""
    # Apart, so that gauges, alerts and older versions of this service see only what orders cannot do without.
    troubles: dict[bool, list[tuple[str, str]]] = {False: [], True: []}
    for problem in problems:
        troubles[problem.is_optional].append((problem.kind.value, problem.what))
    stored = {
        "troubles": json.dumps(troubles[False]),
        "optional_troubles": json.dumps(troubles[True]),
        "checked_at": f"{checked_at:.3f}",
    }
    if touched_at is not None:
        stored["touched_at"] = f"{touched_at:.3f}"
    async with redis.pipeline(transaction=True) as pipe:
        if destination is not None:
            pipe.hsetnx(hook_key(store), "destination", destination)
        pipe.hset(hook_key(store), mapping=stored)
        await pipe.execute()


async def set_destination(redis: Redis, store: str, destination: str) -> None:
    """Save ``destination`` as that of our webhooks, after they were registered there."""
    await redis.hset(hook_key(store), "destination", destination)  # type: ignore[misc]


def parse_problems(stored: str | bytes | None, *, optional: bool = False) -> frozenset[HookProblem]:
    """Parse saved problems; none when another version of this service saved them in another form."""
    try:
        read = json.loads(stored or b"[]")
        return frozenset(HookProblem(ProblemKind(kind), str(what), optional) for kind, what in read)
    except (TypeError, ValueError):
        return frozenset()
