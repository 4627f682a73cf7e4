"""The console beside receiver and worker: `enrich up` on a terminal, as whoever tries it out has it."""

import os
import pty
import re
import signal
import subprocess
import time
from pathlib import Path

import httpx
import pytest

from service.cli import up
from service.redis.embedded.server import EmbeddedRedis
from service.settings import Settings
from tests.fakes.cli import COMMAND, STORES
from tests.fakes.sandbox import kept_port

pytestmark = pytest.mark.integration


def read_until(terminal: int, *patterns: str) -> str:
    """What was printed, up to the last of these patterns or the end."""
    printed = ""
    while not all(re.search(pattern, printed) for pattern in patterns):
        try:
            printed += os.read(terminal, 4096).decode(errors="replace")
        except OSError:  # Linux says so at the end
            return printed
    return printed


def test_up_prints_a_link_on_a_terminal_and_it_signs_in(tmp_path: Path) -> None:
    (tmp_path / "stores.toml").write_text(STORES)
    environ = {
        **os.environ,
        "REDIS_URL": "",
        "ENRICH_CONFIG": str(tmp_path / "stores.toml"),
        "ENRICH_DATA_DIR": str(tmp_path / "data"),
        "ENRICH_METRICS_PORT": "0",
        "ENRICH_LOG_FORMAT": "json",
    }
    terminal, its_end = pty.openpty()
    with kept_port() as port, kept_port() as console_port:
        words = [*COMMAND, "up", "--port", str(port), "--console-port", str(console_port)]
        with subprocess.Popen(words, env=environ, stdin=subprocess.DEVNULL, stdout=its_end, stderr=its_end) as process:
            os.close(its_end)
            try:
                printed = read_until(terminal, r"code=\S+\s", r'"console_started".*\n')
                (link,) = re.findall(r"http://\S+/sign-in\?code=\S+", printed)
                assert f'"url": "http://127.0.0.1:{console_port}/"' in printed
                form, _, code = link.partition("?code=")
                with httpx.Client(trust_env=False, timeout=30, headers={"sec-fetch-site": "same-origin"}) as client:
                    page = client.post(form, data={"code": code}, follow_redirects=True)
                assert (page.status_code, page.url.port) == (200, console_port)
                assert "The store is fine." in page.text
            finally:
                process.send_signal(signal.SIGTERM)
                read_until(terminal, "$^")  # a full terminal would hold it up
            assert process.wait(40) == 0
    os.close(terminal)


async def test_no_link_is_printed_into_a_log(capsys: pytest.CaptureFixture[str]) -> None:
    await up._print_link(Settings(), "redis://127.0.0.1:1/0", 8100)
    assert capsys.readouterr().out == ""


@pytest.mark.chaos
def test_open_opens_a_browser_that_is_signed_in(tmp_path: Path) -> None:
    (tmp_path / "stores.toml").write_text(STORES)
    opened = tmp_path / "opened"
    browser = tmp_path / "browser"
    browser.write_text(f'#!/bin/sh\nprintf %s "$1" > {opened}.part && mv {opened}.part {opened}\n')
    browser.chmod(0o755)
    with EmbeddedRedis(tmp_path / "data") as redis, kept_port() as port:
        environ = {**os.environ, "REDIS_URL": redis.url, "BROWSER": str(browser)}
        words = [*COMMAND, "console", "--open", "--port", str(port)]
        with subprocess.Popen(words, cwd=tmp_path, env=environ, stdout=subprocess.DEVNULL) as process:
            try:
                deadline = time.monotonic() + 60
                while not opened.exists():
                    assert process.poll() is None
                    assert time.monotonic() < deadline
                    time.sleep(0.05)
                form, _, code = opened.read_text().partition("?code=")
                with httpx.Client(trust_env=False, timeout=30, headers={"sec-fetch-site": "same-origin"}) as client:
                    page = client.post(form, data={"code": code}, follow_redirects=True)
                assert (page.status_code, "· admin" in page.text) == (200, True)
            finally:
                process.terminate()
            assert process.wait(40) == 0
