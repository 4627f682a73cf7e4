"""What is known of a store, one line a fact. It is no problem: the service goes by it."""

from redis.asyncio import Redis

from service.checks.findings import Finding, Level
from service.orders.facts.store_facts import Facts
from service.orders.facts.wording import origin, sentence


async def check_facts(redis: Redis | None, store: str) -> list[Finding]:
    """The facts that hold now; none where Redis does not answer."""
    if redis is None:
        return []
    known = (await Facts(redis).of(store)).known
    return [
        Finding(Level.OK, store, f"fact {fact}", f"{sentence(fact, found.value)} ({origin(found)}).")
        for fact, found in known.items()
    ]
