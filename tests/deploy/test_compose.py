"""deploy/compose.yaml: it fits the published schema, and keeps what the service relies on."""

import asyncio
import re
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml

from service.hooks import WEBHOOK_PATH
from service.receiver import http_protocol
from service.receiver.app import create_app
from service.receiver.authentication import StoreRegistry
from service.receiver.server import Server
from tests.fakes.webhooks import FakeQueue, a_body, a_store, signed

FILE = Path(__file__).parents[2] / "deploy" / "compose.yaml"

# Older ones answer 502 when they retry a request with a body: caddyserver/caddy#7546
CADDY_THAT_RETRIES_POST = (2, 11, 2)


@pytest.fixture(scope="module")
def compose() -> dict[str, Any]:
    loaded: dict[str, Any] = yaml.safe_load(FILE.read_text())
    return loaded


def test_it_fits_the_compose_specification() -> None:
    words = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", "vendor.compose-spec", str(FILE)]
    ran = subprocess.run(words, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stdout


def test_redis_keeps_its_data_and_drops_none(compose: dict[str, Any]) -> None:
    redis = compose["services"]["redis"]
    command = " ".join(redis["command"])
    assert "--appendonly yes" in command
    assert "--save  " in command
    assert "--maxmemory-policy noeviction" in command
    # While Redis rewrites its file it may need as much again.
    assert "--maxmemory 1gb" in command
    assert redis["mem_limit"] == "2g"
    assert "redis:/data" in redis["volumes"]
    assert "redis" in compose["volumes"]


def test_only_the_front_is_reached_from_outside(compose: dict[str, Any]) -> None:
    assert [name for name, service in compose["services"].items() if "ports" in service] == ["front"]
    assert "443:443" in compose["services"]["front"]["ports"]
    assert compose["networks"]["back"]["internal"] is True
    assert compose["services"]["redis"]["networks"] == ["back"]


def test_the_front_passes_the_console_under_its_own_path(compose: dict[str, Any]) -> None:
    caddyfile = compose["configs"]["caddyfile"]["content"]
    console = compose["services"]["console"]
    assert console["environment"]["ENRICH_CONSOLE_URL"] == "https://${ENRICH_DOMAIN}/console"
    assert "@console path /console /console/*" in caddyfile
    assert f"reverse_proxy console:{console['command'][-1]}" in caddyfile
    assert set(console["networks"]) == {"front", "back"}


def test_the_front_passes_nothing_else_than_webhooks_of_the_receiver(compose: dict[str, Any]) -> None:
    caddyfile = compose["configs"]["caddyfile"]["content"]
    assert "handle /webhooks/*" in caddyfile
    assert "reverse_proxy web:8000" in caddyfile
    assert "respond 404" in caddyfile


def test_the_front_is_a_caddy_that_retries_webhooks(compose: dict[str, Any]) -> None:
    major, minor = compose["services"]["front"]["image"].removeprefix("caddy:").split(".")[:2]
    assert (int(major), int(minor)) >= CADDY_THAT_RETRIES_POST[:2]


def test_the_front_closes_idle_connections_before_the_receiver_does(compose: dict[str, Any]) -> None:
    (keepalive_s,) = re.findall(r"\n\s+keepalive (\d+)s\n", compose["configs"]["caddyfile"]["content"])
    assert int(keepalive_s) < http_protocol.KEEP_ALIVE_S


@pytest.fixture
def caddy(compose: dict[str, Any], tmp_path: Path) -> Iterator[tuple[int, int]]:
    """Caddy with the file's own configuration, without TLS: its port, and the port where it expects the receiver."""
    program = shutil.which("caddy")
    if program is None:
        pytest.skip("caddy is not installed")
    version = subprocess.run([program, "version"], capture_output=True, text=True, check=True).stdout.split()[0]
    if tuple(map(int, re.findall(r"\d+", version)[:3])) < CADDY_THAT_RETRIES_POST:
        pytest.skip(f"caddy {version} is too old: it does not retry requests with a body")
    front, web = free_ports(2)
    content = compose["configs"]["caddyfile"]["content"]
    content = content.replace("{$$ENRICH_DOMAIN}", f"http://127.0.0.1:{front}").replace("web:8000", f"127.0.0.1:{web}")
    configuration = tmp_path / "Caddyfile"
    configuration.write_text("{\n  admin off\n}\n" + content)
    command = [program, "run", "--config", str(configuration), "--adapter", "caddyfile"]
    log = (tmp_path / "log").open("w")
    with log, subprocess.Popen(command, env={"HOME": str(tmp_path)}, stdout=log, stderr=log) as process:
        try:
            yield front, web
        finally:
            process.kill()


def free_ports(count: int) -> list[int]:
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [int(taken.getsockname()[1]) for taken in sockets]
    for taken in sockets:
        taken.close()
    return ports


@pytest.mark.integration
async def test_webhook_waits_at_the_front_for_a_receiver_that_restarts(caddy: tuple[int, int]) -> None:
    front, web = caddy
    transport = httpx.AsyncHTTPTransport(retries=5)  # until Caddy listens
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{front}", transport=transport, timeout=30) as client:
        assert (await client.get("/healthz")).status_code == 404
        body, queue = a_body(), FakeQueue()
        sending = asyncio.create_task(client.post(WEBHOOK_PATH, content=body, headers=signed(body)))
        await asyncio.sleep(1)
        assert not sending.done()
        for _ in range(2):
            server = Server(create_app(StoreRegistry({"abc123": a_store()}), queue.opened), "127.0.0.1", web)
            serving = asyncio.create_task(server.serve())
            assert (await sending).status_code == 200
            server.should_exit = True
            await serving
            sending = asyncio.create_task(client.post(WEBHOOK_PATH, content=body, headers=signed(body)))
            await asyncio.sleep(0.5)
        sending.cancel()
    assert len(queue.webhooks) == 2


@pytest.mark.parametrize("name", ["web", "worker", "console"])
def test_our_processes_cannot_write_and_have_time_to_stop(compose: dict[str, Any], name: str) -> None:
    service = compose["services"][name]
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert int(service["stop_grace_period"].removesuffix("s")) >= 20
