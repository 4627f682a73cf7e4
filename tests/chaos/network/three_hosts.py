"""Three hosts, each with a Redis, a Sentinel and a worker, two of them with a receiver; BigCommerce is on a fourth.

Each host reaches BigCommerce over a link of its own, and on request Redis as well: then ``REDIS_URL`` is one name, and
behind it is a proxy on the host that leads to the master which the Sentinels name. Webhooks come in by a load balancer.
"""

import asyncio
import functools
import socket
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import pytest
from redis.exceptions import RedisError

from service.orders.state.ledger import Ledger
from service.orders.state.queue import Queue
from service.process.task_cancellation import cancel_and_wait
from service.redis.client import connect
from tests.chaos.network.links import Dial, Link
from tests.chaos.network.load_balancer import RECEIVER_PORT, LoadBalancer
from tests.chaos.network.namespaces import Host, hosts, why_not
from tests.chaos.network.redis_hosts import REDIS_PORT, RedisOnHosts, dial, redis_on
from tests.fakes.deployment import RULES, Deployment, Process, configured, register_hooks
from tests.fakes.sandbox import RunningSandbox, sandbox_at

STORE = "sandbox"

# On the loopback of each host. The stores file takes http:// only there.
_BIGCOMMERCE_PORT, _REDIS_NAME_PORT = 9100, 6400
_START_TIMEOUT_S = 40.0
_ASK_SENTINEL_EVERY_S = 1.0


@dataclass(slots=True)
class ThreeHosts(Deployment):
    """``to_bigcommerce`` and ``to_redis`` are the hosts' links, in their order; a worker has the index of its host."""

    hosts: Sequence[Host] = ()
    receivers: list[Process] = field(default_factory=list)
    to_bigcommerce: list[Link] = field(default_factory=list)
    to_redis: list[Link] = field(default_factory=list)

    @property
    def processes(self) -> list[Process]:
        return [*self.receivers, *self.workers]

    @property
    def redis_hosts(self) -> RedisOnHosts:
        assert isinstance(self.redis, RedisOnHosts)
        return self.redis

    def enriched_by(self, worker: int) -> int:
        """How many orders this host's worker has finished so far."""
        return len(self.workers[worker].events("order_enriched"))


@asynccontextmanager
async def three_hosts(
    folder: Path, *, redis_behind_a_proxy: bool = False, redis_options: Sequence[str] = ()
) -> AsyncIterator[ThreeHosts]:
    """Start everything, and register the webhooks. Skips the test where hosts cannot be made."""
    if reason := why_not():
        pytest.skip(reason)
    async with AsyncExitStack() as stack:
        one, two, three, bigcommerce = await stack.enter_async_context(hosts("1", "2", "3", "bigcommerce"))
        machines = [one, two, three]
        sandbox = await stack.enter_async_context(_sandbox_on(bigcommerce, folder))
        redis = await stack.enter_async_context(redis_on(machines, folder, *redis_options))
        client = await stack.enter_async_context(connect(redis.url, socket_timeout=10.0))
        to_bigcommerce = [
            await _link(stack, host, _BIGCOMMERCE_PORT, functools.partial(dial, host, bigcommerce.address, 9100))
            for host in machines
        ]
        to_redis = []
        for host in machines if redis_behind_a_proxy else []:
            master = _Master(redis, host)
            await stack.enter_async_context(master.following())
            to_redis.append(await _link(stack, host, _REDIS_NAME_PORT, master.dial))
        url = await stack.enter_async_context(LoadBalancer([one, two]).serving())
        environ = _environ(folder, f"redis://127.0.0.1:{_REDIS_NAME_PORT}/0" if redis_behind_a_proxy else redis.url)
        words = ["service.cli", "web", "--host", "0.0.0.0", "--port", str(RECEIVER_PORT)]
        deployment = ThreeHosts(
            sandbox,
            redis,
            Ledger(client),
            Queue(client),
            url,
            [STORE],
            environ,
            folder,
            _start(one, "web-1", words, environ, folder),
            hosts=machines,
            to_bigcommerce=to_bigcommerce,
            to_redis=to_redis,
        )
        stack.push_async_callback(_stop, deployment)
        deployment.receivers = [deployment.web, _start(two, "web-2", words, environ, folder)]
        await deployment.ready(0)
        await register_hooks(sandbox, STORE, f"{deployment.url}/webhooks/bigcommerce")
        for host in machines:
            deployment.workers.append(_start(host, f"worker-{host.name}", ["workers"], environ, folder))
        await deployment.ready(len(machines))
        yield deployment


def _start(host: Host, name: str, words: Sequence[str], environ: dict[str, str], folder: Path) -> Process:
    return Process(name, words, environ, folder, run_by=host.command())


async def _stop(deployment: ThreeHosts) -> None:
    await asyncio.gather(*(process.stop() for process in deployment.processes))


def _environ(folder: Path, redis_url: str) -> dict[str, str]:
    return configured(folder, f"http://127.0.0.1:{_BIGCOMMERCE_PORT}", redis_url, stores=[STORE], rules=RULES)


async def _link(stack: AsyncExitStack, host: Host, port: int, to: Dial) -> Link:
    """A link from a port on the host's loopback."""
    link = Link(to)
    with host.inside():
        listener = socket.create_server(("127.0.0.1", port), backlog=500)
    await stack.enter_async_context(link.serving(listener))
    return link


class _Master:
    """What a proxy on a host knows of the master: it asks the Sentinels again and again."""

    def __init__(self, redis: RedisOnHosts, host: Host) -> None:
        self._redis, self._host = redis, host
        self._master = redis.hosts[0]

    @asynccontextmanager
    async def following(self) -> AsyncIterator[None]:
        asking = asyncio.create_task(self._ask())
        try:
            yield
        finally:
            await cancel_and_wait([asking])

    async def _ask(self) -> None:
        while True:
            with suppress(RedisError, OSError):
                self._master = await self._redis.master(self._host)
            await asyncio.sleep(_ASK_SENTINEL_EVERY_S)

    async def dial(self) -> socket.socket:
        return await dial(self._host, self._master.address, REDIS_PORT, timeout_s=1.0)


@asynccontextmanager
async def _sandbox_on(host: Host, folder: Path) -> AsyncIterator[RunningSandbox]:
    """A sandbox whose quotas do not limit, and which repeats a refused webhook after 15 s, 45 s, …"""
    words = ["--host", "0.0.0.0", "--port", "9100", "--latency", "0.1", "--webhook-retry-scale", "0.25"]
    quotas = ["--core-quota", "100000", "--b2b-quota", "100000"]
    environ = {"ENRICH_LOG_FORMAT": "json"}
    process = _start(host, "sandbox", ["service.cli", "sandbox", *words, *quotas], environ, folder)
    try:
        async with sandbox_at(f"http://{host.address}:9100") as sandbox, asyncio.timeout(_START_TIMEOUT_S):
            while True:
                try:
                    await sandbox.calls(STORE)
                    break
                except httpx.HTTPError:
                    assert process.returncode is None, process.text
                await asyncio.sleep(0.05)
        async with sandbox_at(f"http://{host.address}:9100") as sandbox:
            yield sandbox
    finally:
        process.kill()
