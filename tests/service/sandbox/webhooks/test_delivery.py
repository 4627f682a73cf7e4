"""How webhooks are delivered: retries, duplicates, hooks that are switched off, blocked domains."""

import asyncio
from typing import Any

import pytest

from service.sandbox.webhooks import BLOCK_DURATION_S, MIN_DELIVERIES, RETRY_DELAYS_S, SUCCESS_WINDOW_S, Domain
from tests.fakes.sandbox import RunningSandbox, free_port, running_sandbox
from tests.service.sandbox.webhooks.conftest import Receiver, admin, eventually, hook, settled, verified


@pytest.mark.parametrize("status", [200, 204])
async def test_any_2xx_acknowledges(sandbox: RunningSandbox, receiver: Receiver, status: int) -> None:
    await hook(sandbox, receiver.url)
    receiver.always = status

    first = (await sandbox.place_order())["id"]
    await settled(sandbox, first, 1)
    await asyncio.sleep(10 * RETRY_DELAYS_S[0] * 1e-6)

    assert [attempt["status"] for attempt in await settled(sandbox, first, 1)] == [status]


@pytest.mark.parametrize("status", [302, 401, 503])
async def test_anything_else_is_retried_under_the_same_id(
    sandbox: RunningSandbox, receiver: Receiver, status: int
) -> None:
    await hook(sandbox, receiver.url)
    receiver.answers = [status, status]

    order_id = (await sandbox.place_order())["id"]
    attempts = await settled(sandbox, order_id, 3)

    assert [(each["attempt"], each["status"]) for each in attempts] == [(1, status), (2, status), (3, 200)]
    assert len({delivery.headers["webhook-id"] for delivery in receiver.got}) == 1
    assert len({delivery.body for delivery in receiver.got}) == 1
    assert {delivery.path for delivery in receiver.got} == {"/hook"}
    assert all(verified(delivery) for delivery in receiver.got)


async def test_duplicates_carry_the_same_hash(sandbox: RunningSandbox, receiver: Receiver) -> None:
    await hook(sandbox, receiver.url)

    await sandbox.place_order(duplicate_webhook=True)
    await receiver.deliveries(2)

    first, second = receiver.got
    assert first.payload["hash"] == second.payload["hash"]
    assert first.headers["webhook-id"] != second.headers["webhook-id"]


async def test_two_orders_have_two_hashes(sandbox: RunningSandbox, receiver: Receiver) -> None:
    await hook(sandbox, receiver.url)

    await sandbox.place_order()
    await sandbox.place_order()
    await receiver.deliveries(2)

    assert receiver.got[0].payload["hash"] != receiver.got[1].payload["hash"]


async def test_webhooks_are_dropped_duplicated_and_delayed_as_configured(
    sandbox: RunningSandbox, receiver: Receiver
) -> None:
    await hook(sandbox, receiver.url)
    await sandbox.place_order(drop_webhook=True)
    await sandbox.place_order(age=3600)
    await sandbox.faults(webhook_drop_rate=1)
    await sandbox.place_order()
    await sandbox.faults(webhook_duplicate_rate=1, webhook_delay=0.1)
    last = await sandbox.place_order(delay_webhook=0.1)

    first, second = await settled(sandbox, last["id"], 2)

    assert [delivery.payload["data"]["id"] for delivery in receiver.got] == [last["id"]] * 2
    assert min(first["at"], second["at"]) >= last["created_at"] + 0.2


async def test_the_last_failed_retry_deactivates_the_hook(sandbox: RunningSandbox, receiver: Receiver) -> None:
    path = await hook(sandbox, receiver.url)
    receiver.always = 500

    order_id = (await sandbox.place_order())["id"]
    attempts = await settled(sandbox, order_id, 12)
    hooks = (await admin(sandbox))["hooks_list"]
    await sandbox.place_order()
    reactivated = await sandbox.api.put(path, json={"is_active": True})
    receiver.always = 200
    other_id = (await sandbox.place_order())["id"]

    assert [attempt["attempt"] for attempt in attempts] == list(range(1, 13))
    assert [(each["is_active"], each["status"]) for each in hooks] == [(False, "deactivated")]
    assert reactivated.json()["data"]["is_active"]
    await settled(sandbox, other_id, 1)
    assert [delivery.payload["data"]["id"] for delivery in receiver.got] == [order_id] * 12 + [other_id]


