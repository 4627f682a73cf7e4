"""The tokens with which the storefront API is called as a buyer, kept for as long as BigCommerce accepts them."""

import asyncio
from collections.abc import Sequence

from pydantic import SecretStr
from redis.asyncio import Redis
from redis.exceptions import RedisError

from service.orders.state.keys import storefront_token_key
from service.redis.sealing import Seal

TTL_S = 23 * 3600
"""BigCommerce's documentation of Get a B2B Storefront Token: valid for one day. An hour less, so that none expires
between reading it here and using it."""

REDIS_TIMEOUT_S = 1.0


class StorefrontTokens:
    """The held tokens of one store's buyers, one for each buyer and channel.

    They lie in Redis sealed, with a key that only the store's access tokens give. Without Redis, or while it does not
    answer, none is held: it never raises.
    """

    def __init__(self, redis: Redis | None, store: str, access_tokens: Sequence[SecretStr]) -> None:
        self._redis = redis
        self._store = store
        self._seal = Seal(access_tokens, purpose="storefront-token")

    async def get(self, customer_id: int, channel_id: int) -> SecretStr | None:
        """The token that is held for this buyer on this channel, or None."""
        if self._redis is None:
            return None
        key = storefront_token_key(self._store, customer_id, channel_id)
        try:
            async with asyncio.timeout(REDIS_TIMEOUT_S):
                sealed = await self._redis.get(key)
        except (RedisError, TimeoutError):
            return None
        return None if sealed is None else self._seal.open(sealed, place=key)

    async def put(self, customer_id: int, channel_id: int, token: SecretStr) -> None:
        """Hold a token that was just fetched."""
        if self._redis is None:
            return
        key = storefront_token_key(self._store, customer_id, channel_id)
        try:
            async with asyncio.timeout(REDIS_TIMEOUT_S):
                await self._redis.set(key, self._seal.seal(token, place=key), ex=TTL_S)
        except (RedisError, TimeoutError):
            return
