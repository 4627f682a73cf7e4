"""A buyer's token: held, fetched, fetched anew once; and what is said when it does not help."""

import asyncio
from typing import Any

import pytest
from arq import ArqRedis
from pydantic import SecretStr

from service.bigcommerce import StoreApi
from service.errors import BuyerRefused, CredentialsRefused, TryAgain, Unsure, WaitUntil
from service.orders.buyer_view.buyer_session import BuyerSession
from service.orders.buyer_view.shown import NotShown, shown
from service.orders.state.per_store.storefront.storefront_tokens import StorefrontTokens
from tests.fakes.upstream import STORE_HASH, FakeUpstream

AUTH = "POST /api/io/auth/customers/storefront"
PRODUCTS = "GET /api/v2/orders/1/products"
OK = {"data": [{"productId": "7", "quantity": 1, "variantId": 70}]}
DENIED = (401, {"code": 401, "message": "Unauthorized", "data": {"errMsg": "Signature has expired."}})
FORBIDDEN = (403, {"code": 403, "message": "Forbidden", "data": {"errMsg": "No permission."}})


def token(text: str) -> dict[str, Any]:
    return {"code": 200, "data": {"token": [text]}}


def bearers(upstream: FakeUpstream) -> list[str]:
    return [request.headers["Authorization"] for request in upstream.requests if "Authorization" in request.headers]


@pytest.fixture
def tokens(redis: ArqRedis) -> StorefrontTokens:
    return StorefrontTokens(redis, STORE_HASH, [SecretStr("access-token")])


@pytest.fixture
def session(api: StoreApi, tokens: StorefrontTokens) -> BuyerSession:
    return BuyerSession(api, tokens, 101, 1)


async def products(session: BuyerSession, api: StoreApi) -> list[dict[str, Any]]:
    return await session.read(lambda token: api.storefront.order_products(token, 1))


async def test_a_held_token_costs_no_call(
    session: BuyerSession, api: StoreApi, upstream: FakeUpstream, tokens: StorefrontTokens
) -> None:
    await tokens.put(101, 1, SecretStr("held"))
    upstream.on(PRODUCTS, OK)
    assert await products(session, api) == OK["data"]
    assert upstream.asked == [PRODUCTS]
    assert bearers(upstream) == ["Bearer held"]


async def test_a_token_refused_midway_is_fetched_anew_once_and_held(
    session: BuyerSession, api: StoreApi, upstream: FakeUpstream, tokens: StorefrontTokens
) -> None:
    await tokens.put(101, 1, SecretStr("old"))
    upstream.on(AUTH, token("new"))
    upstream.on(PRODUCTS, OK, DENIED, OK)
    assert await products(session, api) == OK["data"]
    assert await products(session, api) == OK["data"]
    assert bearers(upstream) == ["Bearer old", "Bearer old", "Bearer new"]
    assert await tokens.get(101, 1) == SecretStr("new")


async def test_calls_at_the_same_time_share_the_new_token(
    session: BuyerSession, api: StoreApi, upstream: FakeUpstream, tokens: StorefrontTokens
) -> None:
    await tokens.put(101, 1, SecretStr("old"))
    upstream.on(AUTH, token("new"))
    upstream.on(PRODUCTS, lambda request: DENIED if request.headers["Authorization"] == "Bearer old" else OK)
    assert await asyncio.gather(*(products(session, api) for _ in range(3))) == [OK["data"]] * 3
    assert upstream.asked.count(AUTH) == 1


async def test_a_new_token_that_is_refused_too_is_the_buyers_fault_and_not_the_stores(
    session: BuyerSession, api: StoreApi, upstream: FakeUpstream
) -> None:
    upstream.on(AUTH, token("one"), token("two"), token("three"))
    upstream.on(PRODUCTS, DENIED)
    for _ in range(2):
        with pytest.raises(BuyerRefused, match="Signature has expired"):
            await products(session, api)
    assert upstream.asked.count(AUTH) == 2


async def test_what_the_buyers_role_may_not_see_needs_no_new_token(
    session: BuyerSession, api: StoreApi, upstream: FakeUpstream
) -> None:
    upstream.on(AUTH, token("one"))
    upstream.on(PRODUCTS, FORBIDDEN)
    with pytest.raises(BuyerRefused, match="No permission"):
        await products(session, api)
    assert upstream.asked.count(AUTH) == 1


@pytest.mark.parametrize(
    ("answer", "error"),
    [(401, CredentialsRefused), (503, Unsure), ({"code": 200, "data": {"token": "no header"}}, TryAgain)],
)
async def test_a_token_that_cannot_be_fetched_is_asked_for_once(
    session: BuyerSession, api: StoreApi, upstream: FakeUpstream, answer: Any, error: type[Exception]
) -> None:
    upstream.on(AUTH, answer)
    results = await asyncio.gather(*(products(session, api) for _ in range(3)), return_exceptions=True)
    assert [type(result) for result in results] == [error] * 3
    assert upstream.asked == [AUTH]


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (BuyerRefused("x", "no", status=403), "x: 403: no. The buyer's role may lack the permission to see orders."),
        (BuyerRefused("x", "no", status=401), "x: 401: no. BigCommerce does not accept this customer"),
        (CredentialsRefused("x", "no.", status=401), "x: 401: no. Run `enrich check`"),
        (WaitUntil("x", "over", seconds=41.2), "Try again in 42 s."),
        (TryAgain("x", "down", status=503), "Try again in a minute."),
    ],
)
async def test_each_reason_says_what_to_do(error: Exception, reason: str) -> None:
    async def fail() -> None:
        raise error

    part = await shown(fail())
    assert isinstance(part, NotShown)
    assert reason in part.reason
