"""Webhooks that are acknowledged, and which of them are queued."""

import json
from typing import Any

import pytest
from pydantic import SecretStr
from structlog.testing import capture_logs

from service.bigcommerce.clients.hooks import (
    COMPANY_CHANGED,
    COMPANY_STATUS_UPDATED,
    METAFIELD_CREATED,
    METAFIELD_WRITTEN,
    ORDER_UPDATED,
)
from service.errors import QueueUnavailable
from service.orders.state.queue import EnqueueResult, Webhook
from service.receiver.webhook_endpoint import Payload
from tests.fakes.webhooks import FakeQueue, a_body, a_store, raising, signed
from tests.service.receiver.webhook_endpoint.conftest import NOW, count_of, post, receiver, without_ms


async def test_an_authentic_webhook_is_queued_with_all_its_fields(queue: FakeQueue) -> None:
    async with receiver(queue) as client:
        with capture_logs() as logs:
            answer = await post(client, a_body())
        assert await count_of(client, "queued") == 1
    assert (answer.status_code, answer.content) == (200, b"")
    assert queue.webhooks == [
        Webhook(
            store_hash="abc123",
            order_id=250,
            webhook_id="msg_1",
            scope="store/order/created",
            created_at=1561479335,
            received_at=NOW,
            follow_s=86_400.0,
        )
    ]
    assert without_ms(logs) == [
        {
            "event": "webhook_accepted",
            "log_level": "info",
            "store": "abc123",
            "order_id": 250,
            "webhook_id": "msg_1",
        }
    ]


async def test_optional_fields_may_be_missing_and_unknown_ones_present(queue: FakeQueue) -> None:
    body = json.dumps(
        {
            "scope": "store/order/created",
            "data": {"type": "order", "id": 2**63 - 1, "new": {"nested": [1]}},
            "producer": "stores/abc123",
            "also_new": None,
        }
    ).encode()
    async with receiver(queue) as client:
        assert (await post(client, body)).status_code == 200
    (webhook,) = queue.webhooks
    assert (webhook.order_id, webhook.created_at) == (2**63 - 1, None)


async def test_content_type_does_not_matter(queue: FakeQueue) -> None:
    async with receiver(queue) as client:
        assert (await post(client, a_body(), signed(a_body()) | {"content-type": "text/plain"})).status_code == 200
    assert len(queue.webhooks) == 1


async def test_without_a_webhook_id_the_hash_is_used(queue: FakeQueue) -> None:
    store = a_store(client_secret=None, webhook_headers={"X-Key": SecretStr("key")})
    async with receiver(queue, store) as client:
        assert (await post(client, a_body(), {"x-key": "key"})).status_code == 200
    assert queue.webhooks[0].webhook_id == "dd70c0976e06b67aaf671e73f49dcb79230ebf9d"


@pytest.mark.parametrize(
    ("accepted", "event", "level"),
    [(EnqueueResult.DUPLICATE, "webhook_duplicate", "info"), (EnqueueResult.IGNORED, "webhook_ignored", "debug")],
)
async def test_webhooks_that_the_queue_ignores_are_acknowledged(
    queue: FakeQueue, accepted: EnqueueResult, event: str, level: str
) -> None:
    queue.answer = lambda: accepted
    async with receiver(queue) as client:
        with capture_logs() as logs:
            assert (await post(client, a_body())).status_code == 200
        assert await count_of(client, accepted.value) == 1
    assert [(line["event"], line["log_level"], line["order_id"]) for line in logs] == [(event, level, 250)]


@pytest.mark.parametrize(
    "changes",
    [
        {"scope": "store/cart/created", "data": {"type": "cart", "id": "2cb2-uuid"}},
        {"scope": "store/app/uninstalled", "data": {}},
        {"scope": "store/app/uninstalled", "data": None},
        {"scope": "store/app/uninstalled", "data": {"type": None}},
        {"scope": "store/app/uninstalled", "created_at": "2019-06-25"},
        {"scope": "store/channel/settings/updated", "data": []},
        {"scope": "store/order/updated", "data": {"type": "order", "id": "none"}, "hash": {}},
        {"scope": "store/order/metafield/created", "data": {"type": "order", "metafield_id": 9, "id": 270}},
        {"scope": "store/order/metafield/deleted", "data": {"metafield_id": 9, "resource_id": "270"}},
    ],
)
async def test_other_authentic_events_are_acknowledged_and_not_queued(
    queue: FakeQueue, changes: dict[str, Any]
) -> None:
    async with receiver(queue) as client:
        with capture_logs() as logs:
            assert (await post(client, a_body(**changes))).status_code == 200
        assert await count_of(client, "ignored") == 1
    assert queue.webhooks == []
    assert [(line["event"], line["log_level"]) for line in logs] == [("webhook_ignored", "debug")]


