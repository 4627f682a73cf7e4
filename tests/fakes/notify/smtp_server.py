"""A real SMTP server: plain, with STARTTLS, or with TLS from the start; it may want a password, or refuse."""

import asyncio
import base64
import ssl
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from email import message_from_bytes, policy
from email.message import EmailMessage
from pathlib import Path

from tests.fakes.notify.listening import HOST, listening

USER, PASSWORD = "robot", "p@ss/w0rd"


@dataclass(slots=True)
class Mail:
    """A mail that was taken: its envelope and content, and whether it came over TLS."""

    sender: str
    recipients: list[str]
    content: EmailMessage
    over_tls: bool


@dataclass(slots=True)
class SmtpServer:
    """``mails`` that were taken; ``arrived`` is set with the first.

    ``replies`` are answers instead of the usual ones, by command (``RCPT <address>`` too); "" is silence.
    """

    port: int = 0
    starttls: ssl.SSLContext | None = None
    needs_login: bool = False
    replies: dict[str, str] = field(default_factory=dict)
    mails: list[Mail] = field(default_factory=list)
    logins: list[tuple[str, str]] = field(default_factory=list)
    arrived: asyncio.Event = field(default_factory=asyncio.Event)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        session = _Session(self, reader, writer)
        try:
            await session.run()
        except (ConnectionError, asyncio.IncompleteReadError, ssl.SSLError, asyncio.CancelledError):
            pass  # cancelled at the end of the test
        finally:
            writer.close()


class _Session:
    def __init__(self, server: SmtpServer, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._server = server
        self._reader, self._writer = reader, writer
        self._sender, self._recipients = "", list[str]()
        self._is_logged_in = not server.needs_login

    async def run(self) -> None:
        await self._say("220 ready", "CONNECT")
        while line := (await self._reader.readline()).decode().strip():
            verb, _, rest = line.partition(" ")
            verb = verb.upper()
            if verb == "QUIT":
                await self._say("221 bye", verb)
                return
            await self._handle(verb, rest)

    async def _handle(self, verb: str, rest: str) -> None:
        match verb:
            case "EHLO":
                await self._greet()
            case "STARTTLS" if self._server.starttls:
                await self._say("220 go on", verb)
                await self._writer.start_tls(self._server.starttls)
            case "AUTH":
                await self._log_in(rest)
            case "MAIL" if not self._is_logged_in:
                await self._say("530 log in first", verb)
            case "MAIL":
                self._sender = _address(rest)
                await self._say("250 ok", verb)
            case "RCPT":
                await self._add(_address(rest))
            case "DATA":
                await self._say("354 go on", verb)
                await self._take()
            case _:
                await self._say("250 ok", verb)

    async def _greet(self) -> None:
        more = ["STARTTLS"] if self._server.starttls and not self._over_tls else []
        more += ["AUTH PLAIN"] if self._server.needs_login else []
        names = ["fake", *more]
        for name in names[:-1]:
            await self._say(f"250-{name}", "")
        await self._say(f"250 {names[-1]}", "EHLO")

    async def _log_in(self, rest: str) -> None:
        _, user, password = base64.b64decode(rest.split()[1]).decode().split("\0")
        self._server.logins.append((user, password))
        self._is_logged_in = (user, password) == (USER, PASSWORD)
        await self._say("235 welcome" if self._is_logged_in else f"535 no such password: {password}", "AUTH")

    async def _add(self, address: str) -> None:
        reply = self._server.replies.get(f"RCPT {address}", "250 ok")
        if reply.startswith("250"):
            self._recipients.append(address)
        await self._say(reply, "RCPT")

    async def _take(self) -> None:
        raw = await self._reader.readuntil(b"\r\n.\r\n")
        content = message_from_bytes(raw.removesuffix(b".\r\n").replace(b"\r\n..", b"\r\n."), policy=policy.default)
        assert isinstance(content, EmailMessage)
        self._server.mails.append(Mail(self._sender, self._recipients, content, self._over_tls))
        self._server.arrived.set()
        await self._say("250 queued", "TAKEN")

    @property
    def _over_tls(self) -> bool:
        return self._writer.get_extra_info("ssl_object") is not None

    async def _say(self, reply: str, verb: str) -> None:
        reply = self._server.replies.get(verb, reply)
        if not reply:
            await asyncio.Event().wait()
        self._writer.write(f"{reply}\r\n".encode())
        await self._writer.drain()


def _address(rest: str) -> str:
    return rest.partition("<")[2].partition(">")[0]


def make_certificate(folder: Path) -> tuple[ssl.SSLContext, Path]:
    """A server's TLS context for this machine, and the file of the certificate that a client must trust."""
    certificate, key = folder / "cert.pem", folder / "key.pem"
    words = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    words += ["-subj", "/CN=localhost", "-addext", f"subjectAltName=DNS:localhost,IP:{HOST}", "-days", "2"]
    subprocess.run([*words, "-keyout", str(key), "-out", str(certificate)], check=True, capture_output=True)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    return context, certificate


@asynccontextmanager
async def smtp_server(
    *, starttls: ssl.SSLContext | None = None, tls: ssl.SSLContext | None = None, needs_login: bool = False
) -> AsyncIterator[SmtpServer]:
    """A server on a free port."""
    fake = SmtpServer(starttls=starttls, needs_login=needs_login)
    async with listening(fake.serve, tls=tls) as port:
        fake.port = port
        yield fake
