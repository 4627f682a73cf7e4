"""Held tokens: one for each buyer and channel, sealed in Redis, gone before BigCommerce refuses them."""

from arq import ArqRedis
from pydantic import SecretStr
from redis.asyncio import Redis

from service.orders.state.per_store.storefront.active_buyers import ActiveBuyer
from service.orders.state.per_store.storefront.storefront_tokens import TTL_S, StorefrontTokens

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


async def test_a_refused_token_is_dropped(redis: ArqRedis) -> None:
    tokens = StorefrontTokens(redis, "abc123", [ACCESS])
    await tokens.put(101, 1, TOKEN)
    await tokens.put(102, 1, TOKEN)
    await tokens.drop(101, 1)
    assert (await tokens.get(101, 1), await tokens.get(102, 1)) == (None, TOKEN)


async def test_for_how_long_tokens_are_held(redis: ArqRedis) -> None:
    tokens = StorefrontTokens(redis, "abc123", [ACCESS])
    await tokens.put(101, 1, TOKEN)
    await StorefrontTokens(redis, "abc123", [SecretStr("old")]).put(102, 1, TOKEN)

    held = await tokens.held_for([ActiveBuyer(101, 1), ActiveBuyer(102, 1), ActiveBuyer(103, 1)])
    assert TTL_S - 60 < held[0] <= TTL_S
    assert held[1:] == [0.0, 0.0], "one that cannot be opened is as good as none"


async def test_the_same_token_is_sealed_otherwise_each_time(redis: ArqRedis) -> None:
    tokens = StorefrontTokens(redis, "abc123", [ACCESS])
    sealed = set()
    for _ in range(5):
        await tokens.put(101, 1, TOKEN)
        (key,) = await redis.keys("*")
        sealed.add(await redis.get(key))
    assert len(sealed) == 5
