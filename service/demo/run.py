"""Run the demo: start all processes, place the orders, follow them, and compare the outcomes with the expected ones."""

import asyncio
import socket
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import ExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import stamina

from service import hooks
from service.bigcommerce import Account, StoreApi, Transport
from service.bigcommerce.connection_pool import http_client
from service.configuration import load_configuration
from service.demo.orders import STORES_FILE, TROUBLED, DemoOrder, Later, demo_orders
from service.errors import EnrichError
from service.orders.state.ledger import Ledger
from service.orders.state.order_entry import Entry, Status
from service.process.supervisor import Supervisor
from service.redis.client import connect
from service.redis.embedded.server import EmbeddedRedis
from service.sandbox.specs import SANDBOX_ACCESS_TOKEN, SANDBOX_CLIENT_SECRET

STORE = "sandbox"
HOST = "127.0.0.1"

# After the last order was placed: the late webhook takes 15 s, recovery some seconds more.
TIMEOUT_S = 60.0
# Often enough for a display that looks live.
POLL_INTERVAL_S = 0.1

# A record that never comes is shown too. The core quota is that of a Pro plan: the demo's rules read every source.
SANDBOX_OPTIONS = ("--late-create", "accepted", "--core-quota", "450")

# B2B Edition's quota of a minute has no room for so many orders at once, and they are to show other things than that.
VISITED_OPTIONS = ("--b2b-quota", "1000")

# Of all processes together, on a busy machine.
START_TIMEOUT_S = 20.0


class DemoError(EnrichError):
    """The demo could not run."""


@dataclass(slots=True)
class Placed:
    """An order that was placed, its entry, and how its outcome deviates from the expected one."""

    order_id: int
    demo: DemoOrder
    entry: Entry | None = None
    deviations: list[str] = field(default_factory=list)

    @property
    def is_finished(self) -> bool:
        """Whether the order has its outcome. One that changes later has it after the change."""
        entry, demo = self.entry, self.demo
        if entry is not None and demo.outcome is Status.WAITING:
            return entry.status is Status.WAITING
        if entry is None or not entry.status.is_final:
            return False
        return demo.later is None or (entry.po_number or "", entry.fields) == (demo.po_number, demo.fields)

    @property
    def age_at_create(self) -> float | None:
        """The order's age in seconds at Create an Order.

        None when our Create did not make the record, and when it is not known for sure when the order was made.
        """
        if self.entry is None or self.entry.status is not Status.CREATED or self.entry.window_opened_at is not None:
            return None
        return self.entry.create_age


@dataclass(frozen=True, slots=True)
class Addresses:
    """The URLs of the demo's processes; ``console_port`` is None where it has no console."""

    sandbox: str
    receiver: str
    redis: str
    console_port: int | None = None


