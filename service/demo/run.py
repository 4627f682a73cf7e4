"""Runs the demo: starts everything, places the orders, watches them, and holds the outcome against what must be."""

import asyncio
import socket
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import stamina

from service.bigcommerce import Account, StoreApi, Transport
from service.bigcommerce.hooks import ORDER_CREATED, STATUS_UPDATED
from service.bigcommerce.http_client import http_client
from service.configuration import load_configuration
from service.demo.orders import STORES_FILE, DemoOrder, demo_orders
from service.errors import EnrichError
from service.orders.create_window import LENGTH_S
from service.orders.state.entry import Entry, Stage, Status
from service.orders.state.ledger import Ledger
from service.process.supervisor import Supervisor
from service.redis.client import connect
from service.redis.embedded import EmbeddedRedis
from service.sandbox.specs import SANDBOX_ACCESS_TOKEN, SANDBOX_CLIENT_SECRET

STORE = "sandbox"
HOST = "127.0.0.1"

# After the last order was placed: the late webhook takes 15 s, recovery some seconds more.
PATIENCE_S = 60.0
LOOK_EVERY_S = 0.1


class DemoError(EnrichError):
    """The demo could not run."""


@dataclass(slots=True)
class Placed:
    """An order that was placed, and what has become of it."""

    order_id: int
    demo: DemoOrder
    entry: Entry | None = None
    wrong: list[str] = field(default_factory=list)

    @property
    def has_ended(self) -> bool:
        """Whether the order has its outcome."""
        return self.entry is not None and self.entry.status.is_final

    @property
    def age_at_create(self) -> float | None:
        """Seconds from the order to Create an Order; None when that is not how the order was enriched."""
        if self.entry is None or self.entry.status is not Status.CREATED:
            return None
        return self.entry.age_at(Stage.SENT)


@dataclass(frozen=True, slots=True)
class Addresses:
    """Where everything of the demo answers, as URLs."""

    sandbox: str
    receiver: str
    redis: str


async def run(count: int, rate: float, folder: Path, watch: Callable[[list[Placed]], None]) -> list[Placed]:
    """Place ``count`` orders at ``rate`` a second and follow each to its end; ``watch`` is called at every look."""
    async with _everything(folder) as addresses, _client(base_url=addresses.sandbox) as sandbox:
        placed: list[Placed] = []
        async with asyncio.TaskGroup() as group, connect(addresses.redis) as redis:
            placing = group.create_task(_place(count, rate, sandbox, placed))
            ledger = Ledger(redis)
            deadline = time.monotonic() + count / rate + PATIENCE_S
            while not (placing.done() and all(order.has_ended for order in placed)):
                if time.monotonic() > deadline:
                    break
                await asyncio.sleep(LOOK_EVERY_S)
                for order in placed:
                    if not order.has_ended:
                        order.entry = await ledger.get(STORE, order.order_id)
                watch(placed)
        for order in placed:
            seen = (await sandbox.get(f"/sandbox/stores/{STORE}/orders/{order.order_id}")).json()
            order.wrong = list(_wrongs(order, seen))
        watch(placed)
        return placed


def _wrongs(order: Placed, seen: dict[str, Any]) -> list[str]:
    """Everything in which the order did not come out as it must, by our ledger and by the sandbox's own books."""
    entry, demo = order.entry, order.demo
    if entry is None or not entry.status.is_final:
        return ["it did not end"]
    wrongs = []
    if (entry.status, entry.reason) != (demo.outcome, demo.reason):
        wrongs.append(f"{entry.status.value} {entry.reason or ''}, not {demo.outcome.value} {demo.reason or ''}")
    if demo.outcome is Status.SKIPPED:
        return wrongs
    if not entry.verified:
        wrongs.append("not verified")
    age = order.age_at_create
    if demo.outcome is Status.CREATED and (age is None or age >= LENGTH_S):
        wrongs.append("not inside the window")
    record = seen["record"] or {}
    if (record.get("po_number") or "") != demo.po_number:
        wrongs.append(f"its record says PO {record.get('po_number')!r}, not {demo.po_number!r}")
    if record.get("extra_fields") != demo.fields:
        wrongs.append(f"its record says {record.get('extra_fields')}, not {demo.fields}")
    if seen["creates"] > 1:
        wrongs.append(f"created {seen['creates']} times")
    return wrongs


