"""``python -m tests.bench.console.clicks PLAN.json``: people who click through pages, and what it took; prints JSON.

A person clicks, gets the page, and clicks again after a pause: nobody clicks while a page is on its way. A click may
need several requests in a row: a page, then the rows that its script fetches. The time to the first byte is that of the
last of them alone; the bytes are those of all, compressed as they came, with their headers.
"""

import asyncio
import json
import random
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
import uvloop

from tests.bench.report import percentile

_TIMEOUT_S = 60.0


@dataclass(frozen=True, slots=True)
class PageToClick:
    """A page of a kind, by the paths of its requests; several ways to it are clicked at random."""

    name: str
    ways: Sequence[Sequence[str]]
    weight: int = 1


@dataclass(frozen=True, slots=True)
class Plan:
    """Who clicks on what. It ends after ``seconds``, or when each person has clicked ``clicks`` times."""

    url: str
    pages: Sequence[PageToClick]
    people: int = 10
    pause_s: float = 1.0
    seconds: float = 3600.0
    clicks: int | None = None
    headers: Mapping[str, str] = field(default_factory=dict)

    def to_json(self) -> str:
        """What ``from_json`` reads."""
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> "Plan":
        """Read what ``to_json`` wrote."""
        read = json.loads(text)
        return cls(**(read | {"pages": [PageToClick(**page) for page in read["pages"]]}))


@dataclass(frozen=True, slots=True)
class Clicked:
    """What the clicks on a page took: times to the first byte in ms, and bytes on average."""

    clicks: int
    p50_ms: float
    p95_ms: float
    p99_ms: float
    bytes_each: float

    @classmethod
    def of(cls, clicks: Sequence[tuple[float, int]]) -> "Clicked":
        """From the time (ms) and the bytes of each click."""
        times = [ms for ms, _ in clicks]
        p50, p95, p99 = (percentile(times, percent) for percent in (50, 95, 99))
        return cls(len(clicks), p50, p95, p99, sum(size for _, size in clicks) / len(clicks))


async def request(session: aiohttp.ClientSession, url: str) -> tuple[float, int, bytes]:
    """The time to the first byte (ms), the bytes over the wire, and the body. Anything but 200 is an error."""
    began = time.perf_counter()
    async with session.get(url) as answer:
        first_byte_ms = (time.perf_counter() - began) * 1000
        body = await answer.read()
        assert answer.status == 200, f"{url} answered {answer.status}: {body[:300]!r}"
        head = sum(len(name) + len(value) + 4 for name, value in answer.raw_headers) + len("HTTP/1.1 200 OK\r\n\r\n")
        return first_byte_ms, head + len(body), body


def browser(headers: Mapping[str, str], connections: int = 1) -> aiohttp.ClientSession:
    """A client that takes compressed answers and keeps them so."""
    return aiohttp.ClientSession(
        headers={"accept-encoding": "gzip", **headers},
        auto_decompress=False,
        connector=aiohttp.TCPConnector(limit=connections),
        timeout=aiohttp.ClientTimeout(total=_TIMEOUT_S),
    )


async def _person(plan: Plan, number: int, until: float, found: dict[str, list[tuple[float, int]]]) -> None:
    dice = random.Random(number)
    weights = [page.weight for page in plan.pages]
    async with browser(plan.headers) as session:
        await asyncio.sleep(dice.uniform(0, plan.pause_s))
        done = 0
        while time.monotonic() < until and done != plan.clicks:
            page = dice.choices(plan.pages, weights)[0]
            size = 0
            for path in dice.choice(page.ways):
                ms, each, _ = await request(session, plan.url + path)
                size += each
            found.setdefault(page.name, []).append((ms, size))
            done += 1
            if plan.pause_s:
                # Around the mean, so that people do not fall into step.
                await asyncio.sleep(dice.uniform(0.5, 1.5) * plan.pause_s)


async def run(plan: Plan) -> dict[str, Clicked]:
    """Click as planned; what it took by page, and of all pages together as ``all``."""
    found: dict[str, list[tuple[float, int]]] = {}
    until = time.monotonic() + plan.seconds
    await asyncio.gather(*(_person(plan, number, until, found) for number in range(plan.people)))
    every = [click for clicks in found.values() for click in clicks]
    return {name: Clicked.of(clicks) for name, clicks in (found | {"all": every}).items()}


def _main(path: str) -> None:
    plan = Plan.from_json(Path(path).read_text())
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        answer: dict[str, Any] = {name: asdict(clicked) for name, clicked in runner.run(run(plan)).items()}
    print(json.dumps(answer))  # noqa: T201


if __name__ == "__main__":
    _main(sys.argv[1])
