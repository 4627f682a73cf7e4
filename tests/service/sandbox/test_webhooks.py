"""Webhooks over real HTTP: a sandbox under uvicorn, and a receiver with configurable answers."""

import asyncio
import base64
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, TypeVar

import pytest
from standardwebhooks import Webhook
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from service.sandbox.specs import SANDBOX_CLIENT_SECRET
from service.sandbox.webhooks import BLOCK_DURATION_S, MIN_DELIVERIES, RETRY_DELAYS_S, SUCCESS_WINDOW_S, Domain
from tests.fakes.sandbox import RunningSandbox, free_port, running_app, running_sandbox

HOOKS = "/stores/sandbox/v3/hooks"

T = TypeVar("T")


@dataclass(slots=True)
class Delivery:
    path: str
    headers: dict[str, str]
    body: bytes
    payload: dict[str, Any] = field(default_factory=dict)


@dataclass(slots=True)
class Receiver:
    """Records its deliveries; answers with the statuses of ``answers`` in sequence, then 200."""

    url: str = ""
    got: list[Delivery] = field(default_factory=list)
    answers: list[int] = field(default_factory=list)
    always: int = 200
    may_answer: asyncio.Event = field(default_factory=asyncio.Event)

    def __post_init__(self) -> None:
        self.may_answer.set()

    async def take(self, request: Request) -> Response:
        body = await request.body()
        self.got.append(Delivery(request.url.path, dict(request.headers), body, await request.json()))
        await self.may_answer.wait()
        status = self.answers.pop(0) if self.answers else self.always
        return Response(status_code=status, headers={"Location": f"{self.url}/elsewhere"} if status == 302 else {})

    async def deliveries(self, count: int) -> list[Delivery]:
        """What came, once there is that much of it."""

        async def read() -> list[Delivery]:
            return self.got

        return await eventually(read, count)


@asynccontextmanager
async def receiving() -> AsyncIterator[Receiver]:
    receiver = Receiver()
    async with running_app(Starlette(routes=[Route("/{path}", receiver.take, methods=["POST"])])) as url:
        receiver.url = url
        yield receiver


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    async with receiving() as receiver:
        yield receiver


@pytest.fixture
async def sandbox() -> AsyncIterator[RunningSandbox]:
    """Retries within milliseconds: all eleven take 0.2 s."""
    async with running_sandbox(retry_scale=1e-6) as sandbox:
        yield sandbox


async def hook(sandbox: RunningSandbox, url: str, scope: str = "store/order/created", **rest: Any) -> str:
    """Register a webhook; its path in the API."""
    body = {"scope": scope, "destination": f"{url}/hook", **rest}
    response = await sandbox.api.post(HOOKS, json=body)
    assert response.status_code == 200, response.text
    return f"{HOOKS}/{response.json()['data']['id']}"


async def eventually(read: Callable[[], Awaitable[list[T]]], count: int = 1) -> list[T]:
    """What is seen once there is that much of it."""
    async with asyncio.timeout(30):
        while True:
            if len(seen := await read()) >= count:
                return seen
            await asyncio.sleep(0.005)


async def settled(sandbox: RunningSandbox, order_id: int, attempts: int) -> list[dict[str, Any]]:
    """The delivery attempts for an order, once there are that many."""

    async def read() -> list[dict[str, Any]]:
        return list((await sandbox.order(order_id))["webhooks"])

    return await eventually(read, attempts)


async def admin(sandbox: RunningSandbox) -> dict[str, Any]:
    return dict((await sandbox.api.get(f"{HOOKS}/admin")).json()["data"])


def verified(delivery: Delivery, secret: str = SANDBOX_CLIENT_SECRET) -> Any:
    return Webhook(base64.b64encode(secret.encode()).decode()).verify(delivery.body, delivery.headers)


async def test_a_webhook_is_signed_and_contains_only_ids(sandbox: RunningSandbox, receiver: Receiver) -> None:
    await hook(sandbox, receiver.url, headers={"X-Enrich-Key": "k-1"})

    placed = await sandbox.place_order(customer_id=101)
    await receiver.deliveries(1)

    (delivery,) = receiver.got
    payload = verified(delivery)
    assert payload == {
        "scope": "store/order/created",
        "store_id": payload["store_id"],
        "data": {"type": "order", "id": placed["id"]},
        "hash": payload["hash"],
        "created_at": int(placed["created_at"]),
        "producer": "stores/sandbox",
    }
    assert payload["store_id"].isdigit()
    assert len(payload["hash"]) == 40
    assert delivery.headers["x-enrich-key"] == "k-1"
    assert delivery.headers["content-type"] == "application/json"


