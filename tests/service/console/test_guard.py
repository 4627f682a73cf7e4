"""What the console's outermost layer does with requests that go wrong."""

import pytest
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.types import Message, Receive, Scope, Send
from structlog.testing import capture_logs

from service.console.address import ConsoleAddress
from service.console.guard import Guard
from service.console.image_hosts import ImageHosts

SCOPE = {
    "type": "http",
    "method": "POST",
    "path": "/failures",
    "headers": [(b"host", b"127.0.0.1:8100"), (b"sec-fetch-site", b"same-origin")],
}


async def answered(error: Exception) -> list[Message]:
    """What is sent when the application raises this error before it answers."""
    sent: list[Message] = []

    async def fail(_: Scope, __: Receive, ___: Send) -> None:
        raise error

    async def receive() -> Message:
        return {"type": "http.disconnect"}

    async def send(message: Message) -> None:
        sent.append(message)

    def on_bug(_: Request) -> Response:
        return Response(status_code=500)

    await Guard(fail, ConsoleAddress.of(None, port=8100), on_bug, ImageHosts())(dict(SCOPE), receive, send)
    return sent


@pytest.mark.parametrize(("error", "events"), [(ClientDisconnect(), []), (ValueError("x"), ["internal_error"])])
async def test_somebody_who_takes_a_request_back_is_no_error(error: Exception, events: list[str]) -> None:
    with capture_logs() as logs:
        sent = await answered(error)
    assert [line["event"] for line in logs] == events
    assert [message["status"] for message in sent if message["type"] == "http.response.start"] == [500] * len(events)
