"""A store's circuit breaker: while BigCommerce refuses its credentials, orders are parked and no calls are made."""

from redis.asyncio import Redis

from service.orders.state import lua
from service.orders.state.clocks import Clock, script_time
from service.orders.state.job_kinds import PROBE, RECOVERY
from service.orders.state.keys import breaker_key, parked_key
from service.orders.state.transitions import FIRST_PROBE_S

# The delay before a probe doubles each time, up to this.
LONGEST_PROBE_S = 300.0


class Breaker:
    """Opens and closes the breakers of all stores. Errors are Redis's own.

    Times are Redis's, unless a ``clock`` is given.
    """

    def __init__(self, redis: Redis, *, clock: Clock | None = None) -> None:
        self._redis = redis
        self._clock = clock

    async def is_open(self, store: str) -> bool:
        """Whether calls for the store must not be made."""
        return bool(await self._redis.exists(breaker_key(store)))

    async def open(self, store: str) -> bool:
        """Open the store's breaker and schedule a probe of its credentials; False when it is open already."""
        was_closed = await lua.open_breaker(
            self._redis,
            breaker=breaker_key(store),
            job=PROBE.key(store),
            queue=PROBE.queue,
            now_ms=script_time(self._clock),
            job_id=PROBE.id(store),
            body=PROBE.open_body(store),
            delay_ms=int(FIRST_PROBE_S * 1000),
        )
        return bool(was_closed)

    async def first_parked(self, store: str) -> int | None:
        """The order that has been parked longest; None when there is none."""
        first = await self._redis.zrange(parked_key(store), 0, 0)
        return int(first[0]) if first else None

    async def release(self, store: str) -> int:
        """Move all parked orders to recovery and close the breaker; returns how many there were."""
        released = 0
        while True:
            order_id = await self.first_parked(store)
            closed = await lua.release_parked(
                self._redis,
                breaker=breaker_key(store),
                parked=parked_key(store),
                job=RECOVERY.key(store, order_id or 0),
                queue=RECOVERY.queue,
                now_ms=script_time(self._clock),
                order_id=order_id,
                job_id=RECOVERY.id(store, order_id or 0),
                body=RECOVERY.open_body(store, order_id or 0),
            )
            released += order_id is not None
            if closed:
                return released
