"""Fetches storefront tokens of a store's buyers ahead: a Create that needs one has no call left to fetch it with.

Only for Company users who ordered in the last 30 days, most active first, and never for Super Admins. Each costs up to
two calls, in the lowest class of the quota.
"""

import time
from collections.abc import Callable, Iterable
from typing import Any

from redis.asyncio import Redis

from service.bigcommerce import Account, Priority, QuotaWaitingApi
from service.errors import Refused, UpstreamError
from service.orders.document.cache import Cache
from service.orders.document.loading import NoCompanyUser, read_user
from service.orders.state.clocks import Clock, redis_time
from service.orders.state.job_kinds import FETCH_TOKENS
from service.orders.state.keys import tokens_fetched_key
from service.orders.state.per_store.storefront.active_buyers import ActiveBuyer, ActiveBuyers
from service.orders.state.per_store.storefront.storefront_tokens import StorefrontTokens
from service.orders.state.per_store.storefront.token_problem import TokenProblem
from service.stores import Store
from workers.orders.buyers.buyer_activity import seed_active_buyers
from workers.periodic.periodic_task import PeriodicTask
from workers.resources import Resources

TIMEOUT_S = 15.0

PER_RUN = 20
"""So many tokens at most are fetched in a minute: a seventh of the smallest quota."""

EVERY_S = 60.0

RENEW_BEFORE_S = 600.0
"""A token is fetched anew so long before it would be gone, so that its buyer is never without one."""

_CHUNK = 100
"""So many buyers' tokens are looked at in one step."""


async def ensure_token_jobs(redis: Redis, stores: Iterable[Store], *, clock: Clock | None = None) -> None:
    """Queue the job of the stores that write as their buyers, where it is missing. Raises Redis's errors."""
    wanted = [store.hash for store in stores if store.creates_as_buyer]
    if not wanted:
        return
    now = clock() if clock else await redis_time(redis)
    async with redis.pipeline(transaction=False) as pipe:
        for store in wanted:
            # In this order: an id in the queue has its job.
            pipe.set(FETCH_TOKENS.key(store), FETCH_TOKENS.body(store, now=now), nx=True)
            pipe.zadd(FETCH_TOKENS.queue, {FETCH_TOKENS.id(store): int(now * 1000)}, nx=True)
        await pipe.execute()


class BuyerTokenFetcher(PeriodicTask):
    """The periodic task that fetches and renews the tokens of a store's active buyers."""

    name = "storefront_tokens"

    def __init__(
        self, resources: Resources, *, every_s: float = EVERY_S, clock: Callable[[], float] = time.time
    ) -> None:
        super().__init__(resources, every_s=every_s, clock=clock)

    async def run(self, context: dict[str, Any], store: str) -> None:
        """The job. It ends when the store no longer writes as its buyers."""
        configured = self._resources.configuration.stores.get(store)
        if configured is not None and configured.store.creates_as_buyer:
            await super().run(context, store)

    async def run_once(self, store: Store) -> float:
        """Fetch up to 20 tokens, and no more for a minute."""
        redis, book = self._resources.redis, await self._resources.super_admins.read(store.hash)
        problem = TokenProblem(redis, store.hash)
        if not book.is_current(self._clock()):
            await problem.note("the list of Super Admins was not read, and they must not be taken for buyers")
            return self._every_s
        if (wait_ms := await redis.pttl(tokens_fetched_key(store.hash))) > 0:
            return float(wait_ms / 1000)
        await seed_active_buyers(self._resources, store.hash, now=self._clock())
        buyers = await ActiveBuyers(redis).most_active(store.hash, now=self._clock())
        admins = [buyer for buyer in buyers if buyer.customer_id in book]
        await ActiveBuyers(redis).forget(store.hash, admins)
        try:
            await self._fetch(store, [buyer for buyer in buyers if buyer not in admins])
        except UpstreamError as error:
            await problem.note(str(error))
            raise
        return self._every_s

    async def _fetch(self, store: Store, buyers: list[ActiveBuyer]) -> None:
        redis = self._resources.redis
        tokens = StorefrontTokens(redis, store.hash, store.access_tokens)
        fetched = 0
        for start in range(0, len(buyers), _CHUNK):
            chunk = buyers[start : start + _CHUNK]
            for buyer, held_s in zip(chunk, await tokens.held_for(chunk), strict=True):
                if held_s >= RENEW_BEFORE_S:
                    continue
                if await self._fetch_one(store, tokens, buyer):
                    fetched += 1
                    # From the first one on: so a run that fails half-way, or a new worker, fetches no more either.
                    await redis.set(tokens_fetched_key(store.hash), "1", px=int(self._every_s * 1000), nx=True)
                if fetched == PER_RUN:
                    return

    async def _fetch_one(self, store: Store, tokens: StorefrontTokens, buyer: ActiveBuyer) -> bool:
        """Fetch a buyer's token; False for who is no Company user, or is refused one."""
        api = QuotaWaitingApi(
            self._resources.transport,
            Account(store.hash, store.access_tokens),
            timeout_s=TIMEOUT_S,
            priority=Priority.BACKGROUND,
        )
        problem = TokenProblem(self._resources.redis, store.hash)
        cache = Cache(self._resources.redis, store.hash, clock=self._clock)
        try:
            await read_user(api, cache, buyer.customer_id)
            token = await api.storefront.storefront_token(buyer.customer_id, buyer.channel_id)
        except (NoCompanyUser, Refused) as refused:
            # Until they order again: else those who never get one would be asked for in each run.
            await ActiveBuyers(self._resources.redis).forget(store.hash, [buyer])
            if isinstance(refused, Refused):
                await problem.note(str(refused))
            await tokens.drop(*buyer)
            return False
        await tokens.put(*buyer, token)
        await problem.clear()
        return True
