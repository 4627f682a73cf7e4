"""The services that the bench holds beside each other: ours, and the least ones in Python and in Node.js."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

from service.orders.state.order_entry import Stage
from tests.bench.peers.node import NODE
from tests.bench.peers.python_peer import READY_KEY, VERIFIED_KEY
from tests.bench.rig.job_feeder import JobFeeder
from tests.bench.rig.processes import HOST, Rig, free_port_number, wait_until_up
from tests.fakes.deployment import Process

OURS, PYTHON, NODE_JS = "ours", "Python", "Node.js"

Order = tuple[str, int]

_START_S = 60.0
_VERIFIED_S = 120.0
_POLL_INTERVAL_S = 0.02


@dataclass(frozen=True, slots=True)
class Service:
    """A running receiver with its worker. ``verified`` waits for all orders that were ever sent, and returns when
    each was verified, in Unix seconds."""

    receiver: Process
    worker: Process
    url: str
    verified: Callable[[Sequence[Order]], Awaitable[list[float]]]


def contenders() -> dict[str, Callable[[Rig], Awaitable[Service]]]:
    """How each is started, by its name. Node.js is left out where it is not installed."""
    started: dict[str, Callable[[Rig], Awaitable[Service]]] = {OURS: _start_ours, PYTHON: _start_python}
    return started | ({NODE_JS: _start_node} if NODE else {})


async def _start_ours(rig: Rig) -> Service:
    (receiver, url), (worker,) = await asyncio.gather(rig.start_receiver(), rig.start_workers())

    async def verified(orders: Sequence[Order]) -> list[float]:
        await rig.created(len(orders))
        entries = await JobFeeder(rig, fed=list(orders)).all_verified(_VERIFIED_S)
        return [entry.times[Stage.VERIFIED] for entry in entries]

    return Service(receiver, worker, url, verified)


async def _start_python(rig: Rig) -> Service:
    module, port = "tests.bench.peers.python_peer", free_port_number()
    receiver = rig.start("receiver", module, "receiver", f"--port={port}")
    worker = rig.start("worker", module, "worker", f"--url={rig.upstream_url}")
    return await _started(rig, receiver, worker, port)


async def _start_node(rig: Rig) -> Service:
    module, port = "tests.bench.peers.node", free_port_number()
    receiver = rig.start("receiver", module, "receiver", str(port))
    worker = rig.start("worker", module, "worker", rig.upstream_url)
    return await _started(rig, receiver, worker, port)


async def _started(rig: Rig, receiver: Process, worker: Process, port: int) -> Service:
    await wait_until_up(f"http://{HOST}:{port}/readyz", receiver, rig.client)
    async with asyncio.timeout(_START_S):
        while not await rig.redis.exists(READY_KEY):
            assert worker.returncode is None, worker.text
            await asyncio.sleep(_POLL_INTERVAL_S)

    async def verified(orders: Sequence[Order]) -> list[float]:
        async with asyncio.timeout(_VERIFIED_S):
            while await rig.redis.zcard(VERIFIED_KEY) < len(orders):
                assert worker.returncode is None, worker.text
                await asyncio.sleep(_POLL_INTERVAL_S)
        return [at for _, at in await rig.redis.zrange(VERIFIED_KEY, 0, -1, withscores=True)]

    return Service(receiver, worker, f"http://{HOST}:{port}/webhooks/bigcommerce", verified)
