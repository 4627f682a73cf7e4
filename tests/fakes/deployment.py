"""A deployment for tests: receiver and workers as processes, a real Redis, and a sandbox over HTTP."""

import asyncio
import json
import os
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx

from service.orders.state.keys import cursor_key
from service.orders.state.ledger import Ledger
from service.orders.state.order_entry import Entry, Status
from service.orders.state.queue import Queue
from service.redis.client import connect
from service.sandbox.demo import DEMO_STORE
from service.sandbox.specs import SANDBOX_ACCESS_TOKEN, SANDBOX_CLIENT_SECRET
from tests.fakes.redis.server import RedisServer, running_redis
from tests.fakes.sandbox import RunningSandbox, kept_port, running_sandbox
from workers.periodic.cursor import Cursor

HOST = "127.0.0.1"
ADA, CLEO, EVE, ZOE, GUEST = 101, 103, 105, 199, 0

RULES = r"""
[stores.{store}]
access_token      = "env:TEST_ACCESS_TOKEN"
client_secret     = "env:TEST_CLIENT_SECRET"
incomplete_orders = "wait"
po_number         = "order.billing_address.form_fields[?name=='PO Number'].value | [0]"

[stores.{store}.extra_fields]
"Account No" = {{ from = 'company.extraFields."ERP Account"', required = true }}
"""


class Process:
    """A child process with its log."""

    def __init__(
        self,
        name: str,
        arguments: Sequence[str],
        environ: dict[str, str],
        folder: Path,
        *,
        run_by: Sequence[str] = (),
    ) -> None:
        """``run_by`` are words in front of the command line, such as ``ip netns exec …``."""
        self.name = name
        self._log = folder / f"{name}.log"
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                [*run_by, sys.executable, "-m", *arguments],
                env={**os.environ, **environ},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def returncode(self) -> int | None:
        return self._process.poll()

    def signal(self, number: signal.Signals) -> None:
        self._process.send_signal(number)

    async def wait(self, within_s: float = 30.0) -> int:
        """Wait until the process exits by itself; returns the exit code."""
        return await asyncio.to_thread(self._process.wait, within_s)

    async def stop(self) -> int:
        """Send SIGTERM, and wait; returns the exit code."""
        if self.returncode is None:
            self.signal(signal.SIGCONT)
            self.signal(signal.SIGTERM)
        return await self.wait()

    def kill(self) -> None:
        self._process.kill()
        self._process.wait()

    @property
    def text(self) -> str:
        """Everything that the process has logged."""
        return self._log.read_text()

    def events(self, name: str | None = None) -> list[dict[str, Any]]:
        """The complete log lines, all or those of one event."""
        written = self.text.rpartition("\n")[0]
        lines = [json.loads(line) for line in written.splitlines() if line.startswith("{")]
        return [line for line in lines if name is None or line["event"] == name]


@dataclass(slots=True)
class Deployment:
    """One receiver, some workers, Redis, and the sandbox with its stores."""

    sandbox: RunningSandbox
    redis: RedisServer
    ledger: Ledger
    queue: Queue
    url: str
    stores: Sequence[str]
    environ: dict[str, str]
    folder: Path
    web: Process
    worker_module: str = "workers"
    workers: list[Process] = field(default_factory=list)

    @property
    def processes(self) -> list[Process]:
        """The receiver and all workers, also those that have died."""
        return [self.web, *self.workers]

    def start_worker(self) -> Process:
        worker = Process(f"worker-{len(self.workers)}", [self.worker_module], self.environ, self.folder)
        self.workers.append(worker)
        return worker

    def start_web(self) -> None:
        """Start the receiver again on its port, after it was killed."""
        self.web = _start_web(httpx.URL(self.url).port or 0, self.environ, self.folder)

    async def ready(self, workers: int) -> None:
        """Wait until the receiver is ready and this many workers are alive."""
        async with httpx.AsyncClient(base_url=self.url, trust_env=False) as client, asyncio.timeout(40):
            while True:
                try:
                    answer = await client.get("/readyz")
                    if answer.status_code == 200 and answer.json()["workers"] == workers:
                        return
                except httpx.HTTPError:
                    assert self.web.returncode is None, self.web.text
                await asyncio.sleep(0.05)

    async def wait_until_reconciled(self, *, store: str | None = None, within_s: float = 30.0) -> None:
        """Wait until the workers have listed the store's orders once, as they do when they start.

        From then on no order is found without its webhook until the next interval is over.
        """
        redis = connect(self.redis.url)
        try:
            async with asyncio.timeout(within_s):
                while True:
                    cursor = await Cursor.read(redis, cursor_key(store or self.stores[0]))
                    if cursor is not None and cursor.since is not None:
                        return
                    await asyncio.sleep(0.05)
        finally:
            await redis.aclose()

    async def place(self, number: int, *, store: str | None = None, customer_id: int = ADA, **fields: Any) -> int:
        """Place an order with the PO ``PO-<number>``; returns its ID."""
        form = {"billing_address": {"form_fields": [{"name": "PO Number", "value": f"PO-{number}"}]}}
        placed = await self.sandbox.place_order(store or self.stores[0], customer_id=customer_id, **{**form, **fields})
        order_id: int = placed["id"]
        return order_id

    async def wait_until_finished(
        self, order_ids: Iterable[int], *, store: str | None = None, within_s: float = 30.0
    ) -> dict[int, Entry]:
        """Wait until the orders are finished; returns their entries."""
        store = store or self.stores[0]
        waiting, entries = set(order_ids), dict[int, Entry]()
        try:
            async with asyncio.timeout(within_s):
                while waiting:
                    for order_id in list(waiting):
                        entry = await self.ledger.get(store, order_id)
                        if entry is not None and entry.status.is_final:
                            entries[order_id] = entry
                            waiting.remove(order_id)
                    await asyncio.sleep(0.05)
        except TimeoutError:
            stuck = [await self.ledger.get(store, order_id) for order_id in sorted(waiting)[:3]]
            raise AssertionError(f"{len(waiting)} orders are not finished, such as {stuck}") from None
        return entries

    async def wait_until_waiting(self, order_id: int, *, within_s: float = 30.0) -> None:
        """Wait until the order waits for a status change."""
        async with asyncio.timeout(within_s):
            while True:
                entry = await self.ledger.get(self.stores[0], order_id)
                if entry is not None and entry.status is Status.WAITING:
                    return
                await asyncio.sleep(0.05)

    async def assert_enriched(self, orders: dict[int, int], *, store: str | None = None) -> None:
        """Assert that every order's record in the sandbox has its own PO, and that none was created twice."""
        for order_id, number in orders.items():
            seen = await self.sandbox.order(order_id, store or self.stores[0])
            assert seen["record"]["po_number"] == f"PO-{number}", seen
            assert seen["record"]["extra_fields"]["Account No"] == "ERP-10001", seen
            counts = Counter(write["operation"] for write in seen["writes"])
            assert counts["Create an Order"] <= 1, seen