async def test_a_receiver_that_is_not_there_counts_as_failed(sandbox: RunningSandbox) -> None:
    with free_port() as unused:
        await hook(sandbox, f"http://127.0.0.1:{unused.getsockname()[1]}")
        order_id = (await sandbox.place_order())["id"]
        attempts = await settled(sandbox, order_id, 12)

    assert {(attempt["status"], attempt["error"]) for attempt in attempts} == {(None, "ConnectError")}


async def test_inactive_and_deleted_hooks_get_nothing(sandbox: RunningSandbox, receiver: Receiver) -> None:
    await hook(sandbox, receiver.url, "store/order/*", is_active=False)
    path = await hook(sandbox, receiver.url)
    receiver.always = 500
    receiver.may_answer.clear()
    order_id = (await sandbox.place_order())["id"]
    await receiver.deliveries(1)
    await sandbox.api.delete(path)
    receiver.may_answer.set()
    await settled(sandbox, order_id, 1)
    await asyncio.sleep(sum(RETRY_DELAYS_S) * 1e-6)

    assert len(receiver.got) == 1


async def test_a_failing_domain_is_blocked_and_unblocked(receiver: Receiver) -> None:
    scale = 0.01
    async with running_sandbox(retry_scale=scale) as sandbox:
        for number in range(10):
            await hook(sandbox, receiver.url, destination=f"{receiver.url}/hook{number}")
        receiver.always = 500
        for _ in range(MIN_DELIVERIES // 10):
            await sandbox.place_order()

        async def read() -> list[dict[str, Any]]:
            return list((await admin(sandbox))["blocked_domains"])

        (domain,) = await eventually(read)
        receiver.always = 200
        attempts = await settled(sandbox, (await sandbox.place_order())["id"], 10)

        assert receiver.url == f"http://{domain['destination']}"
        assert 0 < domain["time_left"] <= BLOCK_DURATION_S * scale + 1
        assert domain["reasons"][0]["failure_description"] == "HTTP 500"
        assert {attempt["status"] for attempt in attempts} == {200}
        assert min(attempt["attempt"] for attempt in attempts) > 1

        async def let_go() -> list[bool]:
            return [] if await read() else [True]

        assert await eventually(let_go)


def test_a_domain_is_blocked_below_ninety_percent_from_the_hundredth_delivery_on() -> None:
    domain = Domain()

    outcomes = [domain.record(1000.0, "HTTP 500" if number < 10 else None, 180) for number in range(100)]
    assert not any(outcomes)
    assert domain.record(1000.0, "HTTP 500", 180)
    assert domain.block is not None
    assert domain.block.until == 1180.0


def test_deliveries_older_than_two_minutes_do_not_count() -> None:
    domain = Domain()
    for _ in range(99):
        domain.record(1000.0, "HTTP 500", 180)

    assert not domain.record(1000.0 + SUCCESS_WINDOW_S, "HTTP 500", 180)


async def test_pending_deliveries_end_with_the_sandbox(receiver: Receiver) -> None:
    async with running_sandbox() as sandbox:
        await hook(sandbox, receiver.url)
        receiver.always = 500
        order_id = (await sandbox.place_order(complete_after=3600))["id"]
        await settled(sandbox, order_id, 1)
        await sandbox.place_order(delay_webhook=3600)
        leaving = asyncio.get_running_loop().time()

    assert asyncio.get_running_loop().time() - leaving < 30
    assert len(receiver.got) == 1
