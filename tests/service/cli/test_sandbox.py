"""``enrich sandbox``: ids of orders go on from one sandbox to the next."""

import json
import time
from typing import Any

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.cli import sandbox
from service.sandbox.app import create_app
from service.sandbox.options import Options, unused_order_id
from tests.fakes.cli import Enrich


def options_of(enrich: Enrich, monkeypatch: pytest.MonkeyPatch, *words: str) -> Options:
    """The options of the sandbox that the command runs."""
    served: list[Options] = []

    async def serve(options: Options, *_: Any) -> None:
        served.append(options)

    monkeypatch.setattr(sandbox, "serve", serve)
    assert enrich("sandbox", *words).code == 0
    (options,) = served
    return options


async def test_orders_get_ids_from_the_first_one_on() -> None:
    app = create_app(Options(first_order_id=777))
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://test") as client:
        placed = [await client.post("/sandbox/stores/sandbox/orders", content="{}") for _ in range(2)]
    assert [json.loads(answer.content)["id"] for answer in placed] == [777, 778]


def test_a_sandbox_begins_above_all_ids_of_those_that_were_started_before(
    enrich: Enrich, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = options_of(enrich, monkeypatch).first_order_id
    now = time.time()
    monkeypatch.setattr(time, "time", lambda: now + 2)
    assert options_of(enrich, monkeypatch).first_order_id >= before + 100
    assert options_of(enrich, monkeypatch, "--first-order-id", "1001").first_order_id == 1001


@given(started=st.integers(1_700_000_000, 2_500_000_000), seconds=st.integers(1, 10**7))
def test_an_id_is_unused_as_long_as_no_sandbox_takes_more_than_a_hundred_orders_a_second(
    started: int, seconds: int
) -> None:
    first, next_first = unused_order_id(started), unused_order_id(started + seconds)
    assert first >= 1
    if started >= 1_767_225_600:  # 2026: no clock shows less
        assert next_first - first == 100 * seconds
        assert next_first < 2**53, "Lua's numbers are doubles"
