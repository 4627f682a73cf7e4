"""A store in the sandbox whose webhooks are monitored run by run."""

from typing import Any

import pytest
from arq import Retry
from structlog.testing import capture_logs

from service.orders.state.keys import polling_key
from service.sandbox.demo import DEMO_STORE_HASH as STORE
from tests.fakes.sandbox import StillClock
from tests.workers.stacks.stack import Stack
from workers.periodic.hook_monitor import HookMonitor

CREATED, STATUS = "store/order/created", "store/order/statusUpdated"
OPTIONAL = (
    "store/order/metafield/created",
    "store/order/metafield/updated",
    "store/order/updated",
    "store/company/user/created",
    "store/company/user/updated",
    "store/company/statusUpdated",
)
OURS = "https://hooks.example.com/webhooks/bigcommerce"
OTHER = "https://elsewhere.example.com/webhooks/bigcommerce"
Log = dict[str, Any]


class MonitoredStore:
    """A store in the sandbox whose webhooks are monitored run by run. It follows no changes, unless told to."""

    def __init__(self, stack: Stack, **keys: Any) -> None:
        self.stack = stack
        self.resources = stack.resources(**{"follow": "0s", **keys})
        self.restart()

    @property
    def clock(self) -> StillClock:
        return self.stack.clock

    def restart(self) -> None:
        """Another worker takes over: nothing is kept in memory."""
        self.monitor = HookMonitor(self.resources, clock=self.clock)

    async def run(self, after_s: float = 0.0) -> tuple[float, list[Log]]:
        """Run once, ``after_s`` seconds from now; returns in how many seconds the next run is due, and the log."""
        self.clock.tick(after_s)
        with capture_logs() as logs, pytest.raises(Retry) as retry:
            await self.monitor.run({}, STORE)
        assert retry.value.defer_score is not None
        return retry.value.defer_score / 1000, [dict(line) for line in logs if line["event"] != "upstream_call"]

    async def hook(
        self,
        scope: str = CREATED,
        destination: str = OURS,
        is_active: bool = True,
        headers: dict[str, str] | None = None,
    ) -> int:
        hook = await self.stack.api().core.create_hook(scope, destination, headers, is_active)
        hook_id: int = hook["id"]
        return hook_id

    async def change(self, hook_id: int, **changes: Any) -> None:
        await self.stack.api().core.update_hook(hook_id, **changes)

    async def delete(self, hook_id: int) -> None:
        await self.stack.api().core.delete_hook(hook_id)

    async def hooks(self) -> dict[int, dict[str, Any]]:
        return {hook["id"]: hook for hook in await self.stack.api().core.hooks()}

    async def updates(self) -> int:
        calls = await self.stack.sandbox.calls()
        return sum(calls["core"].get("Update a Webhook", {}).values())

    async def is_polled(self) -> bool:
        return bool(await self.stack.redis.exists(polling_key(STORE)))


def events(logs: list[Log]) -> list[Log]:
    """The log without the lines of the polling fallback."""
    return [line for line in logs if not line["event"].startswith("polling_")]


@pytest.fixture
def store(stack: Stack) -> MonitoredStore:
    return MonitoredStore(stack)
