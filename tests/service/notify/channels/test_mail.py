"""Mail, sent to a real SMTP server, with and without TLS."""

import asyncio
import shutil
import ssl
from pathlib import Path
from typing import Any

import httpx
import pytest

from service.notify.channels import channels_of, mail
from service.notify.channels.channel import NotDelivered
from service.notify.messages import AboutStore
from tests.fakes.notify.messages import NASTY, a_message, a_table
from tests.fakes.notify.smtp_server import PASSWORD, USER, SmtpServer, make_certificate, smtp_server

LOGIN = "robot:p%40ss%2Fw0rd@"
WHO = "to=ops@example.com,oncall@example.com&from=enrich@example.com"


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[ssl.SSLContext, Path]:
    if shutil.which("openssl") is None:
        pytest.skip("openssl is not installed here")
    return make_certificate(tmp_path_factory.mktemp("tls"))


@pytest.fixture
def trusted(certificate: tuple[ssl.SSLContext, Path], monkeypatch: pytest.MonkeyPatch) -> ssl.SSLContext:
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate[1]))
    return certificate[0]


async def send(url: str, **changes: Any) -> str:
    (channel,) = channels_of(a_table(mail=url))
    async with httpx.AsyncClient() as http:
        return await channel.send(a_message(**changes), http)


def url_of(server: SmtpServer, *, scheme: str = "smtp", login: str = "", host: str = "127.0.0.1") -> str:
    return f"{scheme}://{login}{host}:{server.port}?{WHO}"


async def test_a_relay_on_this_machine_needs_no_tls() -> None:
    async with smtp_server() as server:
        assert await send(url_of(server)) == "250 taken for 2 of 2 recipients"
        (taken,) = server.mails
    assert (taken.sender, taken.over_tls) == ("enrich@example.com", False)
    assert taken.recipients == ["ops@example.com", "oncall@example.com"]
    assert taken.content["Subject"] == "WARNING: Failed orders wait for a person: Great Buys (abc123)"
    assert taken.content["To"] == "ops@example.com, oncall@example.com"
    assert taken.content["Message-ID"] == "<msg_1@example.com>"
    assert taken.content["Auto-Submitted"] == "auto-generated"
    text = taken.content.get_content()
    assert taken.content.get_content_type() == "text/plain"
    for part in ("3 failed orders wait.", "Since 2026-01-10 21:00 UTC.", "Fix the cause.", "/failures?store=abc123"):
        assert part in text


async def test_tls_from_the_start_and_a_password_with_odd_signs(trusted: ssl.SSLContext) -> None:
    async with smtp_server(tls=trusted, needs_login=True) as server:
        await send(url_of(server, scheme="smtps", login=LOGIN))
    assert server.logins == [(USER, PASSWORD)]
    assert server.mails[0].over_tls


async def test_starttls_is_used_where_it_is_offered(trusted: ssl.SSLContext) -> None:
    async with smtp_server(starttls=trusted, needs_login=True) as server:
        await send(url_of(server, login=LOGIN))
    assert server.mails[0].over_tls


async def test_a_certificate_that_is_not_trusted_is_an_error(certificate: tuple[ssl.SSLContext, Path]) -> None:
    async with smtp_server(tls=certificate[0]) as server:
        with pytest.raises(NotDelivered, match=r"no connection: .*certificate"):
            await send(url_of(server, scheme="smtps"))
    assert server.mails == []


async def test_another_machine_gets_nothing_without_tls(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("service.stores.mail_url.is_loopback", lambda _: False)
    async with smtp_server(needs_login=True) as server:
        with pytest.raises(NotDelivered, match="offers no TLS"):
            await send(url_of(server, login=LOGIN))
    assert (server.mails, server.logins) == ([], [])


async def test_a_refused_password_is_an_error_that_does_not_show_it(trusted: ssl.SSLContext) -> None:
    async with smtp_server(tls=trusted, needs_login=True) as server:
        with pytest.raises(NotDelivered, match="535 user or password was refused") as raised:
            await send(url_of(server, scheme="smtps", login="robot:other-password@"))
    assert "other-password" not in str(raised.value)


async def test_one_recipient_who_is_refused_does_not_keep_it_from_the_others() -> None:
    async with smtp_server() as server:
        server.replies["RCPT ops@example.com"] = "550 no such user"
        answer = await send(url_of(server))
        assert answer == "250 taken for 1 of 2 recipients; refused: 550 no such user"
        server.replies["RCPT oncall@example.com"] = "550 no such user"
        with pytest.raises(NotDelivered, match="all recipients were refused: 550 no such user"):
            await send(url_of(server))
    assert [taken.recipients for taken in server.mails] == [["oncall@example.com"]]


@pytest.mark.parametrize(
    ("verb", "reply"), [("MAIL", "451 later"), ("TAKEN", "554 looks like spam"), ("CONNECT", "421 busy")]
)
async def test_a_refusal_is_an_error(verb: str, reply: str) -> None:
    async with smtp_server() as server:
        server.replies[verb] = reply
        with pytest.raises(NotDelivered, match=reply):
            await send(url_of(server))


async def test_a_server_that_hangs_is_left_and_its_thread_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mail, "SEND_TIMEOUT_S", 0.3)
    ended = asyncio.Event()
    loop, run = asyncio.get_running_loop(), mail._Delivery.run

    def watched(self: Any, *arguments: Any) -> str:
        try:
            return run(self, *arguments)
        finally:
            loop.call_soon_threadsafe(ended.set)

    monkeypatch.setattr(mail._Delivery, "run", watched)
    async with smtp_server() as server:
        server.replies["MAIL"] = ""
        with pytest.raises(NotDelivered, match=r"no answer within 0\.3 s"):
            await send(url_of(server))
        async with asyncio.timeout(5):  # half of what the thread itself would wait
            await ended.wait()


async def test_nothing_is_sent_by_a_delivery_that_was_given_up_while_it_connected(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def give_up_first(self: mail._Delivery, *arguments: Any) -> str:
        self.cut()
        return run(self, *arguments)

    run = mail._Delivery.run
    monkeypatch.setattr(mail._Delivery, "run", give_up_first)
    async with smtp_server() as server:
        with pytest.raises(NotDelivered):
            await send(url_of(server))
    assert server.mails == []


async def test_text_of_others_is_text() -> None:
    about = AboutStore(store="abc123", name="Bärs & Söhne \N{HAMMER}", summary=NASTY)
    async with smtp_server() as server:
        await send(url_of(server), stores=(about,))
    (taken,) = server.mails
    assert taken.content["Subject"].endswith(": Bärs & Söhne \N{HAMMER} (abc123)")
    assert NASTY in taken.content.get_content()
    assert not taken.content.is_multipart()


async def test_nobody_there_is_an_error() -> None:
    async with smtp_server() as gone:
        pass
    with pytest.raises(NotDelivered, match="no connection"):
        await send(url_of(gone))