async def _place(count: int, rate: float, sandbox: httpx.AsyncClient, placed: list[Placed]) -> None:
    started = time.monotonic()
    for number, demo in enumerate(demo_orders(count)):
        await asyncio.sleep(max(0.0, started + number / rate - time.monotonic()))
        answer = await sandbox.post(f"/sandbox/stores/{STORE}/orders", json=demo.placement)
        answer.raise_for_status()
        placed.append(Placed(answer.json()["id"], demo))


@asynccontextmanager
async def _everything(folder: Path) -> AsyncIterator[Addresses]:
    """Redis, sandbox, receiver and worker, each a process of its own, and the sandbox's webhook to the receiver."""
    sandbox, receiver = (f"http://{HOST}:{port}" for port in _free_ports(2))
    stores_file = folder / "stores.toml"
    stores_file.write_text(STORES_FILE.format(sandbox=sandbox))
    async with EmbeddedRedis(folder / "redis") as redis:
        environ = {
            "REDIS_URL": redis.url,
            "ENRICH_CONFIG": str(stores_file),
            "ENRICH_LOG_FORMAT": "json",
            "ENRICH_LOG_LEVEL": "INFO",
            "ENRICH_METRICS_PORT": "0",
            "SANDBOX_ACCESS_TOKEN": SANDBOX_ACCESS_TOKEN,
            "SANDBOX_CLIENT_SECRET": SANDBOX_CLIENT_SECRET,
        }
        processes = Supervisor(environ, log_folder=folder)
        try:
            await processes.start("sandbox", "service.cli", "sandbox", "--port", sandbox.rpartition(":")[2])
            await processes.start("receiver", "service.cli", "web", "--port", receiver.rpartition(":")[2])
            await _until_ready(sandbox, receiver, workers=0)
            # Before the worker starts, which would find that the store has no webhook and look for orders itself.
            await _subscribe(stores_file, environ, sandbox, receiver)
            await processes.start("worker", "workers")
            await _until_ready(sandbox, receiver, workers=1)
            yield Addresses(sandbox, receiver, redis.url)
        finally:
            await processes.stop()


async def _until_ready(sandbox: str, receiver: str, *, workers: int) -> None:
    async with _client(timeout=2.0) as client:
        try:
            async for attempt in stamina.retry_context(
                on=(httpx.HTTPError, DemoError), attempts=None, timeout=20.0, wait_initial=0.05, wait_max=0.2
            ):
                with attempt:
                    (await client.get(f"{sandbox}/sandbox/health")).raise_for_status()
                    ready = await client.get(f"{receiver}/readyz")
                    if ready.status_code != 200 or ready.json()["workers"] < workers:
                        raise DemoError("The receiver or the worker did not get ready.")
        except httpx.HTTPError as error:
            raise DemoError(f"The demo's processes did not start ({type(error).__name__}).") from error


def _client(**options: Any) -> httpx.AsyncClient:
    """A client for what runs on this machine, where no proxy leads."""
    return httpx.AsyncClient(trust_env=False, **options)


async def _subscribe(stores_file: Path, environ: dict[str, str], sandbox: str, receiver: str) -> None:
    store = load_configuration(stores_file, environ).stores[STORE].store
    async with http_client() as http:
        transport = Transport(http, core_url=sandbox, b2b_url=sandbox)
        core = StoreApi(transport, Account(store.hash, store.access_tokens)).core
        for scope in (ORDER_CREATED, STATUS_UPDATED):
            await core.create_hook(scope, f"{receiver}/webhooks/bigcommerce", {})


def _free_ports(count: int) -> list[int]:
    """Ports that nobody listens on at this moment."""
    sockets = [socket.create_server((HOST, 0)) for _ in range(count)]
    ports: list[int] = [listener.getsockname()[1] for listener in sockets]
    for listener in sockets:
        listener.close()
    return ports
