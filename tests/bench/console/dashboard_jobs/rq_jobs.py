"""Jobs for rq: put into its queue, or, with ``work``, run there. Runs in the other dashboards' own environment."""

import logging
import os
import sys

from redis import Redis
from rq import Queue, SimpleWorker


def enrich(store: str, order_id: int) -> str:
    """What an order leaves in the list of jobs."""
    if order_id % 50 == 0:
        raise ValueError(f"Order {order_id} of {store}: Account No is missing")
    return f"PO-{order_id}"


def _main(count: int) -> None:
    redis = Redis.from_url(os.environ["BENCH_PEERS_REDIS"])
    queue = Queue("orders", connection=redis)
    for begin in range(0, count, 500):
        queue.enqueue_many(
            [
                Queue.prepare_data("rq_jobs.enrich", (f"s{number % 10}", 1000 + number), result_ttl=86_400)
                for number in range(begin, min(begin + 500, count))
            ]
        )
    SimpleWorker([queue], connection=redis).work(burst=True, logging_level=logging.ERROR)


if __name__ == "__main__":
    _main(int(sys.argv[1]))
