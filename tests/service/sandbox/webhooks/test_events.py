"""Which events send webhooks, and what is in them."""

import asyncio

import pytest

from tests.fakes.sandbox import RunningSandbox
from tests.service.sandbox.webhooks.conftest import Receiver, hook, verified


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
