"""uvicorn's HTTP protocol with what it leaves to a proxy: every wait, and all that is kept of a head, has a bound.

A connection is always in one of four phases, and only an exchange has no time limit here: the application sets its own.
"""

import asyncio
from enum import StrEnum
from typing import Any

import httptools
from starlette.types import Receive, Scope, Send
from uvicorn.config import Config
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol
from uvicorn.server import ServerState

from service.receiver.connections import Connection, Connections

# Node.js's limit for a head, too. BigCommerce's heads are about 1 KB.
HEAD_LIMIT = 16 * 1024

# From the connection, or the first byte of the next request, to the end of the head. Apache's default is 20 s.
HEAD_TIMEOUT_S = 10.0

# A body that nobody reads any more (413, 404): its sender gets to read the answer, then the connection is closed.
DRAIN_TIMEOUT_S = 10.0

# Longer than any proxy keeps an idle connection to us, so that the proxy closes it: a webhook sent over a connection
# that we are just closing is a 502. Google Cloud's 600 s is fixed and the longest. (deploy/docs/proxies.md)
KEEP_ALIVE_S = 620

# A client that does not read its answer.
WRITE_TIMEOUT_S = 30.0

# After an early refusal, what is still coming is thrown away for this long: closing at once would reset the
# connection, and the client would not see the answer.
LINGER_S = 1.0

# Framing, trailers and chunk extensions may be at most so many times as long as the body that they carry.
# Chunks of one byte take 5.
_FRAMING_RATIO = 16

# No proxy in use sends more than one request ahead of the answer.
_PIPELINE_LIMIT = 32

# A body of a refused webhook is waited for as long as this before the 503.
_REFUSED_BODY_TIMEOUT_S = 2.0

HEALTH_PATHS = frozenset({b"/healthz", b"/readyz"})


class Phase(StrEnum):
    """What the server is waiting for on a connection."""

    HEAD = "head"
    EXCHANGE = "exchange"
    DRAIN = "drain"
    IDLE = "idle"


