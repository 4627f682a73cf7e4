"""The tokens with which the storefront API is called as a buyer, kept for as long as BigCommerce accepts them."""

from collections.abc import Sequence
from functools import cached_property

from pydantic import SecretStr
from redis.asyncio import Redis

from service.orders.state.keys import storefront_token_key
from service.orders.state.per_store.storefront.active_buyers import ActiveBuyer
from service.orders.state.per_store.storefront.redis_timeout import within_timeout
from service.redis.sealing import Seal

TTL_S = 23 * 3600
"""BigCommerce's documentation of Get a B2B Storefront Token: valid for one day. An hour less, so that none expires
between reading it here and using it."""


class StorefrontTokens:
    """The held tokens of one store's buyers, one for each buyer and channel.

    They lie in Redis sealed, with a key that only the store's access tokens give. Without Redis, or while it does not
    answer, none is held. Only ``held_for`` raises Redis's errors.
    """

    def __init__(self, redis: Redis | None, store: str, access_tokens: Sequence[SecretStr]) -> None:
        self._redis = redis
        self._store = store
        self._access_tokens = access_tokens

    @cached_property
    def _seal(self) -> Seal:
        # Most orders of a store need no token, and a key is not derived for nothing.
        return Seal(self._access_tokens, purpose="storefront-token")

    async def get(self, customer_id: int, channel_id: int) -> SecretStr | None:
        """The token that is held for this buyer on this channel, or None."""
        if self._redis is None:
            return None
        key = storefront_token_key(self._store, customer_id, channel_id)
        sealed = await within_timeout(self._redis.get(key))
        return None if sealed is None else self._seal.open(sealed, place=key)

    async def put(self, customer_id: int, channel_id: int, token: SecretStr) -> None:
        """Hold a token that was just fetched."""
        if self._redis is None:
            return
        key = storefront_token_key(self._store, customer_id, channel_id)
        await within_timeout(self._redis.set(key, self._seal.seal(token, place=key), ex=TTL_S))

    async def drop(self, customer_id: int, channel_id: int) -> None:
        """Hold it no longer: the storefront API refuses it."""
        if self._redis is not None:
            await within_timeout(self._redis.delete(storefront_token_key(self._store, customer_id, channel_id)))

    async def held_for(self, buyers: Sequence[ActiveBuyer]) -> list[float]:
        """For how many seconds each of these buyers' tokens is held; 0 for one that is not, or that cannot be opened.

        One that was sealed with an access token that is not the store's any more is as good as none.
        """
        if self._redis is None or not buyers:
            return [0.0] * len(buyers)
        keys = [storefront_token_key(self._store, *buyer) for buyer in buyers]
        async with self._redis.pipeline(transaction=False) as pipe:
            for key in keys:
                pipe.get(key)
                pipe.pttl(key)
            found = await pipe.execute()
        held = zip(keys, found[::2], found[1::2], strict=True)
        return [
            max(0.0, left_ms / 1000) if sealed and self._seal.open(sealed, place=key) else 0.0
            for key, sealed, left_ms in held
        ]
