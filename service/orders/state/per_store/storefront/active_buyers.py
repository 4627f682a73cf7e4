"""Which buyers of a store have ordered lately, the most active first: for them, storefront tokens are held.

Two sorted sets have the same members, a buyer and the channel: one says when they last ordered, the other how active
they are. Each order adds to the activity; one that is ten days newer adds twice as much, so that old orders count less
and less without any work.
"""

from collections.abc import Collection
from dataclasses import dataclass
from typing import NamedTuple

from redis.asyncio import Redis

from service.orders.state.keys import buyers_activity_key, buyers_ordered_key

ACTIVE_S = 30 * 86_400
"""Who has not ordered for so long is not active any more."""

MAX_BUYERS = 2000
"""So many are kept, the most active: fetching a token for each takes 100 minutes, and a token is valid for a day."""

_HALF_LIFE_S = 10 * 86_400
_SINCE = 1_767_225_600
"""2026-01-01 in UTC: what an order adds is counted from here. A double holds it for more than 25 years."""


class ActiveBuyer(NamedTuple):
    """A customer on a channel."""

    customer_id: int
    channel_id: int


@dataclass(frozen=True, slots=True)
class ActiveBuyers:
    """The active buyers of all stores. Times are Unix seconds. Errors are Redis's own."""

    redis: Redis

    async def note_order(self, store: str, buyer: ActiveBuyer, *, at: float) -> None:
        """Note that a buyer has ordered."""
        member = f"{buyer.customer_id}:{buyer.channel_id}"
        async with self.redis.pipeline(transaction=True) as pipe:
            pipe.zadd(buyers_ordered_key(store), {member: at}, gt=True)
            pipe.zincrby(buyers_activity_key(store), 2 ** ((at - _SINCE) / _HALF_LIFE_S), member)
            for key in (buyers_ordered_key(store), buyers_activity_key(store)):
                pipe.expire(key, ACTIVE_S)
            await pipe.execute()

    async def most_active(self, store: str, *, now: float, forget: bool = True) -> list[ActiveBuyer]:
        """Those who ordered in the last 30 days, the most active first; ``forget``: forgets all others."""
        inactive = await self.redis.zrangebyscore(buyers_ordered_key(store), "-inf", f"({now - ACTIVE_S:.3f}")
        inactive += await self.redis.zrange(buyers_activity_key(store), 0, -1 - MAX_BUYERS)
        if forget:
            await self._forget(store, inactive)
        members = await self.redis.zrange(buyers_activity_key(store), 0, -1, desc=True)
        gone = {*inactive}
        known = (_parse(member) for member in members if member not in gone)
        return [buyer for buyer in known if buyer is not None]

    async def forget(self, store: str, buyers: Collection[ActiveBuyer]) -> None:
        """Forget buyers, until they order again."""
        await self._forget(store, [f"{buyer.customer_id}:{buyer.channel_id}".encode() for buyer in buyers])

    async def _forget(self, store: str, members: Collection[bytes]) -> None:
        if not members:
            return
        async with self.redis.pipeline(transaction=True) as pipe:
            for key in (buyers_ordered_key(store), buyers_activity_key(store)):
                pipe.zrem(key, *members)
            await pipe.execute()


def _parse(member: bytes) -> ActiveBuyer | None:
    customer_id, _, channel_id = member.decode().partition(":")
    is_known = customer_id.isdecimal() and channel_id.isdecimal()
    return ActiveBuyer(int(customer_id), int(channel_id)) if is_known else None
