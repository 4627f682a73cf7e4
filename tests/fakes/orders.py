"""Orders in the ledger for tests of ``enrich orders``, and a worker thread that finishes them."""

import asyncio
import json
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from service.orders.search import OrderFilter, find
from service.orders.state.ledger import Ledger
from service.orders.state.order_entry import Entry, Sent, Stage, Status
from service.orders.state.queue import Queue
from service.orders.state.transitions import Transitions
from service.redis.client import connect
from tests.fakes.cli import STORES, CommandResult

CREATED = 1_768_078_800.0
"""2026-01-10T21:00:00Z"""


def enriched(order_id: int = 250, store: str = "abc123") -> Entry:
    return Entry(
        store,
        order_id,
        status=Status.CREATED,
        verified=True,
        po_number="PO-4711",
        fields={"Cost Center": "CC-210"},
        kept=["Source"],
        dropped={"Ship Window": "longer than 200 characters"},
        customer_id=101,
        source="webhook",
        webhook_id="msg_1",
        skew=0.25,
        attempts=1,
        upstream_calls=4,
        create_age=1.75,
        sent=Sent("create", "PO-4711", {"Cost Center": "CC-210"}, answered=True),
        times={Stage.CREATED: CREATED, Stage.WEBHOOK_SENT: CREATED + 1, Stage.SENT: CREATED + 1.5},
    )


def failed(order_id: int = 251, store: str = "abc123", reason: str = "Cost Center") -> Entry:
    return Entry(store, order_id, status=Status.FAILED, reason=reason)


def with_stores(folder: Path, *hashes: str) -> None:
    """Write a stores file with these stores."""
    (folder / "stores.toml").write_text("".join(STORES.replace("abc123", name) for name in hashes))


def listed(ran: CommandResult) -> list[Any]:
    """The store and ID of each order in a JSON list."""
    assert (ran.code, ran.err) == (0, "")
    return [(order["store"], order["order_id"]) for order in json.loads(ran.out)]


def entries(redis_url: str, order_ids: Sequence[int], store: str = "abc123") -> list[Entry]:
    """The ledger's entries of these orders."""

    async def read() -> list[Entry]:
        async with connect(redis_url) as redis:
            return await Ledger(redis).get_many(store, order_ids)

    return asyncio.run(read())


def put_into_recovery(redis_url: str, entry: Entry) -> None:
    """Put an order into the recovery queue, after a first attempt."""

    async def recover() -> None:
        async with connect(redis_url) as redis:
            await Queue(redis).enqueue(entry.store, entry.order_id, source="webhook")
            begun, _ = await Transitions(redis).begin_attempt(entry.store, entry.order_id)
            begun.trouble = entry.trouble
            await Transitions(redis).to_recovery(begun, 3600.0)

    asyncio.run(recover())


@contextmanager
def worker_thread(redis_url: str, attempt: Callable[[Entry], None], store: str = "abc123") -> Iterator[None]:
    """A worker in another thread: ``attempt`` sets the outcome of a queued order, or leaves it queued."""
    alive, stop = threading.Event(), threading.Event()

    async def work() -> None:
        async with connect(redis_url) as redis:
            transitions = Transitions(redis)
            while not stop.is_set():
                await Queue(redis).heartbeat("test", 0)
                alive.set()
                for entry in await find(redis, [store], OrderFilter(status=Status.QUEUED)):
                    begun, _ = await transitions.begin_attempt(store, entry.order_id)
                    attempt(begun)
                    await (transitions.finish(begun) if begun.status.is_final else transitions.save(begun))
                await asyncio.sleep(0.02)

    thread = threading.Thread(target=lambda: asyncio.run(work()))
    thread.start()
    try:
        assert alive.wait(30)
        yield
    finally:
        stop.set()
        thread.join()


def let_wait_for_a_value(redis_url: str, entry: Entry, rule: str) -> None:
    """Let the order wait for the value of a required rule."""

    async def wait() -> None:
        async with connect(redis_url) as redis:
            assert await Transitions(redis).await_value(entry, rule, retry_in=60.0)

    asyncio.run(wait())
