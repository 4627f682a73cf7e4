"""``enrich hooks`` against the sandbox: the calls to BigCommerce, the output, the destination that the workers get."""

import asyncio
import json
import re
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from service.hooks import HookState
from service.redis.client import connect
from service.sandbox.demo import DEMO_STORE_HASH
from tests.fakes.cli import CommandResult, Enrich
from tests.fakes.sandbox import RunningSandbox, running_sandbox

CREATED, STATUS = "store/order/created", "store/order/statusUpdated"
FOLLOWED = (
    "store/order/updated",
    "store/company/user/created",
    "store/company/user/updated",
    "store/company/statusUpdated",
)
HOST = "https://hooks.example.com"
OURS = f"{HOST}/webhooks/bigcommerce"
OLD = "https://old.example.com/webhooks/bigcommerce"
ERP = "https://erp.example.com/in"
SECRETS = ("new-header-secret", "old-header-secret", "wrong-header-secret", "hush")
STORE = """
[stores.{store}]
access_token = "{token}"
client_secret = "sandbox-client-secret"
webhook_headers = {{ "X-Key" = ["new-header-secret", "old-header-secret"] }}
incomplete_orders = "wait"
po_number = "order.customer_message"
follow = "{follow}"
"""


@dataclass(slots=True)
class HooksStack:
    """A sandbox, a stores file that points there, and the command."""

    sandbox: RunningSandbox
    folder: Path
    command: Enrich

    def configure(self, *, follow: str = "0s", **tokens: str) -> None:
        """These stores, by their access tokens. With "0s" they need no optional webhook."""
        lines = [f'[bigcommerce]\napi_url = "{self.sandbox.url}"\nb2b_api_url = "{self.sandbox.url}"\n']
        lines += [STORE.format(store=store, token=token, follow=follow) for store, token in tokens.items()]
        (self.folder / "stores.toml").write_text("".join(lines))

    async def enrich(self, *words: str) -> CommandResult:
        """Run a command beside the sandbox. No secret is ever shown or logged."""
        with capture_logs() as logs:
            ran = await asyncio.to_thread(self.command, "hooks", *words)
        shown = f"{ran.out}{ran.err}{logs}"
        assert [secret for secret in SECRETS if secret in shown] == []
        return ran

    async def hook(
        self, scope: str = CREATED, destination: str = OURS, key: str | None = "new-header-secret", **rest: Any
    ) -> int:
        hook = {"scope": scope, "destination": destination, "headers": {"X-Key": key} if key else None, **rest}
        answer = await self.sandbox.api.post(f"/stores/{DEMO_STORE_HASH}/v3/hooks", json=hook)
        assert answer.status_code == 200, answer.text
        hook_id: int = answer.json()["data"]["id"]
        return hook_id

    async def hooks(self) -> list[tuple[str, str, bool, str | None]]:
        """Scope, destination, whether it is active, and its X-Key."""
        answer = await self.sandbox.api.get(f"/stores/{DEMO_STORE_HASH}/v3/hooks")
        return [
            (hook["scope"], hook["destination"], hook["is_active"], (hook["headers"] or {}).get("X-Key"))
            for hook in answer.json()["data"]
        ]

    async def until_blocked(self) -> None:
        """Wait until BigCommerce blocks a domain."""
        async with asyncio.timeout(30):
            while True:
                answer = await self.sandbox.api.get(f"/stores/{DEMO_STORE_HASH}/v3/hooks/admin")
                if answer.json()["data"]["blocked_domains"]:
                    return
                await asyncio.sleep(0.05)

    async def writes(self) -> int:
        calls = (await self.sandbox.calls())["core"]
        return sum(sum(calls.get(f"{verb} a Webhook", {}).values()) for verb in ("Create", "Update", "Delete"))


@pytest.fixture
async def stack(folder: Path, enrich: Enrich) -> AsyncIterator[HooksStack]:
    """One store whose token is right; no Redis."""
    async with running_sandbox() as sandbox:
        stack = HooksStack(sandbox, folder, enrich)
        stack.configure(sandbox="sandbox-access-token")
        yield stack


@pytest.fixture
def known_destination(redis_url: str, monkeypatch: pytest.MonkeyPatch) -> Callable[[], Awaitable[str | None]]:
    """With Redis: reads the destination that the workers use."""
    monkeypatch.setenv("REDIS_URL", redis_url)

    async def ask() -> str | None:
        async with connect(redis_url) as redis:
            return (await HookState.read(redis, DEMO_STORE_HASH)).destination

    return ask


def rows(ran: CommandResult) -> list[list[str]]:
    """The table's cells, without its head."""
    return [re.split(r"  +", line.strip()) for line in ran.out.splitlines()[1:]]


def done(ran: CommandResult) -> list[tuple[str, str]]:
    """The changes and their scopes, from ``--json`` for one store."""
    (store,) = json.loads(ran.out)
    return [(step["did"], step["scope"]) for step in store["steps"]]
