"""What `enrich check` says of the address that webhooks go to, against real servers."""

import asyncio
import ssl
import subprocess
from pathlib import Path

import pytest

from service.checks.access.public_address import check_public_address
from service.checks.findings import Level
from tests.fakes.fixed_answers import fixed_answers
from tests.fakes.sandbox import free_port

PATH = "/webhooks/bigcommerce"


@pytest.mark.parametrize(
    ("answer", "level", "message"),
    [
        ("405 Method Not Allowed", Level.OK, "is answered by a receiver."),
        ("404 Not Found", Level.ERROR, "answers 404: the proxy does not pass this path to the receiver."),
        ("502 Bad Gateway", Level.ERROR, "answers 502: there is a proxy, but no receiver behind it."),
        (
            "301 Moved Permanently\r\nLocation: https://127.0.0.1:1/",
            Level.ERROR,
            "answers 301, a redirect, which BigCommerce does not follow.",
        ),
        ("401 Unauthorized", Level.ERROR, "answers 401: the proxy wants a sign-in."),
        ("200 OK", Level.WARNING, "answers 200, which no receiver does."),
    ],
)
async def test_each_answer_says_what_is_there(answer: str, level: Level, message: str) -> None:
    async with fixed_answers(answer) as (url, asked):
        finding = await check_public_address("abc123", url + PATH)
    assert (finding.level, finding.store, finding.subject) == (level, "abc123", "public address")
    assert finding.message == f"{url}{PATH} {message}"
    assert bool(finding.cure) == (level is not Level.OK)
    assert asked == [f"GET {PATH} HTTP/1.1"], "no webhook, and no redirect is followed"


async def test_an_address_that_does_not_answer_is_a_warning_because_it_may_from_elsewhere() -> None:
    with free_port() as listener:
        port = listener.getsockname()[1]
    finding = await check_public_address("abc123", f"http://127.0.0.1:{port}{PATH}")
    assert finding.level is Level.WARNING
    assert finding.message.startswith(f"http://127.0.0.1:{port}{PATH} cannot be reached from this machine (")
    assert f"`curl -si http://127.0.0.1:{port}{PATH} -d '{{}}'` must answer 400" in finding.cure


async def test_a_certificate_that_nobody_trusts_is_an_error(tmp_path: Path) -> None:
    key, certificate = tmp_path / "key.pem", tmp_path / "certificate.pem"
    words = f"req -x509 -newkey rsa:2048 -nodes -days 1 -subj /CN=127.0.0.1 -keyout {key} -out {certificate}"
    await asyncio.to_thread(subprocess.run, ["openssl", *words.split()], check=True, capture_output=True)
    tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    tls.load_cert_chain(certificate, key)
    async with fixed_answers("405 Method Not Allowed", tls) as (url, asked):
        finding = await check_public_address("abc123", url + PATH)
    assert finding.level is Level.ERROR
    assert finding.message == f"{url}{PATH} has a certificate that is refused: self-signed certificate."
    assert asked == []
