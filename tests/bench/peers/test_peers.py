"""Tests of the part ``peer``: ours and each floor in a tiny size."""

from dataclasses import replace
from typing import Any

import httpx
import pytest

from tests.bench.durations import QUICK
from tests.bench.peers.contenders import NODE_JS, OURS, PYTHON, contenders
from tests.bench.peers.measurement import Measured, figures, measure, measure_one
from tests.bench.peers.node import NODE
from tests.bench.report import Target, plain_table
from tests.bench.rig.processes import rigged
from tests.bench.rig.webhooks import request

TINY = replace(QUICK, peer_s=0.5, flood=30, flood_stores=(2,), monitored=20, verifying_s=0.6)

without_node = pytest.mark.skipif(NODE is None, reason="Node.js is not installed: its floor is not measured here")
FLOORS = [PYTHON, pytest.param(NODE_JS, marks=without_node)]


@pytest.mark.chaos
async def test_ours_is_measured_from_a_cold_start() -> None:
    # Its floods take the same way as those of the floors; to start it once more would take as long as all the rest.
    measured = await measure_one(OURS, contenders()[OURS], replace(TINY, flood_stores=()), lambda _: None)
    assert [figure.rpartition(", ")[2] for figure in measured.figures] == ["p50", "p99", "p50", "the latest"]
    assert all(value > 0 for value, *_ in measured.figures.values())


@pytest.mark.chaos
@pytest.mark.parametrize("name", FLOORS)
async def test_a_floor_is_measured(name: str) -> None:
    """It asserts itself that each order has one record with its values."""
    measured = await measure_one(name, contenders()[name], TINY, lambda _: None)
    values = {figure: value for figure, (value, *_) in measured.figures.items()}
    assert all(value > 0 for figure, value in values.items() if "CPU" not in figure), values
    # Both are counted from the first webhook; the clocks are exact to a millisecond.
    assert values["flood over 2 stores, verified"] <= values["flood over 2 stores, created"] * 1.05
    assert values["Redis, commands an order"] >= 2.0


@pytest.mark.parametrize("name", FLOORS)
async def test_a_floor_refuses_a_wrong_signature_and_takes_an_order_once(name: str) -> None:
    async with rigged(stores=1) as rig:
        service = await contenders()[name](rig)
        webhook = request("/webhooks/bigcommerce", rig.stores[0], 7, 1_800_000_000.0)
        head, body = webhook.split(b"\r\n\r\n", 1)
        headers = dict(line.split(": ", 1) for line in head.decode().splitlines()[1:])
        answers = [await rig.client.post(service.url, content=body, headers=headers) for _ in range(2)]
        await service.verified([(rig.stores[0], 7)])
        answers.append(await rig.client.post(service.url, content=body, headers=headers))  # also when it is done
        signature = headers["webhook-signature"]
        wrong = {**headers, "webhook-id": "another", "webhook-signature": signature}
        refused: httpx.Response = await rig.client.post(service.url, content=body, headers=wrong)
        counts = await rig.counts()
    assert [answer.status_code for answer in answers] == [200, 200, 200]
    assert refused.status_code == 401
    assert (counts.created, counts.calls["Create an Order"]) == (1, 1)


async def test_a_bench_without_node_says_so_and_measures_the_rest(monkeypatch: pytest.MonkeyPatch) -> None:
    async def measured_one(*_: object) -> Measured:
        return measured(1.0)

    said, details = list[str](), dict[str, Any]()
    monkeypatch.setattr("tests.bench.peers.contenders.NODE", None)
    monkeypatch.setattr("tests.bench.peers.measurement.measure_one", measured_one)
    (row,) = await measure(TINY, said.append, details)
    assert row.name == "created (floor: Python)"
    assert said == ["peer: Node.js is not installed, so its floor is left out"]
    assert details["peers"] == {OURS: {"created": 1.0}, PYTHON: {"created": 1.0}}


def measured(value: float) -> Measured:
    each = Measured()
    each.add("created", value, "orders/s", Target("value", "≥", 900))
    return each


def test_ours_stands_beside_each_floor_and_the_target_beside_the_first() -> None:
    rows = figures({OURS: measured(500.0), PYTHON: measured(250.0), NODE_JS: measured(1_000.0)})
    assert [(row.name, row.ratio, row.met) for row in rows] == [
        ("created (floor: Node.js)", 0.5, False),
        ("created (floor: Python)", 2.0, None),
    ]
    (only,) = figures({OURS: measured(500.0), PYTHON: measured(250.0)})
    assert (only.name, only.met) == ("created (floor: Python)", False)
    assert "created (floor: Python)" in plain_table([only])
