"""A Celery app with one task. Runs in the other dashboards' own environment: nothing of this project is there."""

import os

from celery import Celery


def enrich(store: str, order_id: int) -> str:
    """What an order leaves in the list of tasks."""
    if order_id % 50 == 0:
        raise ValueError(f"Order {order_id} of {store}: Account No is missing")
    return f"PO-{order_id}"


app = Celery("bench", broker=os.environ["BENCH_PEERS_REDIS"])
app.conf.update(worker_send_task_events=True, task_ignore_result=True, broker_connection_retry_on_startup=True)
task = app.task(name="bench.enrich")(enrich)

if __name__ == "__main__":
    import sys

    with app.producer_pool.acquire() as producer:
        for number in range(int(sys.argv[1])):
            task.apply_async((f"s{number % 10}", 1000 + number), producer=producer)
