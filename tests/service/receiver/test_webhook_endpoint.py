"""The receiver's answers to webhooks."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import SecretStr
from starlette.types import Message
from structlog.testing import capture_logs

from service.bigcommerce.clients.hooks import (
    COMPANY_CHANGED,
    COMPANY_STATUS_UPDATED,
    METAFIELD_CREATED,
    METAFIELD_WRITTEN,
    ORDER_UPDATED,
)
from service.errors import QueueUnavailable
from service.hooks import WEBHOOK_PATH
from service.orders.state.queue import EnqueueResult, Webhook
from service.receiver import webhook_endpoint
from service.receiver.app import create_app
from service.receiver.authentication import StoreRegistry
from service.receiver.webhook_endpoint import Payload
from service.stores import Store
from tests.fakes.webhooks import FakeQueue, a_body, a_store, client_of, raising, signed

NOW = 1_561_479_336.25


@asynccontextmanager
async def receiver(queue: FakeQueue, *stores: Store) -> AsyncIterator[httpx.AsyncClient]:
    registry = StoreRegistry({store.hash: store for store in stores or (a_store(),)})
    async with client_of(create_app(registry, queue.opened, clock=lambda: NOW)) as client:
        yield client


@pytest.fixture
def queue() -> FakeQueue:
    return FakeQueue()


async def post(client: httpx.AsyncClient, body: bytes, headers: dict[str, str] | None = None) -> httpx.Response:
    return await client.post(WEBHOOK_PATH, content=body, headers=signed(body) if headers is None else headers)


def without_ms(logs: list[Any]) -> list[Any]:
    for line in logs:
        assert line.pop("ms") >= 0
    return logs


async def count_of(client: httpx.AsyncClient, answer: str) -> float:
    lines = (await client.get("/metrics")).text.splitlines()
    (line,) = [line for line in lines if line.startswith(f'enrich_webhooks_total{{answer="{answer}"}}')]
    return float(line.split()[1])


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
    "body",
    [
        b"",
        b"null",
        b"[]",
        b"{}",
        b"{",
        b"\xff\xfe",
        b'"\\ud800"',
        b"[" * 60_000,
        b'{"data":' * 8_000,
        a_body() + b"}",
        "\ufeff".encode() + a_body(),
        a_body().decode().encode("utf-16"),
        a_body(scope=None),
        a_body(scope=""),
        a_body(scope=["store/order/created"]),
        a_body(scope="x" * 256),
        a_body(producer="abc123"),
        a_body(producer="stores/"),
        a_body(producer="stores/abc123/"),
        a_body(producer="stores/abc123\n"),
        a_body(producer="stores/../abc123"),
        a_body(producer=None),
        a_body(data=None),
        a_body(data=[]),
        a_body(data={"type": "order"}),
        *(
            a_body(data={"type": "order", "id": wrong})
            for wrong in ("none", "", "-5", 0, -1, 2.5, True, None, [250], 2**63, 10**400)
        ),
        a_body(scope="store/order/statusUpdated", data={"type": "order", "id": 0}),
        a_body(scope="store/order/statusUpdated", data={"type": "order", "id": "x"}),
        a_body(scope="store/order/statusUpdated", data=None),
    ],
)
async def test_an_invalid_body_is_400(queue: FakeQueue, body: bytes) -> None:
    async with receiver(queue) as client:
        with capture_logs() as logs:
            answer = await client.post(WEBHOOK_PATH, content=body)
        assert await count_of(client, "not_a_webhook") == 1
    assert (answer.status_code, answer.content) == (400, b"")
    assert queue.webhooks == []
    assert without_ms(logs) == [{"event": "webhook_refused", "log_level": "warning", "reason": "not_a_webhook"}]


@pytest.mark.parametrize(
    ("body", "sign", "expected"),
    [
        (a_body(), lambda _: {}, {"reason": "unsigned", "store": "abc123"}),
        (a_body(), lambda body: signed(body, "guessed"), {"reason": "bad_signature", "store": "abc123"}),
        (a_body(), lambda body: signed(body, age=400), {"reason": "stale", "store": "abc123"}),
        (a_body(producer="stores/evil"), signed, {"reason": "unknown_store"}),
    ],
    ids=["unsigned", "bad signature", "stale", "unknown store"],
)
async def test_a_webhook_that_is_not_authentic_is_401(
    queue: FakeQueue, body: bytes, sign: Callable[[bytes], dict[str, str]], expected: dict[str, str]
) -> None:
    headers = sign(body)  # only now: a signature is valid for five minutes
    async with receiver(queue) as client:
        with capture_logs() as logs:
            answer = await post(client, body, headers)
        assert await count_of(client, "refused") == 1
    assert (answer.status_code, answer.content) == (401, b"")
    assert queue.webhooks == []
    assert without_ms(logs) == [{"event": "webhook_refused", "log_level": "warning", **expected}]


async def test_the_secret_of_one_store_is_refused_for_another(queue: FakeQueue) -> None:
    stores = a_store(), a_store("other1", client_secret=SecretStr("another secret"))
    body = a_body(producer="stores/other1")
    async with receiver(queue, *stores) as client:
        assert (await post(client, body, signed(body))).status_code == 401
        assert (await post(client, body, signed(body, "another secret"))).status_code == 200
    assert [webhook.store_hash for webhook in queue.webhooks] == ["other1"]


@pytest.mark.parametrize(
    ("size", "status"), [(webhook_endpoint.BODY_LIMIT_BYTES, 200), (webhook_endpoint.BODY_LIMIT_BYTES + 1, 413)]
)
@pytest.mark.parametrize("chunked", [False, True])
async def test_body_over_64_kib_is_413(queue: FakeQueue, size: int, status: int, chunked: bool) -> None:
    body = a_body(hash="")
    body += b" " * (size - len(body))

    async def chunks() -> AsyncIterator[bytes]:
        for start in range(0, size, 1000):
            yield body[start : start + 1000]

    async with receiver(queue) as client:
        answer = await client.post(WEBHOOK_PATH, content=chunks() if chunked else body, headers=signed(body))
    assert (answer.status_code, answer.content) == (status, b"")
    assert len(queue.webhooks) == (status == 200)


@pytest.mark.parametrize("declared", ["10", "65537", "9" * 5000, "-1", "²", "x"])
async def test_declared_length_is_not_trusted(queue: FakeQueue, declared: str) -> None:
    large = b" " * (webhook_endpoint.BODY_LIMIT_BYTES + 1)
    async with receiver(queue) as client:
        headers = [(b"content-length", declared.encode("latin-1"))]
        assert (await client.post(WEBHOOK_PATH, content=large, headers=headers)).status_code == 413


async def test_an_unavailable_queue_is_503(queue: FakeQueue) -> None:
    queue.answer = raising(QueueUnavailable("gone"))
    async with receiver(queue) as client:
        with capture_logs() as logs:
            answer = await post(client, a_body())
        assert await count_of(client, "not_queued") == 1
    assert (answer.status_code, answer.content, answer.headers["retry-after"]) == (503, b"", "1")
    assert without_ms(logs) == [
        {
            "event": "webhook_not_queued",
            "log_level": "error",
            "store": "abc123",
            "order_id": 250,
            "webhook_id": "msg_1",
        }
    ]


async def test_an_unexpected_error_is_500_without_details_and_one_log_line(queue: FakeQueue) -> None:
    queue.answer = raising(RuntimeError("inner workings"))
    async with receiver(queue) as client:
        with capture_logs() as logs:
            answer = await post(client, a_body())
    assert (answer.status_code, answer.content) == (500, b"")
    assert [(line["event"], line["log_level"]) for line in logs] == [("internal_error", "error")]


async def test_a_disconnected_sender_is_not_an_error(queue: FakeQueue) -> None:
    app = create_app(StoreRegistry({"abc123": a_store()}), queue.opened)
    sent: list[Message] = []

    async def receive() -> Message:
        return {"type": "http.disconnect"}

    async def send(message: Message) -> None:
        sent.append(message)

    async with app.router.lifespan_context(app) as state:
        scope = {"type": "http", "method": "POST", "path": WEBHOOK_PATH, "headers": [], "state": dict(state or {})}
        with capture_logs() as logs:
            await app(scope, receive, send)
    assert logs == []
    assert queue.webhooks == []


async def test_a_slow_sender_is_408(queue: FakeQueue, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(webhook_endpoint, "BODY_TIMEOUT_S", 0.01)
    never = asyncio.Event()

    async def chunks() -> AsyncIterator[bytes]:
        yield a_body()[:10]
        await never.wait()

    async with receiver(queue) as client:
        with capture_logs() as logs:
            answer = await client.post(WEBHOOK_PATH, content=chunks())
    assert (answer.status_code, answer.headers["connection"]) == (408, "close")
    assert [line["reason"] for line in logs] == ["too_slow"]


async def test_the_senders_text_is_shortened_in_the_log(queue: FakeQueue) -> None:
    text = "msg\t\x7f\u00e9" + "x" * 5000
    body = a_body()
    async with receiver(queue) as client:
        with capture_logs() as logs:
            headers: Any = [(k.encode(), v.encode("latin-1")) for k, v in signed(body, webhook_id=text).items()]
            assert (await client.post(WEBHOOK_PATH, content=body, headers=headers)).status_code == 200
    assert logs[0]["webhook_id"] == queue.webhooks[0].webhook_id == "msg" + "x" * 94


# Mostly almost valid, so that the later checks are reached too.
scopes = st.sampled_from(["store/order/created", "store/order/statusUpdated", "store/cart/created"]) | st.text()
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=10,
)
payloads = st.fixed_dictionaries(
    {},
    optional={
        "scope": scopes | json_values,
        "producer": st.sampled_from(["stores/abc123", "stores/evil"]) | json_values,
        "data": st.fixed_dictionaries({}, optional={"type": st.just("order") | json_values, "id": json_values})
        | json_values,
        "hash": json_values,
        "created_at": json_values,
    },
)
bodies = st.binary(max_size=300) | payloads.map(lambda payload: json.dumps(payload).encode()) | st.just(a_body())
header_names = st.sampled_from(["webhook-id", "webhook-timestamp", "webhook-signature", "content-length", "x-key"])
header_values = (
    st.binary(max_size=80)
    | st.sampled_from([b"v1," + b"A" * 43 + b"=", b"v1,AAAA", b"1e400", b"nan", b"0", b"9" * 20])
    | st.integers(1_500_000_000, 2_000_000_000).map(lambda number: str(number).encode())
)


@given(body=bodies, headers=st.dictionaries(header_names, header_values))
@settings(max_examples=300, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
async def test_without_a_secret_no_request_is_queued(body: bytes, headers: dict[str, bytes]) -> None:
    queue = FakeQueue()
    stores = a_store(), a_store("other1", client_secret=None, webhook_headers={"x-key": SecretStr("k" * 100)})
    async with receiver(queue, *stores) as client:
        sent: Any = [(name.encode(), value) for name, value in headers.items()]
        answer = await client.post(WEBHOOK_PATH, content=body, headers=sent)
    assert answer.status_code in (400, 401, 413)
    assert (answer.content, queue.webhooks) == (b"", [])


@given(payload=payloads)
@settings(deadline=None, max_examples=300)
async def test_with_a_good_signature_any_payload_is_400_or_200(payload: dict[str, Any]) -> None:
    queue = FakeQueue()
    body = json.dumps(payload | {"producer": "stores/abc123"}).encode()
    async with receiver(queue) as client:
        answer = await post(client, body)
    assert answer.status_code in (200, 400)
    for webhook in queue.webhooks:
        assert webhook.scope in ("store/order/created", "store/order/statusUpdated")
        assert 0 < webhook.order_id < 2**63


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
