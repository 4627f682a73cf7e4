"""Ours beside the least services that do the work: the same load, the same fake BigCommerce, the same hour."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from itertools import count
from typing import Any

from tests.bench.durations import Durations
from tests.bench.fake_bigcommerce.fake_store import B2B_PER_PAGE, po_number
from tests.bench.fake_bigcommerce.response_templates import ACCOUNT_FIELD
from tests.bench.memory import redis_cpu_s
from tests.bench.peers.contenders import NODE_JS, OURS, PYTHON, Order, Service, contenders
from tests.bench.report import Figure, Target, percentile
from tests.bench.rig.load import Target as Destination
from tests.bench.rig.load import closed_loop
from tests.bench.rig.processes import Rig, cpu_s, rigged, rss_mb
from tests.bench.rig.redis_exchanges import noted, of_idle
from tests.bench.rig.webhooks import requests
from tests.bench.window import DELAY_MS, FIRST_ID, PER_S, added_ms, send

_CONNECTIONS = 32
_MOST_S = 120.0
_FIRST_ID = 1001

Start = Callable[[Rig], Awaitable[Service]]


@dataclass(slots=True)
class Measured:
    """The figures of one service by their names, each with its unit and its target for ours."""

    figures: dict[str, tuple[float, str, Target | None]] = field(default_factory=dict)

    def add(self, name: str, value: float, unit: str, target: Target | None = None) -> None:
        """Add a figure."""
        self.figures[name] = (value, unit, target)


async def measure(durations: Durations, report: Callable[[str], None], details: dict[str, Any]) -> list[Figure]:
    """Measure ours and both floors. Without Node.js, only the floor in Python."""
    measured = {}
    for name, start in contenders().items():
        measured[name] = await measure_one(name, start, durations, report)
    if NODE_JS not in measured:
        report("peer: Node.js is not installed, so its floor is left out")
    details["peers"] = {
        name: {figure: value for figure, (value, *_) in each.figures.items()} for name, each in measured.items()
    }
    return figures(measured)


async def measure_one(name: str, start: Start, durations: Durations, report: Callable[[str], None]) -> Measured:
    """Measure one service: a cold start under an even load, single orders, then floods."""
    measured = Measured()
    await _cold_start(name, start, durations, report, measured)
    for stores in durations.flood_stores:
        over = f"{stores} store{'s' if stores > 1 else ''}"
        report(f"peer: {name}, a flood of {durations.flood:,} orders over {over}")
        async with rigged(stores=stores) as rig:
            flood = _Flood(rig, await start(rig), measured, durations)
            # Caches are filled and scripts loaded by a few orders, as they are where a flood comes from many buyers.
            await flood.warm_up()
            await flood.rates(over)
            if stores == durations.flood_stores[0]:
                await flood.exchanges()
    return measured


def figures(measured: dict[str, Measured]) -> list[Figure]:
    """Ours beside each floor; the target stands beside the quickest one that there is."""
    floors = [name for name in (NODE_JS, PYTHON) if name in measured]
    return [
        Figure(
            "peer",
            f"{figure} (floor: {floor})",
            unit,
            value,
            measured[floor].figures[figure][0],
            target if floor == floors[0] else None,
        )
        for figure, (value, unit, target) in measured[OURS].figures.items()
        for floor in floors
    ]


async def _cold_start(
    name: str, start: Start, durations: Durations, report: Callable[[str], None], measured: Measured
) -> None:
    orders = round(PER_S * durations.peer_s)
    report(f"peer: {name}, {orders} orders at {PER_S}/s from a cold start")
    async with rigged(stores=1, delay_ms=DELAY_MS) as rig:
        service = await start(rig)
        sent_at = await send(rig, service.url, orders)
        await service.verified(list(sent_at))
        # What BigCommerce takes to answer Create would be added to both: so this is the time until that answer, too.
        added = await added_ms(rig, sent_at)
        assert len(added) == orders, f"{len(added)} of {orders} orders have a Create"
        for percent, limit in ((50, 4.0), (99, 25.0)):
            title = f"added until Create is answered, {PER_S}/s from a cold start, p{percent}"
            measured.add(title, percentile(added, percent), "ms", Target("value", "≤", limit))
        report(f"peer: {name}, {durations.alone} orders, each alone")
        waits = await _waits_of_single_orders(rig, service, list(sent_at), durations.alone)
        for title, value in (("p50", percentile(waits, 50)), ("the latest", max(waits))):
            title = f"an order alone, from its Create's answer until it is verified, {title}"
            measured.add(title, value, "ms", Target("value", "≤", 400.0))


async def _waits_of_single_orders(rig: Rig, service: Service, before: list[Order], count: int) -> list[float]:
    """How long each waited for its verification, in ms, without what BigCommerce takes to answer the read-back.

    Each is sent when the one before it was verified.
    """
    sent, waits, first_id = before, list[float](), FIRST_ID + len(before)
    for number in range(count):
        sent = sent + list(await send(rig, service.url, 1, first_id + number))
        verified_at = max(await service.verified(sent))
        store, order_id = sent[-1]
        create_at = (await rig.times())[store][order_id][2] + time.time() - time.monotonic()
        waits.append((verified_at - create_at) * 1000 - 2 * DELAY_MS)  # that of Create, and that of the read-back
    return waits


@dataclass(slots=True)
class _Flood:
    rig: Rig
    service: Service
    measured: Measured
    durations: Durations
    _sent: list[Order] = field(default_factory=list)
    _first_ids: "count[int]" = field(default_factory=lambda: count(_FIRST_ID, 1_000_000))

    async def warm_up(self) -> None:
        await self._send(min(100, self.durations.flood))
        await self.service.verified(self._sent)

    async def rates(self, over: str) -> None:
        """Rates, CPU an order and memory."""
        orders, worker = self.durations.flood, self.service.worker
        before = len(self._sent)
        cpu_before, redis_before = cpu_s(worker.pid), await redis_cpu_s(self.rig)
        began, began_unix = time.monotonic(), time.time()
        await self._send(orders)
        verified = await self.service.verified(self._sent)
        worker_ms = (cpu_s(worker.pid) - cpu_before) / orders * 1000
        redis_ms = (await redis_cpu_s(self.rig) - redis_before) / orders * 1000
        await self._check()
        times = await self.rig.times()
        created = max(times[store][order_id][2] for store, order_id in self._sent[before:])
        add = self.measured.add
        add(f"flood over {over}, created", orders / (created - began), "orders/s", Target("value", "≥", 900))
        add(
            f"flood over {over}, verified", orders / (max(verified) - began_unix), "orders/s", Target("value", "≥", 600)
        )
        add(f"flood over {over}, worker's CPU an order", worker_ms, "ms of CPU", Target("value", "≤", 1.3))
        add(f"flood over {over}, Redis's CPU an order", redis_ms, "ms of CPU", Target("value", "≤", 0.25))
        add(f"flood over {over}, receiver's memory", rss_mb(self.service.receiver), "MB", Target("value", "≤", 62))
        add(f"flood over {over}, worker's memory", rss_mb(worker), "MB", Target("value", "≤", 88))

    async def exchanges(self) -> None:
        """What an order asks of Redis."""
        orders = self.durations.monitored
        idle = await of_idle(self.rig.redis, self.durations.verifying_s)
        began = time.monotonic()
        async with noted(self.rig.redis) as busy:
            await self._send(orders)
            await self.rig.created(len(self._sent))
            await asyncio.sleep(self.durations.verifying_s)  # the verifications, too
            seconds = time.monotonic() - began
        own = busy.without(idle, seconds).per(orders)
        await self.service.verified(self._sent)
        self.measured.add("Redis, commands an order", sum(own.calls.values()), "", Target("value", "≤", 12))

    async def _send(self, orders: int) -> None:
        """Send webhooks of different orders as fast as the receiver takes them."""
        to, first_id = Destination.of(self.service.url), next(self._first_ids)
        stores = self.rig.stores
        await closed_loop(to, requests(to.path, stores, orders, first_id), _MOST_S, min(_CONNECTIONS, orders))
        self._sent += [(stores[number % len(stores)], first_id + number // len(stores)) for number in range(orders)]

    async def _check(self) -> None:
        """Assert that each order has one record with its own values."""
        counts = await self.rig.counts()
        assert counts.created == len(self._sent), f"{len(self._sent)} were sent, {counts.created} created"
        assert not any(name.startswith("unknown") for name in counts.calls), counts.calls
        right = set()
        for store in self.rig.stores:
            url, offset, total = f"{self.rig.upstream_url}/api/v3/io/orders", 0, 1
            while offset < total:
                params = {"limit": B2B_PER_PAGE, "offset": offset}
                answer = (await self.rig.client.get(url, params=params, headers={"X-Store-Hash": store})).json()
                total, offset = answer["meta"]["pagination"]["totalCount"], offset + B2B_PER_PAGE
                right |= {(store, record["bcOrderId"]) for record in answer["data"] if _is_right(record)}
        assert right == set(self._sent), f"{len(set(self._sent) - right)} orders have no record with their values"


def _is_right(record: dict[str, Any]) -> bool:
    fields = {each["fieldName"]: each["fieldValue"] for each in record["extraFields"]}
    return record["poNumber"] == po_number(record["bcOrderId"]) and fields == {ACCOUNT_FIELD: "ERP-10001"}
