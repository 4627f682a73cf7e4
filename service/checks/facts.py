"""What is known of a store, one line a fact: the service goes by it. Only webhooks that are late are a problem."""

from redis.asyncio import Redis

from service.checks.findings import Finding, Level
from service.orders.facts.fact import Fact
from service.orders.facts.store_facts import Facts
from service.orders.facts.wording import origin, sentence


async def check_facts(redis: Redis | None, store: str) -> list[Finding]:
    """The facts that hold now; none where Redis does not answer."""
    if redis is None:
        return []
    facts = await Facts(redis).of(store)
    return [
        Finding(Level.OK, store, f"fact {fact}", f"{sentence(fact, found.value)} ({origin(found)}).")
        if not (fact is Fact.WEBHOOK_DELAY and facts.webhooks_are_late)
        else Finding(
            Level.WARNING,
            store,
            f"fact {fact}",
            f"{sentence(fact, found.value)} ({origin(found)}). That leaves little of the ten seconds.",
            "See whether the receiver answers at once, and how far it is from BigCommerce.",
        )
        for fact, found in facts.known.items()
    ]