async def test_during_a_rotation_both_secrets_sign(sandbox: RunningSandbox, receiver: Receiver) -> None:
    await hook(sandbox, receiver.url)
    await sandbox.put_store(client_secret=["old", "new"])

    await sandbox.place_order()
    await receiver.deliveries(1)

    assert verified(receiver.got[0], "old") == verified(receiver.got[0], "new")


async def test_incomplete_orders_and_their_completion_send_webhooks(
    sandbox: RunningSandbox, receiver: Receiver
) -> None:
    await hook(sandbox, receiver.url)
    await hook(sandbox, receiver.url, "store/order/statusUpdated")

    order_id = (await sandbox.place_order(status_id=0, complete_after=0.1))["id"]
    await receiver.deliveries(2)

    payloads = {delivery.payload["scope"]: delivery.payload for delivery in receiver.got}
    assert payloads.keys() == {"store/order/created", "store/order/statusUpdated"}
    status = {"previous_status_id": 0, "new_status_id": 11}
    assert payloads["store/order/statusUpdated"]["data"] == {"type": "order", "id": order_id, "status": status}


async def test_an_unchanged_status_sends_no_webhook(sandbox: RunningSandbox, receiver: Receiver) -> None:
    await hook(sandbox, receiver.url, "store/order/statusUpdated")
    order_id = (await sandbox.place_order())["id"]

    await sandbox.set_status(order_id, 11)
    await sandbox.set_status(order_id, 2)
    await receiver.deliveries(1)

    assert [delivery.payload["data"]["status"]["new_status_id"] for delivery in receiver.got] == [2]


async def test_any_change_of_an_order_sends_a_webhook(sandbox: RunningSandbox, receiver: Receiver) -> None:
    """ "Fires when a previously-created order is updated"; a status is among the fields ("Webhook events")."""
    await hook(sandbox, receiver.url, "store/order/updated")
    await hook(sandbox, receiver.url, "store/order/statusUpdated")
    order_id = (await sandbox.place_order())["id"]

    await sandbox.edit_order(order_id, staff_notes="PO 4711")
    await receiver.deliveries(1)
    await sandbox.set_status(order_id, 2)
    await receiver.deliveries(3)
    await sandbox.edit_order(order_id, status_id=3, external_id="E-1")
    await receiver.deliveries(5)
    await sandbox.edit_order(order_id, staff_notes="", drop_webhook=True)
    await sandbox.write_metafields(order_id, {"checkout": {"po_number": "A-1"}})
    await sandbox.edit_order(order_id, staff_notes="")
    await receiver.deliveries(6)

    payloads = [verified(each) for each in receiver.got]
    updates = [each["data"] for each in payloads if each["scope"] == "store/order/updated"]
    assert updates == [{"type": "order", "id": order_id}] * 4
    statuses = [each["data"]["status"] for each in payloads if each["scope"] == "store/order/statusUpdated"]
    assert [status["new_status_id"] for status in statuses] == [2, 3]


METAFIELD_SCOPES = [f"store/order/metafield/{did}" for did in ("created", "updated", "deleted")]


async def test_a_written_metafield_sends_a_webhook_that_names_its_order_in_text(
    sandbox: RunningSandbox, receiver: Receiver
) -> None:
    for scope in METAFIELD_SCOPES:
        await hook(sandbox, receiver.url, scope)
    order_id = (await sandbox.place_order(metafields={"erp": {"site": "7"}}))["id"]
    path = f"/stores/sandbox/v3/orders/{order_id}/metafields"

    body = {"namespace": "checkout", "key": "po_number", "value": "A-26"}
    metafield_id = (await sandbox.api.post(path, json=body)).json()["data"]["id"]
    await receiver.deliveries(1)
    await sandbox.api.put(f"{path}/{metafield_id}", json={"value": "A-27"})
    await receiver.deliveries(2)
    await sandbox.api.delete(f"{path}/{metafield_id}")
    await receiver.deliveries(3)
    await sandbox.write_metafields(order_id, {"checkout": {"po_number": "A-28"}}, drop_webhook=True)
    for value in ("A-29", None, "A-30"):
        await sandbox.write_metafields(order_id, {"checkout": {"po_number": value}})
    await receiver.deliveries(6)

    payloads = [verified(each) for each in receiver.got]
    assert [each["scope"] for each in payloads[:3]] == METAFIELD_SCOPES
    assert sorted(each["scope"] for each in payloads[3:]) == sorted(METAFIELD_SCOPES)
    assert [each["data"] for each in payloads[:3]] == [{"metafield_id": metafield_id, "resource_id": str(order_id)}] * 3
    assert {each["data"]["resource_id"] for each in payloads} == {str(order_id)}
    assert {each["producer"] for each in payloads} == {"stores/sandbox"}
    assert len({each["hash"] for each in payloads}) == 6


