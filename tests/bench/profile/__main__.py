"""``python -m tests.bench.profile``: where an order's time and a worker's CPU go.

``order``: one order alone, from its webhook's first byte to the answer to its Create, each wait in microseconds; the
first order after a cold start beside it. ``flood``: a worker's CPU by module and by function, and what an order asks of
Redis and of BigCommerce. Nothing of it needs a change in the product.
"""

import argparse
import asyncio
import json
import sys
import time
from pathlib import Path
from typing import Any

import uvloop

from tests.bench.profile.flood import profile_flood
from tests.bench.profile.order import profile_orders
from tests.bench.profile.tables import flood_table, order_table
from tests.bench.report import machine
from tests.bench.rig.processes import STORES, redis_version

_PARTS = ("order", "flood")


async def _run(given: argparse.Namespace) -> tuple[dict[str, Any], list[str]]:
    began, results, tables = time.monotonic(), dict[str, Any](), list[str]()

    def report(progress: str) -> None:
        print(f"{time.monotonic() - began:5.0f} s  {progress}", file=sys.stderr, flush=True)  # noqa: T201

    if given.only in (None, "order"):
        order = await profile_orders(given.orders, given.cold_starts, report, delay_ms=given.delay_ms)
        results["order"] = order.to_json()
        tables.append(order_table(order))
    if given.only in (None, "flood"):
        flood = await profile_flood(given.flood, report, stores=given.stores, stacks=given.stacks)
        results["flood"] = flood.to_json()
        tables.append(flood_table(flood))
    return results | {"machine": machine(await redis_version())}, tables


def _count(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text} is not a number of 1 or more")
    return int(text)


def main() -> None:
    """Profile and print tables, or JSON."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.bench.profile", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--only", choices=_PARTS, help="profile only this")
    parser.add_argument("--orders", type=_count, default=50, metavar="N", help="orders one after another; default 50")
    parser.add_argument("--cold-starts", type=_count, default=3, metavar="N", help="default 3")
    parser.add_argument(
        "--delay-ms", type=float, default=0.0, metavar="MS", help="BigCommerce's own time for each call; default 0"
    )
    parser.add_argument("--flood", type=_count, default=2_000, metavar="N", help="orders in the flood; default 2000")
    parser.add_argument("--stores", type=_count, default=STORES, metavar="N", help=f"of the flood; default {STORES}")
    parser.add_argument("--stacks", type=Path, metavar="FILE", help="keep the worker's folded stacks for a flame graph")
    parser.add_argument("--json", action="store_true", help="print JSON instead of tables")
    given = parser.parse_args()
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        results, tables = runner.run(_run(given))
    print(json.dumps(results, indent=2, ensure_ascii=False) if given.json else "\n\n\n".join(tables))  # noqa: T201


if __name__ == "__main__":
    main()
