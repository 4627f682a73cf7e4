"""The page on sizing has the numbers of the last benchmark."""

import json
import re

import pytest

from tests.bench.__main__ import FOLDER
from tests.fakes.pages import ROOT, SIZING

BENCHMARKS = ROOT / FOLDER
FIGURES = {
    figure["name"]: figure["value"] for figure in json.loads((BENCHMARKS / "results.json").read_text())["figures"]
}

ORDERS_PER_S = FIGURES["verified, one process (floor: bare httpx)"]
LONG = dict(
    re.findall(r"\| steady \| worker, (after|CPU)[^|]*\| ([\d.]+) ", (BENCHMARKS / "long/README.md").read_text())
)
STEADY_MS, AFTER_MB = float(LONG["CPU"]), float(LONG["after"])
WEBHOOKS_PER_S = FIGURES["accepted, closed loop, 32 connections"]
REDIS_MS = FIGURES["Redis, CPU an order, the bench's own questions too"]


def number(pattern: str) -> float:
    """The number at ``#`` in the sentence."""
    found = re.search(re.escape(pattern).replace(r"\#", r"([0-9][0-9.,]*[0-9]|[0-9])"), SIZING.text)
    assert found, pattern
    return float(found[1].replace(",", ""))


@pytest.mark.parametrize(
    ("sentence", "measured"),
    [
        ("| a worker process | one core | # ms of it", STEADY_MS),
        ("while orders come evenly](benchmarks/long/README.md) | # orders a second", 1000 / STEADY_MS),
        ("a worker # MB", AFTER_MB),
        ("| # ms of it in a burst", 1000 / ORDERS_PER_S),
        ("share a call | # orders a second", ORDERS_PER_S),
        ("| a receiver process | one core | # ms of it", 1000 / WEBHOOKS_PER_S),
        ("ms of it | # webhooks a second", WEBHOOKS_PER_S),
        ("| Redis | one core | # ms of it", REDIS_MS),
        ("commands | # orders a second", 1000 / REDIS_MS),
        ("ms of it, # commands", FIGURES["Redis, commands an order, receiver's too"]),
        ("| Redis | memory | # bytes", FIGURES["Redis, an order that has ended"]),
        ("# while it waits", FIGURES["Redis, an order that waits"]),
        ("a million orders a month: some # GB", FIGURES["Redis, an order that has ended"] / 1000),
        ("| CPU of workers | # hours", 1e6 * STEADY_MS / 1000 / 3600),
        ("| CPU of receivers | # hours", 1e6 / WEBHOOKS_PER_S / 3600),
        ("| CPU of Redis | # hours", 1e6 * REDIS_MS / 1000 / 3600),
        ("with a hundred thousand orders an hour between them: # %", 100_000 / 3600 * STEADY_MS / 1000 * 100),
    ],
)
def test_a_number_is_the_one_that_was_measured(sentence: str, measured: float) -> None:
    assert number(sentence) == pytest.approx(measured, rel=0.05)
