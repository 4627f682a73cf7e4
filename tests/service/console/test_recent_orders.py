"""The orders that rules are tried on: read once, held for a while, bounded, and kept nowhere else."""

import asyncio
from typing import Any

import httpx
import pytest

from service.console.people.access import Role
from service.console.rules import recent_orders
from service.console.rules.recent_orders import KEEP_S, RETRY_AFTER_S, RecentOrders
from service.console.runs.upstream import Upstream
from service.console.store_apis import StoreApis
from service.orders.document.partial_loader import LoadedOrder
from tests.fakes.console import ConsoleWorld

NOTHING: frozenset[str] = frozenset()


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


def an_order(order_id: int, **fields: Any) -> dict[str, Any]:
    date = "Sat, 28 Nov 2026 10:00:00 +0000"
    return {"id": order_id, "date_created": date, "customer_id": 0, "status_id": 11, "consignments": []} | fields


@pytest.fixture
def orders(world: ConsoleWorld) -> tuple[RecentOrders, Clock]:
    clock = Clock()
    world.upstream.on("GET /v2/orders", [an_order(250, customer_message="the-shoppers-words")])
    world.upstream.on("GET /v2/orders/250", an_order(250, customer_message="the-shoppers-words"))
    no_metafields = {"data": [], "meta": {"pagination": {"total_pages": 1}}}
    world.upstream.on("GET /v3/orders/250/metafields", no_metafields)
    apis = StoreApis(world.live, Upstream(world.redis, lambda: httpx.MockTransport(world.upstream.handle)))
    return RecentOrders(apis, world.redis, clock=clock), clock


def lists_read(world: ConsoleWorld) -> int:
    return world.upstream.asked.count("GET /v2/orders")


async def test_orders_are_read_once_in_ten_minutes(world: ConsoleWorld, orders: tuple[RecentOrders, Clock]) -> None:
    recent, clock = orders
    store = world.live.current.stores["abc123"]
    for _ in range(3):
        held = await recent.of(store, NOTHING, wait_s=5)
        assert held.is_complete
    assert lists_read(world) == 1
    clock.now += KEEP_S + 1
    await recent.of(store, NOTHING, wait_s=5)
    assert lists_read(world) == 2
    await recent.of(store, NOTHING, again=True, wait_s=5)
    await recent.of(store, frozenset({"cart"}), wait_s=5)
    assert lists_read(world) == 4
    assert (await recent.of(store, NOTHING)).roots >= {"cart"}
    assert lists_read(world) == 4
    await recent.close()


async def test_an_error_is_shown_and_tried_again_after_a_moment(
    world: ConsoleWorld, orders: tuple[RecentOrders, Clock]
) -> None:
    recent, clock = orders
    store = world.live.current.stores["abc123"]
    world.upstream.on("GET /v2/orders", 403, [an_order(250)])
    for _ in range(3):
        held = await recent.of(store, NOTHING, wait_s=5)
        assert "403" in held.error
    assert lists_read(world) == 1
    clock.now += RETRY_AFTER_S + 1
    assert (await recent.of(store, NOTHING, wait_s=5)).is_complete
    await recent.close()


async def test_what_is_held_is_bounded(
    world: ConsoleWorld, orders: tuple[RecentOrders, Clock], monkeypatch: pytest.MonkeyPatch
) -> None:
    recent, _ = orders
    monkeypatch.setattr(recent_orders, "MAX_STORES", 1)
    for store in ("abc123", "other1", "abc123"):
        assert (await recent.of(world.live.current.stores[store], NOTHING, wait_s=5)).is_complete
    assert lists_read(world) == 3
    await recent.close()


async def test_nothing_of_an_order_is_kept_in_redis(world: ConsoleWorld, orders: tuple[RecentOrders, Clock]) -> None:
    async with world.person(Role.ADMIN) as client:
        assert "the-shoppers-words" in (await client.get("/rules/abc123")).text
    kept = [await world.redis.dump(key) async for key in world.redis.scan_iter()]
    assert kept
    assert not any(b"the-shoppers-words" in value for value in kept)


async def test_it_says_what_it_waits_for(world: ConsoleWorld, orders: tuple[RecentOrders, Clock]) -> None:
    recent, _ = orders
    store = world.live.current.stores["abc123"]
    is_asked, may_answer = asyncio.Event(), asyncio.Event()

    async def load(api: Any, *_: Any) -> list[LoadedOrder]:
        api.on_wait("Get All Orders", 42.0)
        is_asked.set()
        await may_answer.wait()
        return []

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(recent_orders, "load_newest", load)
        held = await recent.of(store, NOTHING)
        await is_asked.wait()
        assert held.waits_for == "Get All Orders waits 42 s for the store's quota: orders go first."
        assert held.is_reading
        may_answer.set()
        assert (await recent.of(store, NOTHING, wait_s=5)).is_complete
    assert held.waits_for == ""
    await recent.close()
