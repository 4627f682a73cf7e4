"""The console under load, beside Flower and rq-dashboard: the same people, Redis, machine and run."""

import asyncio
import re
import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any
from urllib.parse import urljoin

from tests.bench import window
from tests.bench.console.clicks import Clicked, PageToClick, Plan, browser, request
from tests.bench.console.dashboards import Dashboard, environment, start_flower, start_rq_dashboard
from tests.bench.console.ledger import fill
from tests.bench.console.pages import pages_of, start_console
from tests.bench.durations import Durations
from tests.bench.memory import monitored, redis_cpu_s
from tests.bench.report import Figure, Target, percentile
from tests.bench.rig.job_feeder import JobFeeder
from tests.bench.rig.processes import Rig, cpu_s, rigged, run_module

STORES = 10
PEOPLE = 10
PAUSE_S = 1.0

DETAILS = "console, pages"
"""The key of the pages in the details."""

# By the names of the other dashboards' pages: which of ours they are compared with.
_COMPARED = {"overview": "overview", "list": "orders", "one job": "order"}

_IDLE_S = 3.0
_ENDED_WITHIN_S = 300.0


@dataclass(frozen=True, slots=True)
class Subject:
    """What is clicked: the console or another dashboard. ``pid`` is the process that serves its pages."""

    name: str
    url: str
    pid: int
    pages: Sequence[PageToClick]
    headers: Mapping[str, str]
    first_visit: str


@dataclass(frozen=True, slots=True)
class Cost:
    """What one click costs while nobody else clicks and no order comes in: commands to Redis, and CPU (ms)."""

    commands: float
    redis_ms: float
    cpu_ms: float


@dataclass(frozen=True, slots=True)
class Orders:
    """What became of the orders that came in meanwhile: the share created in the window, and what was added (ms)."""

    in_window: float
    added_p99_ms: float


@dataclass(frozen=True, slots=True)
class Measured:
    """All that was measured of a subject. ``first_visit`` is in bytes, with what the page loads."""

    orders: Orders
    clicked: Mapping[str, Clicked]
    costs: Mapping[str, Cost]
    first_visit: int


class Bench:
    """Orders come in at a steady rate while people click on one subject after the other."""

    def __init__(self, rig: Rig, webhooks_url: str, lengths: Durations, report: Callable[[str], None]) -> None:
        self._rig = rig
        self._webhooks_url = webhooks_url
        self._lengths = lengths
        self._report = report
        self._next_id = window.FIRST_ID

    async def orders(self) -> Orders:
        """Let orders come in for a while, and say what became of them."""
        count = round(window.PER_S * self._lengths.click_s)
        sent = await window.send(self._rig, self._webhooks_url, count, self._next_id)
        self._next_id += count
        # One that misses its window is what this is to show, so it is no error.
        entries = await JobFeeder(self._rig, fed=list(sent)).all_ended(_ENDED_WITHIN_S)
        made = sum(entry.window_result == "made" for entry in entries)
        added = await window.added_ms(self._rig, sent)
        return Orders(made / count, percentile(added, 99))

    async def measure(self, subject: Subject) -> Measured:
        """Have ten people click while orders come in; then each page alone."""
        self._report(f"console: {PEOPLE} people click in {subject.name} for {self._lengths.click_s:g} s")
        for page in subject.pages:
            await self._click(subject, [page], people=1, pause_s=0.0, clicks=len(page.ways))  # fills caches
        clicking = self._click(subject, subject.pages, people=PEOPLE, pause_s=PAUSE_S, seconds=self._lengths.click_s)
        clicked, orders = await asyncio.gather(clicking, self.orders())
        self._report(f"console: each page of {subject.name} alone")
        idle = await self._idle(subject)
        costs = {page.name: await self._cost(subject, page, idle) for page in subject.pages}
        return Measured(orders, clicked, costs, await first_visit_bytes(subject))

    async def _click(self, subject: Subject, pages: Sequence[PageToClick], **how: Any) -> dict[str, Clicked]:
        path = self._rig.folder / "clicks.json"
        path.write_text(Plan(subject.url, pages, headers=subject.headers, **how).to_json())
        found = await run_module(self._rig, "tests.bench.console.clicks", str(path))
        return {name: Clicked(**clicked) for name, clicked in found.items()}

    async def _idle(self, subject: Subject) -> Cost:
        """What a second costs in which nobody clicks: workers and other dashboards ask Redis all the time."""
        redis_before, cpu_before = await redis_cpu_s(self._rig), cpu_s(subject.pid)
        await asyncio.sleep(_IDLE_S)
        redis_s, page_s = await redis_cpu_s(self._rig) - redis_before, cpu_s(subject.pid) - cpu_before
        async with monitored(self._rig) as commands:
            await asyncio.sleep(_IDLE_S)
        return Cost(*(total / _IDLE_S for total in (commands.total(), redis_s * 1000, page_s * 1000)))

    async def _cost(self, subject: Subject, page: PageToClick, idle: Cost) -> Cost:
        clicks, loop = self._lengths.clicks_alone, asyncio.get_running_loop()
        began, redis_before, cpu_before = loop.time(), await redis_cpu_s(self._rig), cpu_s(subject.pid)
        await self._click(subject, [page], people=1, pause_s=0.0, clicks=clicks)
        seconds = loop.time() - began
        redis_ms = (await redis_cpu_s(self._rig) - redis_before) * 1000 - idle.redis_ms * seconds
        page_ms = (cpu_s(subject.pid) - cpu_before) * 1000 - idle.cpu_ms * seconds

        # MONITOR costs Redis CPU, so commands are counted apart.
        began = loop.time()
        async with monitored(self._rig) as counted:
            await self._click(subject, [page], people=1, pause_s=0.0, clicks=clicks)
        commands = counted.total() - idle.commands * (loop.time() - began)
        return Cost(*(max(0.0, total) / clicks for total in (commands, redis_ms, page_ms)))


