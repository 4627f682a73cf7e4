"""What is said of a call that fails because of a proxy or certificates that the environment names."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from pydantic import SecretStr

from service.bigcommerce import Account, StoreApi, Transport
from service.bigcommerce.connection_pool import http_client
from service.bigcommerce.outgoing_proxy import proxy_for
from service.checks.access.upstream_errors import upstream_error_finding
from service.errors import ConfigError, UpstreamError
from tests.fakes.stacks.checks import lines

CORE = "https://api.example.com"
DIRECT = "Or let calls to api.example.com go without it: NO_PROXY=api.example.com."


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy", "ssl_cert_file", "ssl_cert_dir"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


@asynccontextmanager
async def proxy(answer: bytes) -> AsyncIterator[str]:
    """Host and port of a proxy that gives this answer."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readline()
        writer.write(answer)
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        host, port = server.sockets[0].getsockname()
        yield f"{host}:{port}"


async def failure() -> str:
    """What is said of a call to BigCommerce now."""
    async with http_client() as http:
        api = StoreApi(
            Transport(http, core_url=CORE, b2b_url=CORE), Account("abc123", (SecretStr("t"),)), timeout_s=5.0
        )
        with pytest.raises(UpstreamError) as failed:
            await api.core.orders(limit=1)
    (line,) = lines([upstream_error_finding(failed.value, "abc123", "core API", CORE)])
    assert "hush" not in line
    return line


async def test_a_proxy_that_asks_for_a_password_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    async with proxy(b"HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\n\r\n") as at:
        monkeypatch.setenv("HTTPS_PROXY", f"http://me:hush@{at}")
        assert await failure() == (
            f"error  core API  the proxy {at} of HTTPS_PROXY asks for a password. Write user and password into"
            f" HTTPS_PROXY: http://user:password@{at}."
        )


@pytest.mark.parametrize("scheme", ["http://me:hush@", ""])
async def test_a_proxy_that_does_not_run_is_named_with_its_variable(
    monkeypatch: pytest.MonkeyPatch, scheme: str
) -> None:
    monkeypatch.setenv("https_proxy", f"{scheme}127.0.0.1:1")
    line = await failure()
    assert line.startswith(
        "error  core API  no connection to api.example.com through the proxy 127.0.0.1:1 of https_proxy (ConnectError: "
    )
    assert line.endswith(f"lets api.example.com pass, or correct https_proxy. {DIRECT}")


async def test_a_proxy_without_an_address_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "http://proxy.invalid:3128")
    assert await failure() == (
        "error  core API  this machine cannot resolve the proxy proxy.invalid:3128 of HTTPS_PROXY. Correct HTTPS_PROXY."
        f" {DIRECT}"
    )


def test_no_proxy_and_loopback_addresses_go_directly(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ALL_PROXY", "http://proxy.example.com:3128")
    monkeypatch.setenv("NO_PROXY", "api.example.com")
    found = proxy_for("https", "other.example.com")
    assert found is not None
    assert (found.shown, found.variable) == ("proxy.example.com:3128", "ALL_PROXY")
    assert proxy_for("https", "api.example.com") is None
    assert proxy_for("http", "127.0.0.1") is None


@pytest.mark.parametrize("content", [None, "no certificate"])
def test_certificates_that_cannot_be_read_are_a_mistake_of_the_environment(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, content: str | None
) -> None:
    path = tmp_path / "ca.pem"
    if content is not None:
        path.write_text(content)
    monkeypatch.setenv("SSL_CERT_FILE", str(path))
    with pytest.raises(ConfigError) as refused:
        http_client()
    reason = "does not exist" if content is None else "holds no certificates"
    assert str(refused.value) == (
        f"SSL_CERT_FILE: {path} {reason}. Name a file of certificates in PEM format, or unset it to trust the usual"
        " authorities."
    )