class HTTPProtocol(HttpToolsProtocol, Connection):
    """One connection, closed when its client is silent, trickles, or sends a head without end.

    A request to change the protocol (``Upgrade: h2c``) is answered as if it had not asked; its body is read.
    """

    def __init__(
        self,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
        *,
        connections: Connections,
    ) -> None:
        super().__init__(config, server_state, app_state, _loop)
        self.timeout_keep_alive = KEEP_ALIVE_S
        self._all = connections
        self._phase: Phase | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._write_timer: asyncio.TimerHandle | None = None
        self._in_head = False
        self._in_message = False
        self._unanswered = 0  # requests; more than one when they are pipelined
        self._had_request = False
        self._chunk_bytes = 0
        self._framing_bytes = 0
        self._refusal_status = 400
        self._refused = False

    # The connection

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._update_phase()

    def connection_lost(self, exc: Exception | None) -> None:
        self._all.discard(self)
        for timer in (self._timer, self._write_timer):
            if timer:
                timer.cancel()
        super().connection_lost(exc)

    def evict(self) -> None:
        """Close at once, to make room for another connection."""
        self.connections.discard(self)
        self.transport.abort()

    def pause_writing(self) -> None:
        super().pause_writing()
        self._write_timer = self.loop.call_later(WRITE_TIMEOUT_S, self.transport.abort)

    def resume_writing(self) -> None:
        super().resume_writing()
        if self._write_timer:
            self._write_timer.cancel()

    def data_received(self, data: bytes) -> None:
        # Not uvicorn's: it stops the keep-alive timer at every byte, and gives up the body after an upgrade.
        if self._refused:
            return
        self._chunk_bytes = len(data)
        self._framing_bytes += len(data)
        try:
            self._feed(data)
        except httptools.HttpParserError:
            self._refuse(self._refusal_status)
            return
        if self._in_message and self._framing_bytes > HEAD_LIMIT:
            self._refuse(431)
            return
        self._update_phase()

    def _feed(self, data: bytes) -> None:
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserUpgrade as upgrade:
            # The parser takes what follows for the new protocol. The same head without the wish to upgrade, in a
            # new parser, makes it a body again.
            head = self._head_without_upgrade()
            self.parser = httptools.HttpRequestParser(self)
            self.parser.feed_data(head)
            self._feed(data[upgrade.args[0] :])

    def _head_without_upgrade(self) -> bytes:
        lines = [b"%s %s HTTP/1.1" % (self.parser.get_method(), self.url)]
        for name, value in self.headers:
            if name == b"connection":
                kept = [token for token in value.split(b",") if token.strip().lower() != b"upgrade"]
                lines.append(b"connection: " + b",".join(kept))
            elif name != b"upgrade":
                lines.append(name + b": " + value)
        return b"\r\n".join([*lines, b"", b""])

    # What the parser reports

    def on_message_begin(self) -> None:
        if len(self.pipeline) >= _PIPELINE_LIMIT:
            raise ValueError("too many requests at once")
        self._unset_keepalive_if_required()
        self._in_head = self._in_message = True
        self._framing_bytes = 0
        super().on_message_begin()

    def on_header(self, name: bytes, value: bytes) -> None:
        if self._in_head:  # else a trailer, which must not pass for a header
            super().on_header(name, value)

    def on_headers_complete(self) -> None:
        if self._framing_bytes + self._chunk_bytes > HEAD_LIMIT and self._head_size() > HEAD_LIMIT:
            self._refusal_status = 431
            raise ValueError("head too large")
        if self.parser.should_upgrade():
            if self.parser.get_method() == b"CONNECT" or any(b"\n" in value for _, value in self.headers):
                raise ValueError("not a request that could do without its upgrade")
            return
        self._in_head = False
        if self.over_limit:
            is_health_check = self.url.partition(b"?")[0] in HEALTH_PATHS
            self.app = self.config.loaded_app if is_health_check else _service_unavailable
        super().on_headers_complete()
        self._had_request = True
        self._unanswered += 1
        if self.over_limit:
            self.cycle.keep_alive = False

    def _head_size(self) -> int:
        return len(self.url) + sum(len(name) + len(value) + 4 for name, value in self.headers)

    def on_body(self, body: bytes) -> None:
        self._framing_bytes = max(0, self._framing_bytes - (1 + _FRAMING_RATIO) * len(body))
        super().on_body(body)

    def on_message_complete(self) -> None:
        if self._in_head:  # a head that asked for an upgrade: the message is still to come
            return
        self._in_message = False
        super().on_message_complete()

    def on_response_complete(self) -> None:
        self._unanswered -= 1
        super().on_response_complete()
        self._update_phase()

    # Time limits

    def _update_phase(self) -> None:
        if self._unanswered:
            phase = Phase.EXCHANGE
        elif self._in_head or not self._had_request:
            phase = Phase.HEAD
        elif self._in_message:
            phase = Phase.DRAIN
        else:
            phase = Phase.IDLE
        if phase == self._phase or self.transport.is_closing():
            return
        self._phase = phase
        if self._timer:
            self._timer.cancel()
            self._timer = None
        self._all.busy(self)
        match phase:
            case Phase.HEAD:
                self._all.awaits_request(self)
                self._timer = self.loop.call_later(HEAD_TIMEOUT_S, self._head_timed_out)
            case Phase.DRAIN:
                self._timer = self.loop.call_later(DRAIN_TIMEOUT_S, self.transport.close)
            case Phase.IDLE:
                self._all.keeps_alive(self)

    def _head_timed_out(self) -> None:
        if self._in_head:
            self._refuse(408)
        else:
            self.transport.close()

    def _refuse(self, status: int) -> None:
        """Answer without the application, and close the connection."""
        self._refused = True
        if self.transport.is_closing():
            return
        if self._timer:
            self._timer.cancel()
        if self._unanswered:
            # An answer that has begun cannot be replaced, and this one is not for an earlier request.
            if self._unanswered > 1 or self._in_head or not self._in_message or self.cycle.response_started:
                self.transport.abort()
                return
            self.cycle.disconnected = True
            self.cycle.message_event.set()
        lines = [name + b": " + value for name, value in self.server_state.default_headers]
        head = [STATUS_LINE[status].rstrip(), *lines, b"content-length: 0", b"connection: close", b"", b""]
        self.transport.write(b"\r\n".join(head))
        self.transport.write_eof()
        self.flow.resume_reading()
        self._timer = self.loop.call_later(LINGER_S, self.transport.close)


async def _service_unavailable(_: Scope, receive: Receive, send: Send) -> None:
    """503 with Retry-After, after the body: closing before it has come would take the answer with it."""
    try:
        async with asyncio.timeout(_REFUSED_BODY_TIMEOUT_S):
            while (await receive()).get("more_body"):
                pass
    except TimeoutError:
        pass
    headers = [(b"content-length", b"0"), (b"retry-after", b"1"), (b"connection", b"close")]
    await send({"type": "http.response.start", "status": 503, "headers": headers})
    await send({"type": "http.response.body", "body": b""})
