"""Orders that were skipped because their buyer seemed to belong to no Company.

That is a verdict for now: B2B Edition's record may show a Company later, and the buyer may become a Company user. So
each such order stays in one sorted set of its store, by when it is held against the records next, for as long as the
store follows orders.
"""

from collections.abc import Iterable

from redis.asyncio import Redis

from service.orders.state import lua
from service.orders.state.clocks import Clock, script_time
from service.orders.state.job_kinds import RETRY_SKIPPED
from service.orders.state.keys import people_asked_key, people_changed_key, people_due_key, skipped_key
from service.orders.state.order_entry import Entry, Status
from service.orders.state.worklists.due_orders import DueOrders

NOT_A_COMPANY_USER = "not_a_company_user"
"""The reason."""

RECORD, COMPANY_USER = "record", "company_user"
"""The sources of such an order that is tried again: its record shows a Company; its buyer is a Company user now."""

FIRST_CHECK_S = 60.0
"""The age at which a skipped order is held against the records: B2B Edition makes them after about ten seconds."""

SECOND_CHECK_S = 600.0
"""The age at the second and last time."""

LAST_CHECK_S = 3600.0
"""A check that comes late, for want of quota, is still made until this age, even if the store follows no orders."""

LATE_CHECK_S = 5.0
"""An order that was older than that when it was skipped is held against the records after so many seconds."""

PERIOD_S = 5.0
"""Changes of people within one period are handled together, one to two periods later."""

KEEP_CHANGE_S = 3600.0
"""Longer than any answer about a customer is remembered."""

EVERYBODY = "*"


def is_skipped_for_buyer(entry: Entry) -> bool:
    """Whether the order was skipped for its buyer."""
    return entry.status is Status.SKIPPED and entry.reason == NOT_A_COMPANY_USER


def first_check_in(entry: Entry, age_s: float, *, follow_s: float) -> float | None:
    """Seconds until an order that is finished at this age is held against the records; None: never."""
    if not is_skipped_for_buyer(entry) or is_over(age_s, follow_s=follow_s):
        return None
    return FIRST_CHECK_S - age_s if age_s < FIRST_CHECK_S - LATE_CHECK_S else LATE_CHECK_S


def next_step_in(age_s: float, *, follow_s: float) -> float | None:
    """Seconds from a check at this age to the next step: the second check, or the end of ``follow``; None: no more."""
    if age_s < SECOND_CHECK_S - FIRST_CHECK_S:
        return SECOND_CHECK_S - age_s
    return follow_s - age_s if age_s < follow_s else None


def is_over(age_s: float, *, follow_s: float) -> bool:
    """Whether an order of this age is neither followed nor held against the records any more."""
    return age_s >= max(follow_s, LAST_CHECK_S)


class SkippedOrders:
    """These orders of all stores, and the changes of people because of which they are tried again.

    Errors are Redis's own. Times are Redis's, unless a ``clock`` is given.
    """

    def __init__(self, redis: Redis, *, clock: Clock | None = None) -> None:
        self._redis = redis
        self._clock = clock
        self._due = DueOrders(redis, skipped_key, clock=clock)

    async def due(self, store: str, *, most: int, ahead_s: float = 0.0) -> list[int]:
        """Up to ``most`` orders that are due within ``ahead_s`` seconds, the first due first."""
        return await self._due.due(store, most=most, ahead_s=ahead_s)

    async def postpone(self, store: str, order_id: int, due_at: float) -> None:
        """Let the order be due at this time (s since the epoch, on Redis's clock); one that was removed stays so."""
        await self._redis.zadd(skipped_key(store), {str(order_id): int(due_at * 1000)}, xx=True)

    async def remove(self, store: str, *order_ids: int) -> None:
        """These orders need nothing more."""
        await self._due.done(store, *order_ids)

    async def all(self, store: str) -> list[int]:
        """All of the store's skipped orders, the newest first."""
        return sorted((int(order_id) for order_id in await self._redis.zrange(skipped_key(store), 0, -1)), reverse=True)

    async def people_changed(self, store: str, customer_id: int | None = None) -> None:
        """Have the orders of this customer tried again, who is a Company's buyer now.

        Without a customer it may be anybody: what is remembered of all of the store's customers is void from now on.
        """
        await lua.people_changed(
            self._redis,
            changed=people_changed_key(store),
            due=people_due_key(store),
            job=RETRY_SKIPPED.key(store),
            queue=RETRY_SKIPPED.queue,
            now_ms=script_time(self._clock),
            who=EVERYBODY if customer_id is None else str(customer_id),
            job_id=RETRY_SKIPPED.id(store),
            body=RETRY_SKIPPED.open_body(store),
            period_ms=int(PERIOD_S * 1000),
            keep_ms=int(KEEP_CHANGE_S * 1000),
        )

    async def changes(self, store: str) -> list[str]:
        """The changes that are due: each begins with a customer id, or with ``EVERYBODY``, and a colon."""
        due = people_due_key(store)
        return list(
            await lua.due_orders(self._redis, orders=due, now_ms=script_time(self._clock), ahead_ms=0, most=1000)
        )

    async def handled(self, store: str, changes: Iterable[str]) -> None:
        """Everything because of these changes is done."""
        async with self._redis.pipeline(transaction=True) as pipe:
            pipe.zrem(people_due_key(store), *changes)
            pipe.delete(people_asked_key(store))
            await pipe.execute()

    async def asked(self, store: str, change: str) -> set[int]:
        """The customers that B2B Edition was asked about because of this change."""
        members = await self._redis.smembers(people_asked_key(store))  # type: ignore[misc]
        pairs = (member.decode().split("/") for member in members)
        return {int(customer) for about, customer in pairs if about == change}

    async def note_asked(self, store: str, change: str, customer_id: int) -> None:
        """Remember that this customer was asked about, in case the job is interrupted."""
        async with self._redis.pipeline(transaction=False) as pipe:
            pipe.sadd(people_asked_key(store), f"{change}/{customer_id}")
            pipe.expire(people_asked_key(store), int(KEEP_CHANGE_S))
            await pipe.execute()
