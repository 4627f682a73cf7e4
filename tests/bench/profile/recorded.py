"""``python -m tests.bench.profile.recorded receiver|worker``: the product's own processes, with spans of each order.

The spans are written when the process ends, into the file that ``BENCH_SPANS`` names. The product's code is the same;
only functions that tell where an order's time goes are replaced by ones that record.
"""

import os
import sys
import time
from collections.abc import Callable
from inspect import iscoroutinefunction
from pathlib import Path
from typing import Any

from service.process.lean_imports import import_lean_libraries
from tests.bench.profile import spans

SPANS = "BENCH_SPANS"
RECEIVER_ROOT, WORKER_ROOT = "receiver", "the job"
WAKE, CLAIM, ACCEPT, CREATE = "woken", "redis claim_jobs", "redis enqueue_order", "call Create an Order"

_REDIS = "redis "


def record_redis() -> None:
    """Record each exchange with Redis by its script or command, and each connection that is set up for it."""
    from redis.asyncio.client import Pipeline
    from redis.asyncio.connection import AbstractConnection

    from service.redis.pipelining import PipeliningRedis
    from service.redis.scripts import Script

    spans.record(Script, "__call__", lambda script, *_, **__: f"{_REDIS}{script.name}")
    _record_exchange(PipeliningRedis, "execute_command", lambda _, *words, **__: _command(*words))
    _record_exchange(Pipeline, "execute", lambda pipe, *_, **__: "+".join(each[0][0] for each in pipe.command_stack))
    spans.record(AbstractConnection, "connect", "Redis: set up the connection")


def record_worker() -> None:
    """Record what a worker does for an order, from the claim of its job on."""
    from aiohttp import TCPConnector

    from service.bigcommerce import transport
    from service.bigcommerce.connection_pool import AiohttpTransport
    from service.orders.document.batch_loader import OrderLoader
    from service.orders.state.job_kinds import WINDOW
    from service.rules.rule_evaluation import RuleSet
    from workers.job_leases import LeasedWorker
    from workers.orders.attempts import Jobs
    from workers.orders.lifecycle import Lifecycle
    from workers.orders.steps.order_configs import OrderConfigs
    from workers.orders.steps.write_guard import WriteGuard

    spans.record(transport.Transport, "exchange", lambda _, __, call, *___, **____: f"call {call.operation}")
    spans.record(AiohttpTransport, "handle_async_request", "until the answer's head")
    spans.record(TCPConnector, "_create_connection", "set up the connection")
    spans.record(transport, "_read", "read the body, parse JSON")
    spans.record_sync(RuleSet, "evaluate", "evaluate the rules")
    for owner in (Jobs, Lifecycle, OrderConfigs, WriteGuard, OrderLoader):
        for name, function in list(vars(owner).items()):
            if iscoroutinefunction(function):
                spans.record(owner, name, f"{owner.__name__}.{name}")
    _record_jobs(LeasedWorker, WINDOW.queue, WINDOW.function)


def record_receiver() -> None:
    """Record what a receiver does for an order, from the first byte of its webhook to the answer."""
    from service.orders.state.queue import Queue
    from service.receiver.http_protocol import HTTPProtocol
    from service.receiver.webhook_endpoint import Receiver

    feed, accept, receive = HTTPProtocol.data_received, Queue.accept, Receiver.receive
    roots: dict[int, spans.Span] = {}

    def data_received(self: HTTPProtocol, data: bytes) -> None:
        root = spans.start(RECEIVER_ROOT, outermost=True)
        token = spans.current.set(root)
        try:
            feed(self, data)
        finally:
            spans.current.reset(token)
        root.ended = root.ended or time.monotonic()
        roots[root.id] = root

    async def recorded_receive(self: Receiver, request: Any) -> Any:
        root = spans.current.get()
        try:
            with spans.span("Receiver.receive: read, check the signature, log"):
                return await receive(self, request)
        finally:
            if root:
                root.ended = time.monotonic()
                roots.pop(root.id, None)

    async def recorded_accept(self: Queue, webhook: Any) -> Any:
        inner = spans.current.get()
        if inner and (root := roots.get(inner.parent)):
            root.order = f"{webhook.store_hash}:{webhook.order_id}"
        return await accept(self, webhook)

    HTTPProtocol.data_received = data_received  # type: ignore[method-assign]
    Receiver.receive = recorded_receive  # type: ignore[method-assign]
    Queue.accept = recorded_accept  # type: ignore[method-assign]


def _record_exchange(owner: Any, name: str, naming: spans.Naming) -> None:
    """Record an exchange with Redis, unless it is the way of one that is recorded already."""
    original = getattr(owner, name)

    async def recorded(*args: Any, **named: Any) -> Any:
        inside = spans.current.get()
        if inside is None or inside.name.startswith(_REDIS):
            return await original(*args, **named)
        with spans.span(_REDIS + naming(*args, **named)):
            return await original(*args, **named)

    setattr(owner, name, recorded)


def _command(*words: Any) -> str:
    """A command and its key without store and order: ``GET enrich:paused``."""
    key = words[1].decode() if len(words) > 1 and isinstance(words[1], bytes) else str(words[1]) if words[1:] else ""
    return f"{words[0]} {':'.join(key.split(':')[:2])}".strip()


def _record_jobs(worker: Any, queue: str, function: str) -> None:
    """Record wake-ups, the claims that found orders, and the orders' jobs."""
    wake, claim, start, run = worker.wake, worker.claim_due_jobs, worker._start, worker.run_job

    def woken(self: Any) -> None:
        if self.queue_name == queue:
            spans.start(WAKE, outermost=True).ended = time.monotonic()
        wake(self)

    async def claiming(self: Any) -> None:
        if self.queue_name != queue:
            await claim(self)
            return
        # Its exchange is what is recorded; the rest is the loop that waits for the next orders.
        with spans.span("poll", outermost=True):
            await claim(self)

    def started(self: Any, job_id: str, lease: Any) -> None:
        if polled := spans.current.get():
            _note_claim(polled, job_id)
        token = spans.current.set(None)  # the job's own spans do not belong to the poll
        start(self, job_id, lease)
        spans.current.reset(token)

    async def running(self: Any, job_id: str, score: int) -> None:
        if job_id.partition(":")[0] != function:
            await run(self, job_id, score)
            return
        with spans.span(WORKER_ROOT, order=job_id.partition(":")[2], outermost=True):
            await run(self, job_id, score)

    worker.wake, worker.claim_due_jobs, worker._start, worker.run_job = woken, claiming, started, running


def _note_claim(polled: spans.Span, job_id: str) -> None:
    """Record the exchange of this poll as the claim of an order."""
    exchange = next((each for each in reversed(spans.spans) if each.parent == polled.id), None)
    if exchange and exchange.name == CLAIM:
        claimed = spans.start(CLAIM, order=job_id.partition(":")[2], outermost=True)
        claimed.began, claimed.ended = exchange.began, exchange.ended


def _receiver() -> int:
    from service.cli import main

    record_redis()
    record_receiver()
    try:
        main()
    except SystemExit as end:
        return int(end.code or 0)
    return 0


def _worker() -> int:
    from workers.startup import main

    record_redis()
    record_worker()
    return main()


_MAINS: dict[str, Callable[[], int]] = {"receiver": _receiver, "worker": _worker}

if __name__ == "__main__":
    import_lean_libraries()
    name = sys.argv.pop(1)
    code = _MAINS[name]()
    spans.write(Path(f"{os.environ[SPANS]}.{name}"))
    sys.exit(code)
