"""``enrich up`` and ``enrich demo`` as a user starts them."""

import asyncio
import base64
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path

import httpx
import pytest
from standardwebhooks import Webhook

from tests.fakes.deployment import RULES, Process
from tests.fakes.redis.server import running_redis
from tests.fakes.sandbox import kept_port

pytestmark = pytest.mark.integration

SECRETS = {"north": "north-client-secret", "south": "south-client-secret"}


def body(store: str, order_id: int = 250) -> bytes:
    event = {
        "scope": "store/order/created",
        "store_id": "1025646",
        "data": {"type": "order", "id": order_id},
        "hash": "dd70c0976e06b67aaf671e73f49dcb79230ebf9d",
        # Long ago, so that a worker does not spend ten seconds on calls to a BigCommerce that does not exist.
        "created_at": int(time.time()) - 3600,
        "producer": f"stores/{store}",
    }
    return json.dumps(event).encode()


def signed(content: bytes, secret: str, *, age_s: float = 0.0) -> dict[str, str]:
    """The headers of a webhook, made with the specification's own library."""
    at = datetime.fromtimestamp(time.time() - age_s, UTC)
    signer = Webhook(base64.b64encode(secret.encode()).decode())
    return {
        "webhook-id": "msg_1",
        "webhook-timestamp": str(int(at.timestamp())),
        "webhook-signature": signer.sign("msg_1", at, content.decode()),
        "content-type": "application/json",
    }


@asynccontextmanager
async def up(folder: Path, redis_url: str | None) -> AsyncIterator[tuple[Process, httpx.AsyncClient]]:
    stores = "".join(RULES.format(store=store).replace("TEST", store.upper()) for store in SECRETS)
    (folder / "stores.toml").write_text(
        '[bigcommerce]\napi_url = "http://127.0.0.1:9"\nb2b_api_url = "http://127.0.0.1:9"\n' + stores
    )
    environ = {
        "ENRICH_CONFIG": str(folder / "stores.toml"),
        "ENRICH_DATA_DIR": str(folder / "data"),
        "ENRICH_METRICS_PORT": "0",
        "REDIS_URL": redis_url or "",
        **{f"{store.upper()}_CLIENT_SECRET": secret for store, secret in SECRETS.items()},
        **{f"{store.upper()}_ACCESS_TOKEN": "a-token" for store in SECRETS},
    }
    with kept_port() as port:
        process = Process("up", ["service.cli", "up", "--port", str(port), "--console-port", "0"], environ, folder)
        try:
            async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", timeout=30, trust_env=False) as client:
                async with asyncio.timeout(40):
                    while not await is_ready(client):
                        assert process.returncode is None, process.text
                        await asyncio.sleep(0.05)
                yield process, client
        finally:
            assert await process.stop() == 0, process.text


async def is_ready(client: httpx.AsyncClient) -> bool:
    try:
        answer = await client.get("/readyz")
    except httpx.HTTPError:
        return False
    return answer.status_code == 200 and answer.json()["workers"] == 1


async def post(client: httpx.AsyncClient, content: bytes, headers: dict[str, str]) -> int:
    answer = await client.post("/webhooks/bigcommerce", content=content, headers=headers)
    assert answer.content == b""
    assert set(answer.headers) <= {"date", "content-length", "retry-after"}
    return answer.status_code


async def test_up_accepts_only_signed_webhooks(tmp_path: Path) -> None:
    async with up(tmp_path, None) as (process, client):
        good = body("north")
        assert await post(client, good, signed(good, SECRETS["north"])) == 200
        assert await post(client, good, signed(good, SECRETS["north"])) == 200
        south = body("south", 1)
        assert await post(client, south, signed(south, SECRETS["south"])) == 200

        assert await post(client, good, signed(good, SECRETS["south"])) == 401
        assert await post(client, good, signed(good, "guessed")) == 401
        assert await post(client, good, signed(good, SECRETS["north"], age_s=301)) == 401
        assert await post(client, body("north", 251), signed(good, SECRETS["north"])) == 401
        assert await post(client, good, {}) == 401
        unknown = body("west")
        assert await post(client, unknown, signed(unknown, SECRETS["north"])) == 401
        assert await post(client, b"{", signed(b"{", SECRETS["north"])) == 400
        big = body("north")[:-1] + b', "more": "' + b"x" * 70_000 + b'"}'
        assert await post(client, big, signed(big, SECRETS["north"])) == 413

        queued = process.events("webhook_accepted")
        assert [(line["store"], line["order_id"]) for line in queued] == [("north", 250), ("south", 1)]
        assert len(process.events("webhook_duplicate")) == 1


async def test_up_answers_503_without_redis_and_accepts_webhooks_when_it_is_back(tmp_path: Path) -> None:
    async with running_redis() as redis, up(tmp_path, redis.url) as (_, client):
        redis.kill()
        content = body("north")
        assert await post(client, content, signed(content, SECRETS["north"])) == 503
        assert (await client.get("/readyz")).status_code == 503

        await redis.restart()
        assert await post(client, content, signed(content, SECRETS["north"])) == 200


async def test_up_restarts_a_process_that_dies(tmp_path: Path) -> None:
    async with up(tmp_path, None) as (process, client):
        first = process.events("worker_started")[0]["worker"]
        os.kill(int(first.rpartition(":")[2]), signal.SIGKILL)
        async with asyncio.timeout(30):
            while len(process.events("worker_started")) < 2:  # noqa: ASYNC110 - it is another process
                await asyncio.sleep(0.05)
        assert [line["process"] for line in process.events("process_ended")] == ["worker"]
        content = body("north")
        assert await post(client, content, signed(content, SECRETS["north"])) == 200


def test_demo_succeeds(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "service.cli", "demo"]
    environ = os.environ | {"TMPDIR": str(tmp_path)}  # where a demo that fails leaves its logs
    done = subprocess.run(command, env=environ, capture_output=True, text=True, timeout=150, check=False)

    logs = [f"── {path.name}\n{path.read_text()[-4000:]}" for path in tmp_path.glob("enrich-demo-*/*.log")]
    assert done.returncode == 0, "\n".join([done.stdout, done.stderr, *logs])
    assert done.stderr == ""
    assert "Every order has the expected outcome." in done.stdout
    for line in ("created", "skipped: guest", "skipped: not_a_company_user", "updated", "p50", "p99", "worst"):
        assert line in done.stdout
