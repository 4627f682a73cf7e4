"""Webhook, Slack and Teams, posted to a real HTTP server."""

import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any

import httpx
import pytest
from standardwebhooks import Webhook, WebhookVerificationError

from service.bigcommerce.connection_pool import http_client
from service.notify.channels import channel as channel_module
from service.notify.channels import channels_of
from service.notify.channels.channel import NotDelivered
from service.notify.messages import AboutStore, Message
from tests.fakes.notify.http_receiver import HttpReceiver, Request, http_receiver
from tests.fakes.notify.messages import NASTY, SECRET, a_message, a_table

PATH = "/services/T0000/B0000/a-very-secret-part?sig=another-secret"


@pytest.fixture
async def receiver() -> AsyncIterator[HttpReceiver]:
    async with http_receiver() as fake:
        yield fake


async def send(receiver: HttpReceiver, kind: str, message: Message, **keys: Any) -> str:
    """Send by the channel of this kind, which posts to the receiver."""
    (channel,) = channels_of(a_table(**{kind: receiver.url + PATH}, **keys))
    async with httpx.AsyncClient(transport=http_client()) as http:
        return await channel.send(message, http)


async def sent(receiver: HttpReceiver, kind: str, message: Message, **keys: Any) -> Request:
    await send(receiver, kind, message, **keys)
    (request,) = receiver.requests
    assert request.path == PATH
    assert request.headers["content-type"] == "application/json"
    return request


class TestWebhook:
    async def test_it_is_signed_as_standard_webhooks_says(self, receiver: HttpReceiver) -> None:
        request = await sent(receiver, "webhook", a_message(), secret=SECRET)
        verified = Webhook(SECRET.encode()).verify(request.body, request.headers)
        assert request.headers["webhook-id"] == "msg_1"
        assert verified == {
            "type": "alert.began",
            "timestamp": "2026-01-10T21:05:00.000Z",
            "data": {
                "alert": "FailedOrdersWait",
                "severity": "warning",
                "title": "Failed orders wait for a person",
                "summary": "",
                "stores": [{"store": "abc123", "name": "Great Buys", "summary": "3 failed orders wait."}],
                "more_stores": 0,
                "since": "2026-01-10T21:00:00.000Z",
                "what_to_do": "Fix the cause.",
                "link": "https://enrich.example.com/failures?store=abc123",
            },
        }

    async def test_each_secret_of_a_rotation_vouches_for_it_and_no_other_does(self, receiver: HttpReceiver) -> None:
        prefixed = "whsec_" + "QUFB" * 10
        request = await sent(receiver, "webhook", a_message(), secret=[SECRET, prefixed])
        for secret in (SECRET.encode(), prefixed):
            Webhook(secret).verify(request.body, request.headers)
        with pytest.raises(WebhookVerificationError):
            Webhook(b"another secret of 24 bytes").verify(request.body, request.headers)


class TestSlack:
    async def test_it_gets_a_headline_the_facts_and_a_link(self, receiver: HttpReceiver) -> None:
        body = (await sent(receiver, "slack", a_message())).json
        header, section, context = body["blocks"]
        assert body["text"] == "WARNING: Failed orders wait for a person: Great Buys (abc123)"
        assert header["text"] == {"type": "plain_text", "text": body["text"], "emoji": False}
        assert section["text"]["text"].splitlines() == [
            "Great Buys (abc123): 3 failed orders wait.",
            "Since 2026-01-10 21:00 UTC.",
            "What to do: Fix the cause.",
        ]
        assert context["elements"] == [
            {"type": "mrkdwn", "text": "<https://enrich.example.com/failures?store=abc123|Open>"}
        ]

    async def test_text_of_others_is_text(self, receiver: HttpReceiver) -> None:
        about = AboutStore(store="abc123", name=NASTY, summary=NASTY)
        body = (await sent(receiver, "slack", a_message(stores=(about,)))).json
        assert "<" not in body["text"]
        assert "&lt;!channel&gt;" in body["text"]
        header, section, context = body["blocks"]
        assert {header["text"]["type"], section["text"]["type"]} == {"plain_text"}
        assert NASTY in section["text"]["text"]
        assert "channel" not in json.dumps(context)

    async def test_texts_are_no_longer_than_slack_takes(self, receiver: HttpReceiver) -> None:
        stores = tuple(AboutStore(store=f"s{number}", name="n" * 300, summary="x" * 300) for number in range(10))
        body = (await sent(receiver, "slack", a_message(stores=stores, title="t" * 200))).json
        header, section, _ = body["blocks"]
        assert len(header["text"]["text"]) == 150
        assert len(section["text"]["text"]) == 3000


