"""A store in the sandbox, and what is done to its webhooks."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import Any

import pytest
from pydantic import SecretStr

from service.bigcommerce import Account, StoreApi, Transport
from service.bigcommerce.clients.core_api import Core
from service.configuration import ConfiguredStore
from service.hooks import ChangeKind, StoreChanges
from service.sandbox.demo import DEMO_STORE_HASH
from tests.fakes.sandbox import RunningSandbox, StillClock, called_sandbox
from tests.fakes.webhooks import a_configured_store

CREATED, STATUS, ALL = "store/order/created", "store/order/statusUpdated", "store/order/*"
OURS = "https://hooks.example.com/webhooks/bigcommerce"
OLD = "https://old.example.com/webhooks/bigcommerce"
ERP = "https://erp.example.com/in"


@dataclass(slots=True)
class FakeStore:
    """A store of the sandbox, with helpers for its webhooks."""

    sandbox: RunningSandbox
    core: Core

    def store(self, *, headers: dict[str, list[str]] | None = None, wait: bool = False, **keys: Any) -> ConfiguredStore:
        secrets = {name: [SecretStr(value) for value in values] for name, values in (headers or {}).items()}
        incomplete = "wait" if wait else "enrich"
        return a_configured_store(DEMO_STORE_HASH, webhook_headers=secrets, incomplete_orders=incomplete, **keys)

    async def hook(self, scope: str = CREATED, destination: str = OURS, **rest: Any) -> int:
        hook = await self.core.create_hook(scope, destination, rest.get("headers"), rest.get("is_active", True))
        hook_id: int = hook["id"]
        return hook_id

    async def hooks(self) -> dict[tuple[str, str], tuple[bool, dict[str, str]]]:
        """By scope and destination: whether it is active, and its headers."""
        return {
            (hook["scope"], hook["destination"]): (hook["is_active"], hook["headers"] or {})
            for hook in await self.core.hooks()
        }

    async def writes(self) -> int:
        calls = (await self.sandbox.calls())["core"]
        return sum(sum(calls.get(f"{verb} a Webhook", {}).values()) for verb in ("Create", "Update", "Delete"))


def changes_of(outcome: StoreChanges) -> list[tuple[ChangeKind, str]]:
    assert all(step.hook_id for step in outcome.steps if step.is_done)
    return [(step.did, step.scope) for step in outcome.steps]


@pytest.fixture
async def fake() -> AsyncIterator[FakeStore]:
    clock = StillClock()
    async with AsyncExitStack() as stack:
        sandbox = await stack.enter_async_context(called_sandbox(clock))
        http = await stack.enter_async_context(sandbox.api._transport)
        transport = Transport(http, core_url=sandbox.url, b2b_url=sandbox.url, clock=clock)
        account = Account(DEMO_STORE_HASH, (SecretStr("sandbox-access-token"),))
        yield FakeStore(sandbox, StoreApi(transport, account).core)
