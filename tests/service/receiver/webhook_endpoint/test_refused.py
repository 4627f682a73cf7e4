"""Requests that are refused, and what the log says of them."""

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
from pydantic import SecretStr
from starlette.types import Message
from structlog.testing import capture_logs

from service.errors import QueueUnavailable
from service.hooks import WEBHOOK_PATH
from service.receiver import webhook_endpoint
from service.receiver.app import create_app
from service.receiver.authentication import StoreRegistry
from tests.fakes.webhooks import FakeQueue, a_body, a_store, raising, signed
from tests.service.receiver.webhook_endpoint.conftest import count_of, post, receiver, without_ms


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
