"""One order alone: what it waits for between its webhook's first byte and the answer to its Create."""

import asyncio
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import mean, median
from typing import Any

from tests.bench.profile.path import Key, Recorded, Row
from tests.bench.profile.recorded import SPANS
from tests.bench.profile.spans import read
from tests.bench.rig.job_feeder import JobFeeder
from tests.bench.rig.load import Sender, Target
from tests.bench.rig.processes import Rig, rigged
from tests.bench.rig.webhooks import request

_FIRST_ID = 1001
_TIMEOUT_S = 30.0
_PAUSE_S = 0.05
_ENTRY = "tests.bench.profile.recorded"


@dataclass(frozen=True, slots=True)
class Step:
    """A row of all orders, in microseconds: ``first`` is that of the orders after a cold start.

    ``orders`` is the share of the warm orders that have it. Means and the median are over all of them, so that the
    means of all rows add up to the whole.
    """

    key: Key
    orders: float
    mean: float
    p50: float
    whole: float
    first: float


@dataclass(frozen=True, slots=True)
class OrderProfile:
    """All rows, and the whole in microseconds; ``answered`` is the time until the webhook's own answer."""

    steps: Sequence[Step]
    mean: float
    p50: float
    first: float
    answered: float
    warm: int
    cold: int

    def to_json(self) -> dict[str, Any]:
        """As JSON, in microseconds."""
        steps = [
            {
                "step": list(step.key),
                "share_of_orders": step.orders,
                "mean_us": step.mean,
                "p50_us": step.p50,
                "whole_mean_us": step.whole,
                "first_us": step.first,
            }
            for step in self.steps
        ]
        whole = {"mean_us": self.mean, "p50_us": self.p50, "first_us": self.first, "answered_p50_us": self.answered}
        return {"orders": self.warm, "cold_starts": self.cold, **whole, "steps": steps}


async def profile_orders(
    orders: int, cold_starts: int, report: Callable[[str], None], *, warm_up: int = 10, delay_ms: float = 0.0
) -> OrderProfile:
    """Send orders one after another: the first one after each cold start, and ``orders`` on a warm system."""
    first: list[_Path] = []
    warm: list[_Path] = []
    for number in range(cold_starts):
        report(f"one order alone: cold start {number + 1} of {cold_starts}")
        is_last = number == cold_starts - 1
        paths = await _run(1 + (warm_up + orders if is_last else 0), delay_ms)
        first.append(paths[0])
        warm += paths[1 + warm_up :]
    return summed_up(warm, first)


@dataclass(frozen=True, slots=True)
class _Path:
    rows: Sequence[Row]
    seconds: float
    answered_s: float


async def _run(count: int, delay_ms: float) -> list[_Path]:
    async with rigged(stores=1, delay_ms=delay_ms) as rig:
        file = rig.folder / "spans"
        rig.environ[SPANS] = str(file)
        receiver, url = await rig.start_receiver(_ENTRY, "receiver")
        (worker,) = await rig.start_workers(module=(_ENTRY, "worker"))
        sent = await _send_one_after_another(rig, url, count)
        await JobFeeder(rig, fed=[(rig.stores[0], order_id) for order_id in sent]).all_verified()
        for process in (receiver, worker):
            assert await process.stop() == 0, process.text
        recorded = Recorded(read(Path(f"{file}.receiver")), read(Path(f"{file}.worker")))
        paths = []
        for order_id, (sent_at, answered_at) in sent.items():
            rows, seconds = recorded.path(f"{rig.stores[0]}:{order_id}", sent_at)
            paths.append(_Path(rows, seconds, answered_at - sent_at))
        return paths


async def _send_one_after_another(rig: Rig, url: str, count: int) -> dict[int, tuple[float, float]]:
    """Send each webhook when the Create of the last one was answered; returns when it was sent and answered."""
    target, sent = Target.of(url), dict[int, tuple[float, float]]()
    answers: asyncio.Queue[tuple[int, float]] = asyncio.Queue()

    def answered(_: Sender, status: int) -> None:
        answers.put_nowait((status, time.monotonic()))

    (sender,) = await target.connect(1, answered)
    for number in range(count):
        order_id = _FIRST_ID + number
        webhook = request(target.path, rig.stores[0], order_id, time.time())
        at = time.monotonic()
        sender.send(webhook)
        async with asyncio.timeout(_TIMEOUT_S):
            status, answered_at = await answers.get()
            assert status == 200, f"answered {status}"
            sent[order_id] = (at, answered_at)
            await rig.created(number + 1)
        await asyncio.sleep(_PAUSE_S)
    return sent


def summed_up(warm: Sequence[_Path], first: Sequence[_Path]) -> OrderProfile:
    """The rows of all orders, in the order in which they begin."""
    by_key = [{row.key: row for row in path.rows} for path in warm]
    cold_by_key = [{row.key: row for row in path.rows} for path in first]
    begins: dict[Key, list[float]] = {}
    for rows in (*by_key, *(cold_by_key if not by_key else ())):
        for key, row in rows.items():
            begins.setdefault(key, []).append(row.began)
    for rows in cold_by_key:
        for key, row in rows.items():
            begins.setdefault(key, [row.began])
    steps = [
        Step(
            key,
            orders=mean(key in rows for rows in by_key),
            mean=_us(mean(_of(rows, key).on_path for rows in by_key)),
            p50=_us(median(_of(rows, key).on_path for rows in by_key)),
            whole=_us(mean(_of(rows, key).whole for rows in by_key)),
            first=_us(mean(_of(rows, key).on_path for rows in cold_by_key)),
        )
        for key in _in_order(begins)
    ]
    return OrderProfile(
        steps,
        mean=_us(mean(path.seconds for path in warm)),
        p50=_us(median(path.seconds for path in warm)),
        first=_us(mean(path.seconds for path in first)),
        answered=_us(median(path.answered_s for path in warm)),
        warm=len(warm),
        cold=len(first),
    )


def _of(rows: dict[Key, Row], key: Key) -> Row:
    return rows.get(key) or Row(key, 0.0)


def _in_order(begins: dict[Key, list[float]]) -> list[Key]:
    """The keys as a tree: each before what is inside it, and beside each other by their begin."""

    def position(key: Key) -> list[tuple[float, str]]:
        return [(mean(begins[key[:depth]]), key[depth - 1]) for depth in range(1, len(key) + 1)]

    return sorted(begins, key=position)


def _us(seconds: float) -> float:
    return round(seconds * 1e6, 1)