@pytest.mark.parametrize(
    ("scope", "data", "order_id", "company_id", "user_id"),
    [
        (ORDER_UPDATED, {"type": "order", "id": 250}, 250, None, None),
        (ORDER_UPDATED, {"type": "order", "id": "none"}, None, None, None),
        (METAFIELD_CREATED, {"metafield_id": 9, "resource_id": "270"}, 270, None, None),
        *((scope, {"company_id": 5001, "user_id": "7"}, None, 5001, 7) for scope in COMPANY_CHANGED),
        (COMPANY_STATUS_UPDATED, {"type": "company", "id": 250, "company_id": 5001}, None, 5001, None),
        (COMPANY_STATUS_UPDATED, {"company_id": 0, "user_id": 2**63}, None, None, None),
        (COMPANY_STATUS_UPDATED, [], None, None, None),
    ],
)
def test_an_event_names_an_order_or_a_company(
    scope: str, data: Any, order_id: int | None, company_id: int | None, user_id: int | None
) -> None:
    payload = Payload.model_validate_json(a_body(scope=scope, data=data))

    assert (payload.order_id, payload.company_id, payload.user_id) == (order_id, company_id, user_id)
    kinds = (payload.is_order, payload.is_order_change, payload.is_metafield, payload.is_company)
    assert kinds == (False, scope == ORDER_UPDATED, scope == METAFIELD_CREATED, scope in COMPANY_CHANGED)


@pytest.mark.parametrize("scope", COMPANY_CHANGED)
@pytest.mark.parametrize("data", [{"company_id": 7, "user_id": 11}, {"company_id": "x"}, {"id": 250}, [], None])
async def test_a_change_of_a_company_or_its_users_is_about_no_order(queue: FakeQueue, scope: str, data: Any) -> None:
    async with receiver(queue) as client:
        with capture_logs() as logs:
            assert (await post(client, a_body(scope=scope, data=data))).status_code == 200
        assert await count_of(client, "queued") == 1
        assert (await post(client, a_body(scope=scope, data=data), headers={})).status_code == 401
    assert (queue.people_changed, queue.webhooks) == (["abc123"], [])
    assert without_ms(logs) == [
        {"event": "people_changed", "log_level": "debug", "store": "abc123", "webhook_id": "msg_1", "scope": scope}
    ]


async def test_a_change_of_people_that_redis_does_not_take_is_503(queue: FakeQueue) -> None:
    queue.answer = raising(QueueUnavailable("gone"))
    async with receiver(queue) as client:
        with capture_logs() as logs:
            answer = await post(client, a_body(scope=COMPANY_CHANGED[0], data={}))
    assert answer.status_code == 503
    assert [line["event"] for line in logs] == ["webhook_not_queued"]


@pytest.mark.parametrize("scope", METAFIELD_WRITTEN)
async def test_a_written_metafield_is_for_the_order_that_it_belongs_to(queue: FakeQueue, scope: str) -> None:
    body = a_body(scope=scope, data={"type": "order", "metafield_id": 9, "resource_id": "270"})
    async with receiver(queue) as client:
        assert (await post(client, body)).status_code == 200
    (webhook,) = queue.webhooks
    assert (webhook.order_id, webhook.scope) == (270, scope)


@pytest.mark.parametrize("incomplete_orders", ["wait", "enrich", "skip"])
async def test_status_updates_are_queued_whatever_the_store_is_set_to(queue: FakeQueue, incomplete_orders: str) -> None:
    """An order may be waiting since before the stores file was changed: the queue decides."""
    async with receiver(queue, a_store(incomplete_orders=incomplete_orders)) as client:
        assert (await post(client, a_body(scope="store/order/statusUpdated"))).status_code == 200
    assert [webhook.scope for webhook in queue.webhooks] == ["store/order/statusUpdated"]


@pytest.mark.parametrize(
    ("changes", "created_at"),
    [
        ({"data": {"type": "order", "id": "250"}}, 1561479335),
        ({"data": {"type": "order", "id": 250.0}}, 1561479335),
        ({"data": {"id": 250}}, 1561479335),
        ({"hash": 12}, 1561479335),
        ({"hash": None}, 1561479335),
        ({"hash": {"sha": 1}}, 1561479335),
        ({"created_at": "1561479335"}, 1561479335),
        ({"created_at": 1561479335.75}, 1561479335),
        ({"created_at": "2019-06-25"}, None),
        ({"created_at": None}, None),
        ({"created_at": -1}, None),
        ({"created_at": 10**400}, None),
        ({"created_at": [1561479335]}, None),
    ],
    ids=str,
)
async def test_an_authentic_order_event_with_unusual_types_is_queued(
    queue: FakeQueue, changes: dict[str, Any], created_at: int | None
) -> None:
    async with receiver(queue) as client:
        assert (await post(client, a_body(**changes))).status_code == 200
    (webhook,) = queue.webhooks
    assert (webhook.order_id, webhook.created_at, webhook.webhook_id) == (250, created_at, "msg_1")


@pytest.mark.parametrize(
    ("scope", "data", "noted"),
    [
        (METAFIELD_WRITTEN[0], {"metafield_id": 9, "resource_id": "270"}, [("abc123", METAFIELD_WRITTEN[0], 270, NOW)]),
        ("store/order/updated", {"type": "order", "id": 270}, [("abc123", "store/order/updated", 270, NOW)]),
        ("store/order/created", {"type": "order", "id": 270}, []),
        ("store/order/statusUpdated", {"type": "order", "id": 270}, []),
    ],
)
async def test_events_without_a_trace_of_their_own_are_noted_for_a_rehearsal(
    queue: FakeQueue, scope: str, data: dict[str, Any], noted: list[Any]
) -> None:
    async with receiver(queue) as client:
        assert (await post(client, a_body(scope=scope, data=data))).status_code == 200
    assert queue.noted == noted


async def test_an_event_that_is_not_authentic_is_not_noted(queue: FakeQueue) -> None:
    body = a_body(scope="store/order/updated", data={"type": "order", "id": 270})
    async with receiver(queue) as client:
        assert (await post(client, body, signed(body, "another secret"))).status_code == 401
    assert queue.noted == []
