"""The proxies of the set-up page, run as they stand there: they pass webhooks to the receiver, and nothing else."""

import shutil
import ssl
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest
import stamina

from service.hooks import WEBHOOK_PATH
from tests.fakes.fixed_answers import fixed_answers
from tests.fakes.pages import SET_UP
from tests.fakes.sandbox import free_port

pytestmark = pytest.mark.integration

HOST = "enrich.example.com"


def example(beginning: str) -> str:
    """The code block that begins so."""
    (text,) = [text for _, text in SET_UP.blocks if text.startswith(beginning)]
    return text


@contextmanager
def running(program: str, *words: str, folder: Path) -> Iterator[None]:
    found = shutil.which(program)
    if found is None:
        pytest.skip(f"{program} is not installed")
    with (
        (folder / "log").open("w") as log,
        subprocess.Popen([found, *words], env={"HOME": str(folder)}, stdout=log, stderr=log) as process,
    ):
        try:
            yield
        finally:
            process.terminate()


def a_port() -> int:
    with free_port() as listener:
        return int(listener.getsockname()[1])


async def assert_only_webhooks_pass(url: str, receiver: str, asked: list[str], tls: ssl.SSLContext | bool) -> None:
    async with httpx.AsyncClient(base_url=url, verify=tls, trust_env=False, headers={"Host": HOST}) as client:
        async for attempt in stamina.retry_context(on=httpx.TransportError, attempts=None, timeout=20, wait_max=0.1):
            with attempt:
                answer = await client.get("/healthz")
        assert answer.status_code == 404
        assert asked == [], f"{receiver} was not asked"
        assert (await client.post(WEBHOOK_PATH, content="{}")).status_code == 400
        assert asked == [f"POST {WEBHOOK_PATH} HTTP/1.1"]


async def test_the_caddyfile_passes_webhooks_only(tmp_path: Path) -> None:
    text = example(f"{HOST} {{")
    assert len(text.strip().splitlines()) == 6
    front = a_port()
    async with fixed_answers("400 Bad Request") as (receiver, asked):
        file = tmp_path / "Caddyfile"
        text = text.replace(HOST, f"http://{HOST}:{front}").replace("127.0.0.1:8000", receiver.removeprefix("http://"))
        file.write_text("{\n  admin off\n}\n" + text)
        with running("caddy", "run", "--config", str(file), "--adapter", "caddyfile", folder=tmp_path):
            await assert_only_webhooks_pass(f"http://127.0.0.1:{front}", receiver, asked, tls=True)


async def test_the_nginx_block_passes_webhooks_only(tmp_path: Path) -> None:
    text = example("server {")
    front = a_port()
    words = f"req -x509 -newkey rsa:2048 -nodes -days 1 -subj /CN={HOST} -keyout privkey.pem -out fullchain.pem"
    subprocess.run(["openssl", *words.split()], cwd=tmp_path, check=True, capture_output=True)  # noqa: ASYNC221
    trusting = ssl.create_default_context(cafile=str(tmp_path / "fullchain.pem"))
    trusting.check_hostname = False
    async with fixed_answers("400 Bad Request") as (receiver, asked):
        for written, here in (
            ("listen 443 ssl", f"listen 127.0.0.1:{front} ssl"),
            (f"/etc/letsencrypt/live/{HOST}", str(tmp_path)),
            ("http://127.0.0.1:8000", receiver),
        ):
            assert written in text
            text = text.replace(written, here)
        file = tmp_path / "nginx.conf"
        file.write_text(
            f"daemon off; pid {tmp_path}/pid; error_log stderr; events {{}} http {{ access_log off;"
            f" client_body_temp_path {tmp_path}/body; proxy_temp_path {tmp_path}/proxy;\n{text}\n}}"
        )
        with running("nginx", "-c", str(file), "-p", str(tmp_path), folder=tmp_path):
            await assert_only_webhooks_pass(f"https://127.0.0.1:{front}", receiver, asked, tls=trusting)