class TestTeams:
    async def test_it_gets_an_adaptive_card(self, receiver: HttpReceiver) -> None:
        body = (await sent(receiver, "teams", a_message())).json
        (attachment,) = body["attachments"]
        assert (body["type"], attachment["contentType"]) == ("message", "application/vnd.microsoft.card.adaptive")
        card = attachment["content"]
        assert (card["type"], card["version"]) == ("AdaptiveCard", "1.4")
        assert card["actions"] == [
            {"type": "Action.OpenUrl", "title": "Open", "url": "https://enrich.example.com/failures?store=abc123"}
        ]
        assert card["body"][0]["inlines"][0]["color"] == "Warning"

    async def test_text_of_others_is_text(self, receiver: HttpReceiver) -> None:
        """Teams reads Markdown in text blocks, and none in text runs."""
        about = AboutStore(store="abc123", name=NASTY, summary=NASTY)
        body = (await sent(receiver, "teams", a_message(stores=(about,), link="deploy/docs/operations.md#x"))).json
        card = body["attachments"][0]["content"]
        assert {element["type"] for element in card["body"]} == {"RichTextBlock"}
        assert {run["type"] for element in card["body"] for run in element["inlines"]} == {"TextRun"}
        assert any(NASTY in run["text"] for element in card["body"] for run in element["inlines"])
        assert "actions" not in card
        assert card["body"][-1]["inlines"][0]["text"] == "deploy/docs/operations.md#x"


class TestWhatComesBack:
    async def test_an_answer_is_shown(self, receiver: HttpReceiver) -> None:
        receiver.answer = (202, {}, "taken\nby the workflow")
        assert await send(receiver, "teams", a_message()) == "202 taken by the workflow"

    @pytest.mark.parametrize("status", [400, 404, 410, 429, 500, 503])
    async def test_any_other_answer_is_an_error(self, receiver: HttpReceiver, status: int) -> None:
        receiver.answer = (status, {}, "no_service")
        with pytest.raises(NotDelivered, match=f"^{status} no_service$"):
            await send(receiver, "slack", a_message())

    async def test_a_redirect_is_not_followed(self, receiver: HttpReceiver) -> None:
        receiver.answer = (302, {"location": f"{receiver.url}/elsewhere"}, "")
        with pytest.raises(NotDelivered, match=r"^302$"):
            await send(receiver, "slack", a_message())
        assert len(receiver.requests) == 1

    @pytest.mark.parametrize(
        ("header", "seconds"),
        [
            ("30", 30.0),
            ("99999", 3600.0),
            pytest.param(format_datetime(datetime.now(UTC) + timedelta(days=2)), 3600.0, id="a date to come"),
            ("Sat, 10 Jan 2026 21:00:00 GMT", 0.0),
            ("soon", None),
            ("²", None),
        ],
    )
    async def test_it_may_ask_for_a_pause(self, receiver: HttpReceiver, header: str, seconds: float | None) -> None:
        receiver.answer = (429, {"retry-after": header.encode().decode("latin-1")}, "")
        with pytest.raises(NotDelivered) as raised:
            await send(receiver, "slack", a_message())
        assert raised.value.retry_after_s == seconds

    async def test_secret_parts_of_the_url_are_not_repeated(self, receiver: HttpReceiver) -> None:
        receiver.answer = (404, {}, f"no hook at {receiver.url}{PATH}")
        with pytest.raises(NotDelivered) as raised:
            await send(receiver, "slack", a_message())
        assert "secret" not in str(raised.value)
        assert str(raised.value).startswith("404 no hook at ")

    async def test_an_endless_answer_is_not_read_to_its_end(self, receiver: HttpReceiver) -> None:
        receiver.answer = (500, {"content-length": "99999999"}, "x" * 5000)
        with pytest.raises(NotDelivered) as raised:
            await send(receiver, "slack", a_message())
        assert len(str(raised.value)) < 400

    async def test_silence_is_an_error_after_a_while(
        self, receiver: HttpReceiver, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(channel_module, "SEND_TIMEOUT_S", 0.2)
        receiver.answer = 0
        with pytest.raises(NotDelivered, match=r"no answer within 0\.2 s"):
            await send(receiver, "slack", a_message())

    async def test_nobody_there_is_an_error(self) -> None:
        async with http_receiver() as gone:
            pass
        with pytest.raises(NotDelivered, match="no connection") as raised:
            await send(gone, "slack", a_message())
        assert "secret" not in str(raised.value)
