"""Held tokens: one for each buyer and channel, sealed in Redis, gone before BigCommerce refuses them."""

from arq import ArqRedis
from pydantic import SecretStr
from redis.asyncio import Redis

from service.orders.state.per_store.storefront_tokens import TTL_S, StorefrontTokens

ACCESS, TOKEN = SecretStr("access-token"), SecretStr("buyer-token")


async def test_a_token_is_held_for_its_buyer_and_channel_only(redis: ArqRedis) -> None:
    tokens = StorefrontTokens(redis, "abc123", [ACCESS])
    await tokens.put(101, 1, TOKEN)

    assert await tokens.get(101, 1) == TOKEN
    assert await tokens.get(102, 1) is None
    assert await tokens.get(101, 7) is None
    assert await StorefrontTokens(redis, "other", [ACCESS]).get(101, 1) is None


async def test_redis_holds_no_token_in_plain_text_and_none_for_longer_than_it_is_valid(redis: ArqRedis) -> None:
    await StorefrontTokens(redis, "abc123", [ACCESS]).put(101, 1, TOKEN)
    (key,) = await redis.keys("*")

    value = await redis.get(key)
    assert value is not None
    assert b"buyer-token" not in value
    assert b"access-token" not in value
    assert TTL_S - 60 < await redis.ttl(key) <= TTL_S < 24 * 3600


async def test_a_token_copied_to_another_buyers_key_is_not_used(redis: ArqRedis) -> None:
    tokens = StorefrontTokens(redis, "abc123", [ACCESS])
    await tokens.put(101, 1, TOKEN)
    (key,) = await redis.keys("*")
    await redis.copy(key, key.replace(b":101:", b":102:"))

    assert await tokens.get(102, 1) is None


async def test_a_token_is_gone_with_the_access_token_that_sealed_it(redis: ArqRedis) -> None:
    await StorefrontTokens(redis, "abc123", [ACCESS]).put(101, 1, TOKEN)
    assert await StorefrontTokens(redis, "abc123", [SecretStr("new"), ACCESS]).get(101, 1) == TOKEN
    assert await StorefrontTokens(redis, "abc123", [SecretStr("new")]).get(101, 1) is None


async def test_without_redis_none_is_held() -> None:
    async with Redis.from_url("redis://127.0.0.1:1") as nowhere:
        for redis in (None, nowhere):
            tokens = StorefrontTokens(redis, "abc123", [ACCESS])
            await tokens.put(101, 1, TOKEN)
            assert await tokens.get(101, 1) is None
