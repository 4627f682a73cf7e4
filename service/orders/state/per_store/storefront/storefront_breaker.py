"""The circuit breaker of a store's storefront API: while Creates over it fail, orders take the ordinary way.

A Create whose fate is unknown costs a call of B2B Edition's quota to read it back, and that is what is short when
Creates go over the storefront. So the first failure closes this way for two seconds. Then one order tries it, while
the others still take the ordinary way: a success opens the way for all, a failure closes it for twice as long as
before. A 429 closes it for a minute, and costs nothing to read back.

::

    open ──failure──▶ closed for 2, 4, 8 … 60 s ──▶ one trial ──success──▶ open
                                 ▲                     │
                                 └──────failure────────┘

Two keys tell it. One exists while no Create may go, and expires by itself; the order that tries the way holds it as a
lease. The other counts the failures in a row; it is there until a Create is taken. That may also be one that was sent
though the way was closed, as the last chance of its order (``create_route``).
"""

import asyncio
import uuid
from dataclasses import dataclass

from redis.asyncio import Redis

from service.orders.state import lua
from service.orders.state.keys import storefront_closed_key, storefront_failures_key
from service.orders.state.per_store.storefront.redis_timeout import within_timeout
from service.redis.leases import hold_lease, release_lease

FIRST_CLOSED_S = 2.0
"""So long the first failure closes the way. Each failed trial doubles it: an order's window has ten seconds."""

LONGEST_CLOSED_S = 60.0

OVER_QUOTA_S = 60.0
"""So long a 429 closes the way."""

TRIAL_S = 5.0
"""A call takes three seconds at the most (``transport.TIMEOUT_S``). After this, a trial whose worker has died counts
as over, and another order tries."""

ASK_AGAIN_S = 1.0
"""While one order tries the way, the others ask again after so long: most trials have ended by then."""

KEEP_S = 3600
"""What has not happened again for an hour is over."""

# What the first key holds.
_FAILING = "failing"
_OVER_QUOTA = "over quota"
_TRIAL = "trial:"


@dataclass(frozen=True, slots=True)
class StorefrontState:
    """``closed_s``: for how long no Create may go over the storefront API; 0 when one may.

    ``failures`` is how many Creates in a row have failed: while there are any, only a trial may go. ``trouble`` is the
    last failure.
    """

    closed_s: float = 0.0
    failures: int = 0
    trouble: str = ""
    is_over_quota: bool = False
    is_on_trial: bool = False


@dataclass(frozen=True, slots=True)
class Permission:
    """Whether a Create may go over the storefront API now.

    ``retry_in_s`` is 0 when it may, else when to ask again. ``failures`` is how many had failed in a row; 0 also when a
    429 has closed the way. ``trial`` is the owner of the lease when the Create is a trial.
    """

    retry_in_s: float = 0.0
    failures: int = 0
    trial: str = ""

    @property
    def is_granted(self) -> bool:
        return not self.retry_in_s

    @property
    def is_denied_for_failures(self) -> bool:
        """Whether the way is closed because Creates have failed: not by a 429."""
        return not self.is_granted and self.failures > 0

    def of_last_chance(self) -> "Permission":
        """For an order that has no other way, and whose window closes before it may ask again."""
        return Permission(failures=self.failures)


@dataclass(frozen=True, slots=True)
class Failure:
    """What a failure has done: the way is closed for ``closed_s`` seconds.

    ``is_counted``: this failure has closed it; else another one already had. ``is_news``: and it was open before.
    """

    closed_s: float
    is_counted: bool = False
    is_news: bool = False