def outcomes(entries: dict[int, Entry]) -> Counter[Status]:
    return Counter(entry.status for entry in entries.values())


def configured(folder: Path, api_url: str, redis_url: str, *, stores: Sequence[str], rules: str) -> dict[str, str]:
    """Write the stores file of a sandbox at this URL; returns the environment of the processes."""
    stores_file = folder / "stores.toml"
    header = f'[bigcommerce]\napi_url = "{api_url}"\nb2b_api_url = "{api_url}"\n'
    stores_file.write_text(header + "".join(rules.format(store=store) for store in stores))
    return {
        "REDIS_URL": redis_url,
        "ENRICH_CONFIG": str(stores_file),
        "ENRICH_LOG_FORMAT": "json",
        "ENRICH_LOG_LEVEL": "DEBUG",
        "ENRICH_METRICS_PORT": "0",
        "TEST_ACCESS_TOKEN": SANDBOX_ACCESS_TOKEN,
        "TEST_CLIENT_SECRET": SANDBOX_CLIENT_SECRET,
    }


@asynccontextmanager
async def deployed(
    folder: Path,
    *,
    workers: int = 1,
    stores: Sequence[str] = ("sandbox",),
    rules: str = RULES,
    redis: AbstractAsyncContextManager[RedisServer] | None = None,
    worker_module: str = "workers",
    **options: Any,
) -> AsyncIterator[Deployment]:
    """Start everything, and register the webhooks of a sandbox with these options."""
    async with AsyncExitStack() as stack:
        sandbox = await stack.enter_async_context(running_sandbox(**options))
        server = await stack.enter_async_context(redis or running_redis())
        client = await stack.enter_async_context(connect(server.url, socket_timeout=10.0))
        port = stack.enter_context(kept_port())
        environ = configured(folder, sandbox.url, server.url, stores=stores, rules=rules)
        web = _start_web(port, environ, folder)
        deployment = Deployment(
            sandbox,
            server,
            Ledger(client),
            Queue(client),
            f"http://{HOST}:{port}",
            stores,
            environ,
            folder,
            web,
            worker_module,
        )
        stack.push_async_callback(_stop, deployment)
        await deployment.ready(0)
        # Before the workers start: they would see that the stores have no webhook, and begin to poll.
        for store in stores:
            await sandbox.put_store(store, **DEMO_STORE.model_dump(mode="json", by_alias=True))
            await register_hooks(sandbox, store, f"{deployment.url}/webhooks/bigcommerce")
        for _ in range(workers):
            deployment.start_worker()
        await deployment.ready(workers)
        yield deployment


def _start_web(port: int, environ: dict[str, str], folder: Path) -> Process:
    return Process("web", ["service.cli", "web", "--port", str(port)], environ, folder)


async def register_hooks(sandbox: RunningSandbox, store: str, destination: str) -> None:
    for scope in ("store/order/created", "store/order/statusUpdated"):
        hook = {"scope": scope, "destination": destination, "is_active": True}
        answer = await sandbox.api.post(f"/stores/{store}/v3/hooks", json=hook)
        answer.raise_for_status()


async def _stop(deployment: Deployment) -> None:
    for process in deployment.processes:
        await process.stop()
