"""The finding about held storefront tokens: for what share of the active buyers, and what is missing."""

import time
from typing import Any

import pytest
from arq import ArqRedis
from pydantic import SecretStr

from service.checks.access.storefront_tokens import check_storefront_tokens
from service.orders.state.keys import storefront_closed_key
from service.orders.state.per_store.storefront.active_buyers import ActiveBuyer, ActiveBuyers
from service.orders.state.per_store.storefront.storefront_breaker import Permission, StorefrontBreaker
from service.orders.state.per_store.storefront.storefront_tokens import StorefrontTokens
from service.orders.state.per_store.storefront.token_problem import TokenProblem
from service.orders.state.per_store.super_admins import SuperAdminBook, SuperAdmins
from service.stores import Rule, Store
from tests.fakes.stacks.checks import lines

STORE, ACCESS = "abc123", SecretStr("access-token")
HELD = "a storefront token is held for {} of {} active buyers"


def store(**keys: Any) -> Store:
    return Store(
        hash=STORE,
        access_token=(ACCESS,),
        client_secret=(SecretStr("s"),),
        po_number=Rule.model_validate("order.customer_message"),
        **keys,
    )


async def hold(redis: ArqRedis, *, buyers: int, tokens: int, read_s_ago: float = 60.0) -> None:
    """So many buyers have ordered, and so many have tokens; the list of Super Admins was read so long ago."""
    for customer_id in range(1, buyers + 1):
        await ActiveBuyers(redis).note_order(STORE, ActiveBuyer(customer_id, 1), at=time.time())
        if customer_id <= tokens:
            await StorefrontTokens(redis, STORE, [ACCESS]).put(customer_id, 1, SecretStr("t"))
    await SuperAdminBook(redis).write(STORE, SuperAdmins(read_at=time.time() - read_s_ago))


async def line(redis: ArqRedis | None, **keys: Any) -> str:
    found = lines(await check_storefront_tokens(redis, store(**{"overflow": "storefront", **keys})))
    return "".join(found)


@pytest.mark.parametrize(
    ("buyers", "tokens", "start"),
    [
        (0, 0, "ok  overflow  no Company user is known who ordered in the last 30 days, so no token is held."),
        (10, 9, "ok  overflow  " + HELD.format(9, 10) + " (90 %)."),
        (10, 8, "warning  overflow  " + HELD.format(8, 10) + " (80 %)."),
        (1, 0, "warning  overflow  a storefront token is held for 0 of 1 active buyer (0 %)."),
    ],
)
async def test_the_share_of_buyers_decides(redis: ArqRedis, buyers: int, tokens: int, start: str) -> None:
    await hold(redis, buyers=buyers, tokens=tokens)
    assert (await line(redis)).startswith(start)


async def test_what_is_missing_is_named(redis: ArqRedis) -> None:
    await hold(redis, buyers=4, tokens=1)
    assert "up to 20 a minute" in await line(redis)

    await TokenProblem(redis, STORE).note("Get a B2B Storefront Token: 403: no permission")
    assert "The last one could not be fetched: Get a B2B Storefront Token: 403: no permission" in await line(redis)

    assert await StorefrontBreaker(redis, STORE).over_quota(Permission())
    assert "has answered 429" in await line(redis)

    await hold(redis, buyers=4, tokens=4, read_s_ago=7300.0)
    assert "the list of Super Admins is missing or older than two hours" in await line(redis)


async def test_a_storefront_that_fails_is_named(redis: ArqRedis) -> None:
    await hold(redis, buyers=1, tokens=1)
    await StorefrontBreaker(redis, STORE).failed(Permission(), "Create an Order: 503: Service Unavailable")
    said = await line(redis)
    assert said.startswith("warning  overflow  " + HELD.format(1, 1).removesuffix("s"))
    assert "failed (Create an Order: 503: Service Unavailable). In 2 seconds one order tries it again" in said

    await redis.delete(storefront_closed_key(STORE))
    assert (
        "failed (Create an Order: 503: Service Unavailable). The next order that needs it tries it again"
        in await line(redis)
    )


async def test_tokens_of_another_access_token_do_not_count(redis: ArqRedis) -> None:
    await hold(redis, buyers=2, tokens=2)
    changed = store(overflow="storefront").model_copy(update={"access_tokens": (SecretStr("new"),)})
    (found,) = await check_storefront_tokens(redis, changed)
    assert found.message.startswith(HELD.format(0, 2))


async def test_the_check_changes_nothing(redis: ArqRedis) -> None:
    await hold(redis, buyers=2, tokens=1)
    await ActiveBuyers(redis).note_order(STORE, ActiveBuyer(9, 1), at=time.time() - 40 * 86_400)
    before = await redis.zcard(f"enrich:buyers-ordered:{STORE}")
    assert HELD.format(1, 2) in await line(redis)
    assert await redis.zcard(f"enrich:buyers-ordered:{STORE}") == before == 3


async def test_the_subject_is_the_key_that_needs_the_tokens(redis: ArqRedis) -> None:
    assert "  order_comment  " in await line(redis, overflow="off", order_comment=True)
    assert await line(redis, overflow="off") == ""
    assert await line(None) == ""
