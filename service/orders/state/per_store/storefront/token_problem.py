"""Why a store's storefront tokens could not be fetched lately, for ``enrich check``."""

from dataclasses import dataclass

from redis.asyncio import Redis

from service.orders.state.keys import token_problem_key

KEEP_S = 3600
"""What has not happened again for an hour is over."""


@dataclass(frozen=True, slots=True)
class TokenProblem:
    """The last problem of one store, as a sentence. Errors are Redis's own."""

    redis: Redis
    store: str

    async def read(self) -> str | None:
        """The problem, or None."""
        stored = await self.redis.get(token_problem_key(self.store))
        return None if stored is None else stored.decode(errors="replace")

    async def note(self, problem: str) -> None:
        """Note a problem in place of an earlier one."""
        await self.redis.set(token_problem_key(self.store), problem, ex=KEEP_S)

    async def clear(self) -> None:
        """It is over."""
        await self.redis.delete(token_problem_key(self.store))
