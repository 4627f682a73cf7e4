"""The hook monitor's state of a store's webhooks, kept in Redis. Errors are Redis's own."""

import json
from collections.abc import Iterable
from dataclasses import astuple, dataclass
from typing import Self

from redis.asyncio import Redis

from service.hooks.problems import HookProblem, ProblemKind
from service.orders.state.keys import hook_key


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
            parse_problems(stored.get(b"troubles")),
            None if touched is None else float(touched),
        )


async def has_delivery_problem(redis: Redis, store: str) -> bool:
    """Whether the hook monitor's last run found a problem that blocks delivery."""
    stored = await redis.hget(hook_key(store), "troubles")  # type: ignore[misc]
    return any(problem.blocks_delivery for problem in parse_problems(stored))


async def read_checked_at(redis: Redis, store: str) -> float | None:
    """When the hook monitor's last run that succeeded began, on our clock."""
    stored = await redis.hget(hook_key(store), "checked_at")  # type: ignore[misc]
    return None if stored is None else float(stored)


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
    stored = {"troubles": json.dumps([astuple(problem) for problem in problems]), "checked_at": f"{checked_at:.3f}"}
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


def parse_problems(stored: bytes | None) -> frozenset[HookProblem]:
    """Parse saved problems; none when another version of this service saved them in another form."""
    try:
        return frozenset(HookProblem(ProblemKind(kind), str(what)) for kind, what in json.loads(stored or b"[]"))
    except (TypeError, ValueError):
        return frozenset()
