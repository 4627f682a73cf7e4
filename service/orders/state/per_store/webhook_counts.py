"""How many webhooks the receivers accepted and refused lately, and why: by store where that is known.

A refused webhook proves nothing about who sent it. So only stores that are configured are counted by name, and the
receivers add their counts every few seconds instead of writing for each request.
"""

from collections.abc import Mapping

from redis.asyncio import Redis

from service.orders.state.keys import webhook_counts_key

ACCEPTED = "accepted"
WRONG_PATH = "wrong_path"
"""A request to a path below ``/webhooks`` that the receiver does not have. Other counts are reasons of a refusal."""

NO_STORE = ""
"""The store of requests of which it is not known."""

SPAN_S = 300
"""Counts are kept in spans of five minutes."""

HOUR_S = 3600

Counts = dict[str, int]


class WebhookCounts:
    """The counts of all receivers. Times are Unix seconds; errors are Redis's own."""

    def __init__(self, redis: Redis) -> None:
        self._redis = redis

    async def add(self, counts: Mapping[tuple[str, str], int], *, now: float) -> None:
        """Add what came since the last call, by store and reason."""
        if not counts:
            return
        key = webhook_counts_key(int(now) // SPAN_S)
        async with self._redis.pipeline(transaction=False) as pipe:
            for (store, reason), count in counts.items():
                pipe.hincrby(key, f"{store}:{reason}", count)
            pipe.expire(key, HOUR_S + 2 * SPAN_S)
            await pipe.execute()

    async def of_last_hour(self, *, now: float) -> dict[str, Counts]:
        """For each store, and ``NO_STORE``, how many came in the last hour by reason, to within five minutes."""
        newest = int(now) // SPAN_S
        async with self._redis.pipeline(transaction=False) as pipe:
            for span in range(newest - HOUR_S // SPAN_S, newest + 1):
                pipe.hgetall(webhook_counts_key(span))
            spans = await pipe.execute()
        found: dict[str, Counts] = {}
        for name, count in ((name.decode(), int(count)) for span in spans for name, count in span.items()):
            store, _, reason = name.partition(":")
            of_store = found.setdefault(store, {})
            of_store[reason] = of_store.get(reason, 0) + count
        return found