async def first_visit_bytes(subject: Subject) -> int:
    """The bytes of the first page and of all that it loads from the same server, as they come over the wire."""
    async with browser(subject.headers) as session:
        _, size, body = await request(session, subject.url + subject.first_visit)
        page = zlib.decompress(body, zlib.MAX_WBITS | 32) if body[:2] == b"\x1f\x8b" else body
        loaded = re.findall(r'<(?:script|link|img)\b[^>]*?\b(?:src|href)="([^"]+)"', page.decode())
        for path in dict.fromkeys(loaded):
            if (address := urljoin(subject.url + subject.first_visit, path)).startswith(subject.url):
                size += (await request(session, address.replace("&amp;", "&")))[1]
    return size


async def measure(lengths: Durations, report: Callable[[str], None], details: dict[str, Any]) -> list[Figure]:
    """Measure the orders alone, then the console and other dashboards in sequence, beside the same orders."""
    report("console: the other dashboards' environment, installed if it is not there yet")
    programs = await asyncio.to_thread(environment)
    async with rigged(stores=STORES, delay_ms=window.DELAY_MS) as rig:
        report(f"console: {lengths.kept:,} orders into the ledger")
        await fill(rig.redis, rig.stores, lengths.kept)
        _, url = await rig.start_receiver()
        await rig.start_workers()
        bench = Bench(rig, url, lengths, report)
        report(f"console: nobody clicks for {lengths.click_s:g} s")
        alone = await bench.orders()
        console = await start_console(rig)
        pages = await pages_of(console, rig)
        found = {
            "the console": await bench.measure(
                Subject("the console", console.url, console.process.pid, pages, console.headers, "/")
            )
        }
        for start in (start_flower, start_rq_dashboard):
            report(f"console: {lengths.kept:,} jobs for {start.__name__.removeprefix('start_')}")
            other = await start(rig, programs, lengths.kept)
            try:
                found[other.name] = await bench.measure(_subject(other))
            finally:
                for program in other.programs:
                    await program.stop()
    details[DETAILS] = {name: asdict(measured) for name, measured in found.items()}
    return figures(alone, found)


def _subject(other: Dashboard) -> Subject:
    return Subject(other.name, other.url, other.page_process.pid, other.pages, {}, other.first_visit)


def figures(alone: Orders, found: Mapping[str, Measured]) -> list[Figure]:
    """The table: what the clicks do to the orders, then each page, then ours beside the other dashboards'."""
    ours = found["the console"]
    table = [Figure("console", "created in the window, nobody clicks", "%", alone.in_window * 100)]
    for name, measured in found.items():
        orders = measured.orders
        table.append(
            Figure(
                "console",
                f"created in the window, {PEOPLE} people click in {name} (floor: nobody clicks)",
                "%",
                orders.in_window * 100,
                alone.in_window * 100,
                Target("ratio", "≥", 1.0) if measured is ours else None,
                remark=f"added until the Create arrives, p99: {orders.added_p99_ms:.0f} ms; "
                f"nobody clicks: {alone.added_p99_ms:.0f} ms",
            )
        )
    for name, measured in found.items():
        table += [
            _page(name, page, clicked, measured.costs.get(page), is_ours=measured is ours)
            for page, clicked in sorted(measured.clicked.items(), key=lambda each: each[0] == "all")
        ]
    for name, other in found.items():
        if other is ours:
            continue
        table += [
            Figure(
                "console",
                f"{page}, first byte, p95 (floor: {theirs} of {name})",
                "ms",
                ours.clicked[page].p95_ms,
                other.clicked[theirs].p95_ms,
            )
            for theirs, page in _COMPARED.items()
        ]
        table.append(
            Figure("console", f"first visit (floor: {name})", "kB", ours.first_visit / 1000, other.first_visit / 1000)
        )
    return table


def _page(name: str, page: str, clicked: Clicked, cost: Cost | None, *, is_ours: bool) -> Figure:
    costs = (
        f"; {cost.commands:.0f} commands and {cost.redis_ms:.2f} ms of Redis, {cost.cpu_ms:.1f} ms of its own CPU"
        if cost
        else ""
    )
    return Figure(
        "console",
        f"{name}: {'all pages' if page == 'all' else page}, first byte, p95",
        "ms",
        clicked.p95_ms,
        target=Target("value", "≤", 30.0) if is_ours and page == "all" else None,
        remark=f"p50 {clicked.p50_ms:.1f}, p99 {clicked.p99_ms:.1f} ms; {clicked.bytes_each / 1000:.1f} kB{costs}",
    )
