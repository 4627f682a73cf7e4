"""QuotaWaitingApi: how long it waits for the quota, and that it says so."""

import asyncio

import httpx
import pytest
from pydantic import SecretStr

from service.bigcommerce import QuotaWaitingApi
from service.errors import WaitUntil
from tests.fakes.upstream import FakeUpstream, account, transport_to

RECORD = "GET /api/v3/io/orders/1"


def over_quota(seconds: float) -> httpx.Response:
    headers = {"X-Requests-Allocated": "150 times/60 s", "X-Requests-Remaining": "0 times"}
    return httpx.Response(429, json={}, headers=headers | {"X-Request-Window-Resets-After": f"{seconds} s"})


@pytest.fixture
def waits(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The waits, in whole seconds; no test really waits."""
    seconds_waited: list[float] = []

    async def sleep(seconds: float) -> None:
        seconds_waited.append(int(seconds))

    monkeypatch.setattr(asyncio, "sleep", sleep)
    return seconds_waited


async def test_it_waits_up_to_half_a_minute(upstream: FakeUpstream, waits: list[float]) -> None:
    upstream.on(
        RECORD,
        over_quota(30),
        over_quota(7),
        {"code": 200, "data": {"bcOrderId": 1, "poNumber": "A", "extraFields": []}},
    )
    async with transport_to(upstream) as transport:
        assert (await QuotaWaitingApi(transport, account("t")).b2b.order(1)).po_number == "A"
    assert waits == [30, 7]


@pytest.mark.parametrize(("longest", "waited"), [(None, []), (50.0, []), (65.0, [55])])
async def test_a_longer_wait_needs_a_longer_limit(
    upstream: FakeUpstream, waits: list[float], longest: float | None, waited: list[float]
) -> None:
    upstream.on(RECORD, over_quota(55), over_quota(70))
    async with transport_to(upstream) as transport:
        api = QuotaWaitingApi(transport, account("t"))
        if longest is not None:
            api.max_wait_s = longest
        with pytest.raises(WaitUntil):
            await api.b2b.order(1)
    assert waits == waited


async def test_it_waits_as_often_as_it_may(upstream: FakeUpstream, waits: list[float]) -> None:
    upstream.on(RECORD, over_quota(1))
    async with transport_to(upstream) as transport:
        api = QuotaWaitingApi(transport, account("t"))
        api.max_waits = 7
        with pytest.raises(WaitUntil):
            await api.b2b.order(1)
    assert waits == [1] * 7


async def test_each_wait_is_told_with_its_operation_and_length(upstream: FakeUpstream, waits: list[float]) -> None:
    upstream.on("GET /api/v2/orders/1/products", over_quota(12), {"data": [{"productId": "7"}]})
    told: list[tuple[str, float]] = []
    async with transport_to(upstream) as transport:
        api = QuotaWaitingApi(transport, account("t"))
        api.on_wait = lambda operation, seconds: told.append((operation, seconds))
        assert await api.storefront.order_products(SecretStr("buyer-token"), 1) == [{"productId": "7"}]
    assert (waits, told) == ([12], [("Get Order Products", 12.0)])
