"""What is remembered of a store's webhooks between looks, in Redis. Errors are Redis's own."""

import json
from collections.abc import Iterable
from dataclasses import astuple, dataclass
from typing import Self

from redis.asyncio import Redis

from service.hooks.problems import HookProblem, ProblemKind
from service.orders.state.keys import hook_key


@dataclass(frozen=True, slots=True)
class HookState:
    """What was known before a look. ``touched_at`` is when the webhooks were last touched, to keep them alive."""

    destination: str | None
    troubles: frozenset[HookProblem]
    touched_at: float | None

    @classmethod
    async def read(cls, redis: Redis, store: str) -> Self:
        """What is known of the store's webhooks."""
        stored = await redis.hgetall(hook_key(store))  # type: ignore[misc]
        destination, touched = stored.get(b"destination"), stored.get(b"touched_at")
        return cls(
            None if destination is None else destination.decode(),
            parse_problems(stored.get(b"troubles")),
            None if touched is None else float(touched),
        )


async def has_delivery_problem(redis: Redis, store: str) -> bool:
    """Whether something was wrong, at the guardian's last look, that keeps webhooks away."""
    stored = await redis.hget(hook_key(store), "troubles")  # type: ignore[misc]
    return any(trouble.blocks_delivery for trouble in parse_problems(stored))


async def save_hook_state(
    redis: Redis, store: str, destination: str | None, troubles: Iterable[HookProblem], touched_at: float | None
) -> None:
    """Keep what a look has found. A destination that is known already stays."""
    stored = {"troubles": json.dumps([astuple(trouble) for trouble in troubles])}
    if touched_at is not None:
        stored["touched_at"] = f"{touched_at:.3f}"
    async with redis.pipeline(transaction=True) as pipe:
        if destination is not None:
            pipe.hsetnx(hook_key(store), "destination", destination)
        pipe.hset(hook_key(store), mapping=stored)
        await pipe.execute()


async def set_destination(redis: Redis, store: str, destination: str) -> None:
    """From now on the webhooks that go to ``destination`` are ours: somebody has registered them there."""
    await redis.hset(hook_key(store), "destination", destination)  # type: ignore[misc]


def parse_problems(stored: bytes | None) -> frozenset[HookProblem]:
    """Troubles as they were remembered; those of another version are forgotten."""
    try:
        return frozenset(HookProblem(ProblemKind(kind), str(what)) for kind, what in json.loads(stored or b"[]"))
    except (TypeError, ValueError):
        return frozenset()