class StorefrontBreaker:
    """The breaker of one store, shared by all workers.

    Without Redis, or while it does not answer, every Create may go. Only ``read`` raises Redis's errors.
    """

    def __init__(self, redis: Redis | None, store: str) -> None:
        self._redis = redis
        self._closed, self._failures = storefront_closed_key(store), storefront_failures_key(store)

    async def read(self) -> StorefrontState:
        """What is known of the storefront API. Raises Redis's errors."""
        if self._redis is None:
            return StorefrontState()
        # At the same time, so that they share one exchange with Redis.
        why, left_ms, (count, trouble) = await asyncio.gather(
            self._redis.get(self._closed),
            self._redis.pttl(self._closed),
            self._read_failures(self._redis),
        )
        why = (why or b"").decode(errors="replace")
        return StorefrontState(
            closed_s=max(0.0, left_ms / 1000),
            failures=int(count or 0),
            trouble=(trouble or b"").decode(errors="replace"),
            is_over_quota=why == _OVER_QUOTA,
            is_on_trial=why.startswith(_TRIAL),
        )

    async def _read_failures(self, redis: Redis) -> list[bytes | None]:
        found: list[bytes | None] = await redis.hmget(self._failures, ["count", "trouble"])  # type: ignore[misc]
        return found

    async def state(self) -> StorefrontState:
        """The same, for ``acquire``; open while Redis does not answer."""
        return await within_timeout(self.read()) or StorefrontState()

    async def acquire(self, state: StorefrontState) -> Permission:
        """Ask whether a Create may go, by a state just read. Whoever gets a trial says what became of it."""
        if state.closed_s:
            retry_in_s = min(state.closed_s, ASK_AGAIN_S) if state.is_on_trial else state.closed_s
            return Permission(retry_in_s, failures=0 if state.is_over_quota else state.failures)
        if self._redis is None or not state.failures:
            return Permission()
        trial = f"{_TRIAL}{uuid.uuid4().hex}"
        is_ours = await within_timeout(hold_lease(self._redis, self._closed, trial, ttl_ms=int(TRIAL_S * 1000)))
        return Permission(failures=state.failures, trial=trial) if is_ours else Permission(ASK_AGAIN_S, state.failures)

    async def failed(self, permission: Permission, trouble: str) -> Failure:
        """A Create got no sure answer, or could not be sent: close the way.

        One that was sent before somebody else's failure closed the way, and fails after it, changes nothing. Nor does
        one that was sent as its order's last chance, though the way was closed: trials set the pace.
        """
        if self._redis is None or (permission.failures and not permission.trial):
            return Failure(FIRST_CLOSED_S)
        closed = await within_timeout(
            lua.close_storefront(
                self._redis,
                closed=self._closed,
                failures=self._failures,
                failures_seen=permission.failures,
                trouble=trouble,
                first_ms=int(FIRST_CLOSED_S * 1000),
                longest_ms=int(LONGEST_CLOSED_S * 1000),
                keep_ms=KEEP_S * 1000,
                trial=permission.trial,
                failing=_FAILING,
            )
        )
        if closed is None:
            return Failure(FIRST_CLOSED_S)
        closed_ms, is_counted = closed
        return Failure(
            closed_ms / 1000, is_counted=bool(is_counted), is_news=bool(is_counted and not permission.failures)
        )

    async def over_quota(self, permission: Permission) -> bool:
        """A 429: close the way for a minute. False if it is closed already, or Redis does not answer."""
        if self._redis is None:
            return False
        await self.release(permission)
        closing = self._redis.set(self._closed, _OVER_QUOTA, px=int(OVER_QUOTA_S * 1000), nx=True)
        return bool(await within_timeout(closing))

    async def succeeded(self, permission: Permission) -> bool:
        """A Create was taken. Returns whether it has opened the way again."""
        if self._redis is None or not permission.failures:
            return False
        # In this order: while the lease is held, no other order begins a trial that nobody needs any more.
        is_open = await within_timeout(self._redis.delete(self._failures))
        await within_timeout(release_lease(self._redis, self._closed, permission.trial or _FAILING))
        return bool(is_open)

    async def release(self, permission: Permission) -> None:
        """What came of the Create says nothing of the way: if it was a trial, let another order try."""
        if self._redis is not None and permission.trial:
            await within_timeout(release_lease(self._redis, self._closed, permission.trial))