Stay = Callable[[Addresses, list[Placed]], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Visit:
    """For people who look around in the console: some orders need a person, and everything stays open.

    ``on_open`` is awaited once everything runs, ``stay`` when all orders are placed and finished.
    """

    on_open: Callable[[Addresses], Awaitable[None]]
    stay: Stay


async def run(
    count: int,
    rate: float,
    folder: Path,
    on_progress: Callable[[list[Placed]], None],
    visit: Visit | None = None,
) -> list[Placed]:
    """Place ``count`` orders at ``rate`` a second and follow each until it is finished.

    ``on_progress`` is called at every poll. Raises DemoError.
    """
    is_visited = visit is not None
    async with (
        _processes(folder, is_visited=is_visited) as addresses,
        _client(base_url=addresses.sandbox) as sandbox,
    ):
        if visit:
            await visit.on_open(addresses)
        placed: list[Placed] = []
        async with asyncio.TaskGroup() as group, connect(addresses.redis) as redis:
            demos = demo_orders(count, with_trouble=is_visited)
            placing = group.create_task(_place(demos, rate, sandbox, placed, group))
            ledger = Ledger(redis)
            deadline = time.monotonic() + count / rate + TIMEOUT_S
            while not (placing.done() and all(order.is_finished for order in placed)):
                if time.monotonic() > deadline:
                    break
                await asyncio.sleep(POLL_INTERVAL_S)
                for order in placed:
                    if not order.is_finished:
                        order.entry = await ledger.get(STORE, order.order_id)
                on_progress(placed)
        for order in placed:
            seen = (await sandbox.get(f"/sandbox/stores/{STORE}/orders/{order.order_id}")).json()
            order.deviations = list(_deviations(order, seen))
        on_progress(placed)
        if visit:
            await visit.stay(addresses, placed)
        return placed


def _deviations(order: Placed, seen: dict[str, Any]) -> list[str]:
    """How the order differs from what is expected, by our ledger and by the sandbox's own data."""
    entry, demo = order.entry, order.demo
    if entry is None or not order.is_finished:
        return ["not finished"]
    found = []
    if (entry.status, entry.reason) != (demo.outcome, demo.reason):
        found.append(f"{entry.status.value} {entry.reason or ''}, not {demo.outcome.value} {demo.reason or ''}")
    if demo.outcome in (Status.SKIPPED, Status.WAITING, Status.FAILED):
        return found
    if not entry.verified:
        found.append("not verified")
    if demo.outcome is Status.CREATED and entry.in_window is not demo.in_window:
        found.append("not inside the window" if demo.in_window else "inside the window")
    record = seen["record"] or {}
    if (record.get("po_number") or "") != demo.po_number:
        found.append(f"its record says PO {record.get('po_number')!r}, not {demo.po_number!r}")
    if record.get("extra_fields") != demo.fields:
        found.append(f"its record says {record.get('extra_fields')}, not {demo.fields}")
    if seen["creates"] > 1:
        found.append(f"created {seen['creates']} times")
    return found


async def _place(
    demos: Iterator[DemoOrder], rate: float, sandbox: httpx.AsyncClient, placed: list[Placed], group: asyncio.TaskGroup
) -> None:
    started = time.monotonic()
    for number, demo in enumerate(demos):
        await asyncio.sleep(max(0.0, started + number / rate - time.monotonic()))
        answer = await sandbox.post(f"/sandbox/stores/{STORE}/orders", json=demo.placement)
        answer.raise_for_status()
        placed.append(Placed(answer.json()["id"], demo))
        if demo.later:
            group.create_task(_change(sandbox, placed[-1].order_id, demo.later))


async def _change(sandbox: httpx.AsyncClient, order_id: int, later: Later) -> None:
    await asyncio.sleep(later.after_s)
    url = f"/sandbox/stores/{STORE}/orders/{order_id}{later.path}"
    (await sandbox.put(url, json=later.write)).raise_for_status()


@asynccontextmanager
async def _processes(folder: Path, *, is_visited: bool) -> AsyncIterator[Addresses]:
    """Start Redis, the sandbox, a receiver and a worker as processes, and register the sandbox's webhooks.

    For visitors also a console, and a store with Companies that somebody has to see to.
    """
    stores_file = folder / "stores.toml"
    async with _kept_ports(3) as ports, EmbeddedRedis(folder / "redis") as redis:
        sandbox, receiver, _ = (f"http://{HOST}:{port}" for port in ports)
        console_port = ports[2] if is_visited else None
        stores_file.write_text(STORES_FILE.format(sandbox=sandbox))
        environ = {
            "REDIS_URL": redis.url,
            "ENRICH_CONFIG": str(stores_file),
            "ENRICH_LOG_FORMAT": "json",
            "ENRICH_LOG_LEVEL": "INFO",
            "ENRICH_METRICS_PORT": "0",
            "SANDBOX_ACCESS_TOKEN": SANDBOX_ACCESS_TOKEN,
            "SANDBOX_CLIENT_SECRET": SANDBOX_CLIENT_SECRET,
        }
        processes = Supervisor(environ, log_folder=folder, lifeline=lambda: redis.lifeline)
        try:
            options = ["--port", sandbox.rpartition(":")[2], "--first-order-id", "1001", *SANDBOX_OPTIONS]
            options += VISITED_OPTIONS if is_visited else ()
            await processes.start("sandbox", "service.cli", "sandbox", *options)
            await processes.start("receiver", "service.cli", "web", "--port", receiver.rpartition(":")[2])
            await _until_ready(sandbox, receiver, workers=0)
            if is_visited:
                await _put_store(sandbox)
            # Before the worker starts: it would see that the store has no webhook, and begin to poll.
            await _register_hooks(stores_file, environ, sandbox, receiver)
            await processes.start("worker", "workers")
            if console_port:
                await processes.start("console", "service.cli", "console", "--port", str(console_port))
            await _until_ready(sandbox, receiver, workers=1, console_port=console_port)
            yield Addresses(sandbox, receiver, redis.url, console_port)
        finally:
            await processes.stop()


async def _put_store(sandbox: str) -> None:
    async with _client(base_url=sandbox) as client:
        spec = TROUBLED.model_dump(mode="json")
        (await client.put(f"/sandbox/stores/{STORE}", json=spec)).raise_for_status()


async def _until_ready(sandbox: str, receiver: str, *, workers: int, console_port: int | None = None) -> None:
    async with _client(timeout=2.0) as client:
        try:
            async for attempt in stamina.retry_context(
                on=(httpx.HTTPError, DemoError), attempts=None, timeout=START_TIMEOUT_S, wait_initial=0.05, wait_max=0.2
            ):
                with attempt:
                    (await client.get(f"{sandbox}/sandbox/health")).raise_for_status()
                    ready = await client.get(f"{receiver}/readyz")
                    if ready.status_code != 200 or ready.json()["workers"] < workers:
                        raise DemoError("The receiver or the worker did not become ready.")
                    if console_port:
                        (await client.get(f"http://{HOST}:{console_port}/healthz")).raise_for_status()
        except httpx.HTTPError as error:
            raise DemoError(f"The demo's processes did not start ({type(error).__name__}).") from error


def _client(**options: Any) -> httpx.AsyncClient:
    """A client for processes on this machine, without a proxy."""
    return httpx.AsyncClient(trust_env=False, **options)


async def _register_hooks(stores_file: Path, environ: dict[str, str], sandbox: str, receiver: str) -> None:
    configured = load_configuration(stores_file, environ).stores[STORE]
    store = configured.store
    async with http_client() as http:
        transport = Transport(http, core_url=sandbox, b2b_url=sandbox)
        core = StoreApi(transport, Account(store.hash, store.access_tokens)).core
        outcome = await hooks.register(core, configured, f"{receiver}{hooks.WEBHOOK_PATH}")
    if not outcome.is_complete:
        raise DemoError("The sandbox did not take the webhooks.")


@asynccontextmanager
async def _kept_ports(count: int) -> AsyncIterator[list[int]]:
    """Free ports for other processes to listen on. On Linux nobody else gets them while these processes start."""
    with ExitStack() as sockets:
        ports = []
        for _ in range(count):
            kept = sockets.enter_context(socket.socket())
            kept.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            kept.bind((HOST, 0))
            ports.append(kept.getsockname()[1])
        if sys.platform != "linux":  # elsewhere a socket that is only bound keeps these processes out, too
            sockets.close()
        yield ports
