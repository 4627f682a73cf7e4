"""Tells for what share of a store's active buyers a Create could go over the storefront API, and what is missing."""

from redis.asyncio import Redis
from redis.exceptions import RedisError

from service.checks.findings import Finding, Level, counted
from service.orders.state.clocks import redis_time
from service.orders.state.per_store.storefront.active_buyers import ActiveBuyers
from service.orders.state.per_store.storefront.storefront_breaker import StorefrontBreaker, StorefrontState
from service.orders.state.per_store.storefront.storefront_tokens import StorefrontTokens
from service.orders.state.per_store.storefront.token_problem import TokenProblem
from service.orders.state.per_store.super_admins import SuperAdminBook
from service.stores import Store

ENOUGH_PERCENT = 90
"""Of the active buyers. Those who order for the first time have no token, so it is never all of them for long."""

_CURE = "The workers fetch up to 20 a minute, when B2B Edition's quota has calls left: run it again in some minutes."
_NO_BOOK = "the list of Super Admins is missing or older than two hours, and no token is used without it."


async def check_storefront_tokens(redis: Redis | None, store: Store) -> list[Finding]:
    """One finding for a store that writes as its buyers; none for others, or when Redis does not answer."""
    if redis is None or not store.creates_as_buyer:
        return []
    subject = "overflow" if store.overflow == "storefront" else "order_comment"
    tokens = StorefrontTokens(redis, store.hash, store.access_tokens)
    try:
        now = await redis_time(redis)
        buyers = await ActiveBuyers(redis).most_active(store.hash, now=now, forget=False)
        held = sum(seconds > 0 for seconds in await tokens.held_for(buyers))
        problem = await TokenProblem(redis, store.hash).read()
        book = await SuperAdminBook(redis).read(store.hash)
        storefront = await StorefrontBreaker(redis, store.hash).read()
    except RedisError:
        return []  # check_redis reports it
    if not buyers:
        message = "no Company user is known who ordered in the last 30 days, so no token is held."
        return [Finding(Level.OK, store.hash, subject, f"{message} The workers note who orders.")]
    share = held * 100 // len(buyers)
    message = f"a storefront token is held for {held} of {counted(len(buyers), 'active buyer')} ({share} %)."
    if not book.is_current(now):
        cure = "Look for `periodic_task_postponed` with the task super_admins in the workers' log."
        return [Finding(Level.WARNING, store.hash, subject, f"{message} But {_NO_BOOK}", cure)]
    if closed := _why_closed(storefront):
        return [Finding(Level.WARNING, store.hash, subject, f"{message} {closed}")]
    if share >= ENOUGH_PERCENT:
        return [Finding(Level.OK, store.hash, subject, message)]
    if problem:
        message += f" The last one could not be fetched: {problem}"
    return [Finding(Level.WARNING, store.hash, subject, message, _CURE)]


def _why_closed(storefront: StorefrontState) -> str:
    """Why no Create goes over the storefront API now, and until when; empty when they go."""
    if storefront.is_over_quota:
        return "BigCommerce has answered 429 to a Create over the storefront API: none is sent there for a minute."
    if not storefront.failures:
        return ""
    seconds = counted(max(1, round(storefront.closed_s)), "second")
    again = (
        f"In {seconds} one order tries it again"
        if storefront.closed_s
        else "The next order that needs it tries it again"
    )
    trouble = f"The last Create over the storefront API failed ({storefront.trouble})."
    return f"{trouble} {again}; the others go over it only where B2B Edition's quota leaves them no other way."
