"""The Super Admins of a store: customers who order for Companies without being users of one.

The Users API leaves Super Admins out, so its 404 alone does not say that a buyer belongs to no Company.
"""

from dataclasses import dataclass, field

from pydantic import BaseModel, ConfigDict, ValidationError
from redis.asyncio import Redis

from service.orders.state.keys import super_admins_key

MAX_AGE_S = 7200.0
"""They are read once an hour. After two hours without a complete read, nobody is skipped for being none of them."""


class SuperAdmins(BaseModel):
    """What is known of a store's Super Admins: ``customers`` maps each one's own id to the customer id.

    ``read_at`` is when the list was last read to its end, in seconds since the epoch; None: never.
    """

    model_config = ConfigDict(frozen=True)

    read_at: float | None = None
    customers: dict[int, int] = {}

    def __contains__(self, customer_id: int) -> bool:
        return customer_id in self.customers.values()

    def is_current(self, now: float) -> bool:
        """Whether the list is complete and new enough to say who is no Super Admin."""
        return self.read_at is not None and now - self.read_at <= MAX_AGE_S


@dataclass(frozen=True, slots=True)
class SuperAdminBook:
    """The Super Admins of all stores, kept in Redis. Errors are Redis's own."""

    redis: Redis
    nobody: SuperAdmins = field(default_factory=SuperAdmins)

    async def read(self, store: str) -> SuperAdmins:
        """What is known of the store's Super Admins; nothing where no list was read, or another version wrote it."""
        raw = await self.redis.get(super_admins_key(store))
        try:
            return self.nobody if raw is None else SuperAdmins.model_validate_json(raw)
        except ValidationError:
            return self.nobody

    async def write(self, store: str, known: SuperAdmins) -> None:
        """Replace what is known."""
        await self.redis.set(super_admins_key(store), known.model_dump_json())
