"""The rig of the bench: Redis, the fake upstream, receivers and workers, each as a separate process."""

import asyncio
import json
import os
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
from redis.asyncio import Redis

from service.orders.state.job_kinds import from_json, to_json
from service.orders.state.ledger import Ledger
from service.orders.state.queue import Queue
from service.redis.client import connect
from service.redis.embedded.server import EmbeddedRedis
from tests.bench.fake_bigcommerce.response_templates import ACCOUNT_FIELD, PO_FIELD
from tests.fakes.deployment import Process
from tests.fakes.sandbox import free_port

HOST = "127.0.0.1"
SECRET = "the client secret of the bench"
STORES = 20
"""How many stores get orders by default; each has its own quotas, batching and verification."""

_START_S = 60.0
_POLL_INTERVAL_S = 0.01

_RULES = f"""
[stores.{{store}}]
access_token  = "env:BENCH_TOKEN"
client_secret = "env:BENCH_SECRET"
po_number     = "order.billing_address.form_fields[?name=='{PO_FIELD}'].value | [0]"

[stores.{{store}}.extra_fields]
"{ACCOUNT_FIELD}" = "order.billing_address.form_fields[?name=='{ACCOUNT_FIELD}'].value | [0]"
"""


@dataclass(frozen=True, slots=True)
class Counts:
    """The upstream's counts: records created, calls by operation, and rows that lists returned."""

    created: int
    calls: dict[str, int]
    rows: dict[str, int]

    def since(self, before: "Counts") -> "Counts":
        """The difference to an earlier count."""
        return Counts(
            self.created - before.created,
            {name: count - before.calls.get(name, 0) for name, count in self.calls.items()},
            {name: count - before.rows.get(name, 0) for name, count in self.rows.items()},
        )


@dataclass(slots=True)
class Rig:
    """The running rig. ``stores`` are those that get orders; the stores file may have more."""

    folder: Path
    redis_url: str
    redis: Redis
    queue: Queue
    ledger: Ledger
    stores: Sequence[str]
    configured: int
    upstream_url: str
    client: httpx.AsyncClient
    environ: dict[str, str]
    processes: list[Process] = field(default_factory=list)

    def start(self, name: str, *arguments: str) -> Process:
        """Start a Python module as a process that is stopped with the rig."""
        process = Process(f"{len(self.processes)}-{name}", arguments, self.environ, self.folder)
        self.processes.append(process)
        return process

    async def start_receiver(self, *module: str, within_s: float = _START_S) -> tuple[Process, str]:
        """Start a receiver, or one by another entry point; returns the process and the URL for webhooks."""
        port = free_port_number()
        process = self.start("receiver", *(module or ("service.cli",)), "web", "--port", str(port))
        await wait_until_up(f"http://{HOST}:{port}/readyz", process, self.client, within_s=within_s)
        return process, f"http://{HOST}:{port}/webhooks/bigcommerce"

    async def start_workers(
        self, count: int = 1, *, module: Sequence[str] = ("workers",), within_s: float = _START_S
    ) -> list[Process]:
        """Start workers, and wait for their first periodic tasks of every store: the next ones come a minute later."""
        before = await self.counts()
        workers = [self.start("worker", *module) for _ in range(count)]
        periodic_calls = ("Get All Orders", "Get Admin Info")
        async with asyncio.timeout(within_s):
            while True:
                calls = (await self.counts()).since(before).calls
                is_quiet = all(calls.get(call, 0) >= self.configured for call in periodic_calls)
                if is_quiet and (await self.queue.counts()).workers == count:
                    return workers
                for worker in workers:
                    assert worker.returncode is None, worker.text
                await asyncio.sleep(0.05)

    async def counts(self) -> Counts:
        """The upstream's counts so far."""
        return Counts(**(await self.client.get(f"{self.upstream_url}/bench/counts")).json())

    async def created(self, count: int) -> None:
        """Wait until the upstream has created so many records."""
        while (await self.counts()).created < count:  # noqa: ASYNC110 - another process creates them
            await asyncio.sleep(_POLL_INTERVAL_S)

    async def times(self) -> dict[str, dict[int, list[float]]]:
        """By store and order: the times of the first read, of its answer, and of the Create."""
        times_by_store = (await self.client.get(f"{self.upstream_url}/bench/times")).json()
        return {
            store: {int(number): times for number, times in orders.items()} for store, orders in times_by_store.items()
        }