async def test_approved_buyers_and_companies_send_webhooks(sandbox: RunningSandbox, receiver: Receiver) -> None:
    await hook(sandbox, receiver.url, "store/company/user/created")
    await hook(sandbox, receiver.url, "store/company/user/updated")
    await hook(sandbox, receiver.url, "store/company/statusUpdated")

    await sandbox.put_user(199, 5002, drop_webhook=True)
    await sandbox.put_user(199, 5003)
    await receiver.deliveries(1)
    await sandbox.put_user(198, 5001)
    await receiver.deliveries(2)
    await sandbox.set_company_status(5003, 1)
    await sandbox.set_company_status(5003, 0)
    await receiver.deliveries(3)
    await sandbox.set_company_status(5003, 1, drop_webhook=True)
    await sandbox.set_company_status(5001, 3)
    await receiver.deliveries(4)

    assert [(verified(each)["scope"], each.payload["data"]) for each in receiver.got] == [
        ("store/company/user/updated", {"company_id": 5003, "user_id": 9_000_199}),
        ("store/company/user/created", {"company_id": 5001, "user_id": 9_000_198}),
        ("store/company/statusUpdated", {"company_id": 5003, "user_id": 9_000_105}),
        ("store/company/statusUpdated", {"company_id": 5001, "user_id": 9_000_101}),
    ]


async def test_a_webhook_about_a_company_is_retried_like_others(sandbox: RunningSandbox, receiver: Receiver) -> None:
    await hook(sandbox, receiver.url, "store/company/user/created")
    receiver.answers = [503, 503]

    await sandbox.put_user(199, 5002)
    await receiver.deliveries(3)

    assert len({each.headers["webhook-id"] for each in receiver.got}) == 1


@pytest.mark.parametrize(
    ("wildcard", "expected"),
    [
        ("store/*", {"order/created", "order/updated", "order/metafield/created", "company/user/created"}),
        ("store/order/*", {"order/created", "order/updated", "order/metafield/created"}),
        ("store/order/metafield/*", {"order/metafield/created"}),
        ("store/company/*", {"company/user/created"}),
        ("store/company/user/*", {"company/user/created"}),
        ("store/order*", set()),
        ("store/order", set()),
    ],
)
async def test_a_wildcard_is_sent_every_event_below_it(
    sandbox: RunningSandbox, receiver: Receiver, wildcard: str, expected: set[str]
) -> None:
    await hook(sandbox, receiver.url, wildcard)

    order_id = (await sandbox.place_order())["id"]
    await sandbox.edit_order(order_id, staff_notes="1")
    await sandbox.write_metafields(order_id, {"a": {"b": "c"}})
    await sandbox.put_user(199, 5002)
    # Comes last, on a hook of its own.
    await hook(sandbox, receiver.url, "store/company/statusUpdated", destination=f"{receiver.url}/last")
    await sandbox.set_company_status(5001, 2)
    covers_status = {"store/*", "store/company/*"} & {wildcard}
    await receiver.deliveries(len(expected) + 1 + len(covers_status))

    seen = {each.payload["scope"].removeprefix("store/") for each in receiver.got if each.path == "/hook"}
    assert seen - {"company/statusUpdated"} == expected


@pytest.mark.parametrize("change", ["edit", "metafield", "user"])
async def test_faults_apply_to_these_events_too(sandbox: RunningSandbox, receiver: Receiver, change: str) -> None:
    await hook(sandbox, receiver.url, "store/*")
    order_id = (await sandbox.place_order(drop_webhook=True))["id"]

    async def happens(number: int) -> None:
        match change:
            case "edit":
                await sandbox.edit_order(order_id, staff_notes=str(number))
            case "metafield":
                await sandbox.write_metafields(order_id, {"a": {str(number): "x"}})
            case "user":
                await sandbox.put_user(1000 + number, 5001)

    await sandbox.faults(webhook_drop_rate=1)
    await happens(1)
    await sandbox.faults(webhook_duplicate_rate=1, webhook_delay=0.1)
    loop = asyncio.get_running_loop()
    began = loop.time()
    await happens(2)
    first, second = await receiver.deliveries(2)

    assert first.payload["hash"] == second.payload["hash"]
    assert loop.time() - began >= 0.1


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