@asynccontextmanager
async def rigged(
    *,
    stores: int = STORES,
    fed: int | None = None,
    delay_ms: float = 0.0,
    table: Callable[[int, str, str], str] = lambda number, store, written: written,
) -> AsyncIterator[Rig]:
    """Start a new Redis and upstream with ``stores`` configured stores, of which the first ``fed`` get orders.

    ``table`` may change each store's table in the file: it gets the store's number, its hash and the table.
    """
    with tempfile.TemporaryDirectory(prefix="bench-") as name:
        folder = Path(name)
        port = free_port_number()
        url = f"http://{HOST}:{port}"
        names = [f"s{number}" for number in range(stores)]
        header = f'[bigcommerce]\napi_url = "{url}"\nb2b_api_url = "{url}"\n'
        tables = (table(number, store, _RULES.format(store=store)) for number, store in enumerate(names))
        (folder / "stores.toml").write_text(header + "".join(tables))
        async with EmbeddedRedis(folder / "redis") as redis, httpx.AsyncClient(trust_env=False) as client:
            connection = connect(redis.url, serializer=to_json, deserializer=from_json, socket_timeout=10.0)
            environ = {
                "REDIS_URL": redis.url,
                "ENRICH_CONFIG": str(folder / "stores.toml"),
                "ENRICH_LOG_FORMAT": "json",
                "ENRICH_LOG_LEVEL": "INFO",
                "ENRICH_METRICS_PORT": "0",
                "BENCH_TOKEN": "bench-access-token",
                "BENCH_SECRET": SECRET,
            }
            async with connection:
                queue, ledger = Queue(connection), Ledger(connection)
                rig = Rig(folder, redis.url, connection, queue, ledger, names[:fed], stores, url, client, environ)
                try:
                    upstream = rig.start(
                        "upstream", "tests.bench.fake_bigcommerce.upstream", f"--port={port}", f"--delay-ms={delay_ms}"
                    )
                    await wait_until_up(f"{url}/bench/counts", upstream, client)
                    yield rig
                finally:
                    for process in reversed(rig.processes):
                        await process.stop()


async def redis_version() -> str:
    """The version of the Redis of all rigs."""
    async with rigged(stores=1) as rig:
        return str((await rig.redis.info("server"))["redis_version"])


async def run_module(rig: Rig, *arguments: str) -> dict[str, Any]:
    """Run a module of the bench until it exits; returns the JSON object that it printed."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", *arguments, env={**os.environ, **rig.environ}, stdout=asyncio.subprocess.PIPE
    )
    output, _ = await process.communicate()
    assert process.returncode == 0, f"{' '.join(arguments)} failed"
    answer: dict[str, Any] = json.loads(output)
    return answer


def rss_mb(process: Process) -> float:
    """The resident memory of a process, in MB (10^6 bytes)."""
    status = Path(f"/proc/{process.pid}/status").read_text()
    (line,) = (line for line in status.splitlines() if line.startswith("VmRSS:"))
    return int(line.split()[1]) * 1024 / 1e6


def cpu_s(pid: int) -> float:
    """The CPU seconds that a process has used: the 14th and 15th field of its ``stat``."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def free_port_number() -> int:
    """A free port of the loopback interface."""
    with free_port() as listener:
        return int(listener.getsockname()[1])


async def wait_until_up(url: str, process: Process, client: httpx.AsyncClient, *, within_s: float = _START_S) -> None:
    """Wait until the process answers this URL with 200."""
    until = time.monotonic() + within_s
    while True:
        try:
            if (await client.get(url)).status_code == 200:
                return
        except httpx.TransportError:
            pass
        assert process.returncode is None, process.text
        assert time.monotonic() < until, f"{url} does not answer"
        await asyncio.sleep(0.05)
