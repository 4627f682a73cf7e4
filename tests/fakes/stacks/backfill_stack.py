"""A store with old orders in the sandbox, a real Redis, and a worker played by the test."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime

import pytest
from arq import ArqRedis
from pydantic import SecretStr

from service.bigcommerce import Account, Priority, QuotaWaitingApi, Transport
from service.orders.backfill import runner as backfill
from service.orders.backfill.progress import BackfillProgress, DateRange
from service.orders.backfill.runner import Backfill
from service.orders.state.job_kinds import RECOVERY, WINDOW
from service.orders.state.ledger import Ledger
from service.orders.state.order_entry import Entry, Status
from service.orders.state.transitions import Transitions
from service.process.task_cancellation import cancel_and_wait
from tests.fakes.sandbox import RunningSandbox, StillClock, called_sandbox

STORE = "sandbox"
SINCE, UNTIL = datetime(2026, 1, 1, tzinfo=UTC), datetime(2026, 1, 10, 20, tzinfo=UTC)
DAY = 86_400.0
SPAN = DateRange(SINCE, UNTIL, "2026-01-01..")
AGAIN = DateRange(SINCE, UNTIL, "2026-01-01..", again=True)


@dataclass(slots=True)
class BackfillStack:
    """A store with old orders, and a queue that ``working`` processes."""

    sandbox: RunningSandbox
    redis: ArqRedis
    transport: Transport
    done: list[int] = field(default_factory=list)
    most: int = 0

    async def place(self, count: int, *, age: float = DAY, customer_id: int = 101) -> list[int]:
        placed = [await self.sandbox.place_order(customer_id=customer_id, age=age) for _ in range(count)]
        return [order["id"] for order in placed]

    def backfill(self, span: DateRange = SPAN, watch: Callable[[BackfillProgress], None] = lambda _: None) -> Backfill:
        account = Account(STORE, (SecretStr("sandbox-access-token"),))
        return Backfill(
            QuotaWaitingApi(self.transport, account, priority=Priority.BACKGROUND), self.redis, span, watch=watch
        )

    async def queued(self) -> list[int]:
        assert await self.redis.zcard(WINDOW.queue) == 0, "no backfilled order may delay new ones"
        return [int(job.decode().rpartition(":")[2]) for job in await self.redis.zrange(RECOVERY.queue, 0, -1)]

    async def entry(self, order_id: int) -> Entry:
        entry = await Ledger(self.redis).get(STORE, order_id)
        assert entry is not None
        return entry

    async def end(self, *order_ids: int, status: Status = Status.UPDATED, reason: str | None = None) -> None:
        """Finish the orders as a worker does."""
        for order_id in order_ids:
            entry, _ = await Transitions(self.redis).begin_attempt(STORE, order_id)
            entry.status, entry.reason = status, reason
            await Transitions(self.redis).finish(entry)
            self.done.append(order_id)

    @asynccontextmanager
    async def working(self, status: Status = Status.UPDATED) -> AsyncIterator[None]:
        """Run a worker that finishes every queued order."""

        async def work() -> None:
            while True:
                waiting = await self.queued()
                self.most = max(self.most, len(waiting))
                await self.end(*waiting[:7], status=status)
                await asyncio.sleep(0.005)

        worker = asyncio.create_task(work())
        try:
            yield
        finally:
            await cancel_and_wait([worker])

    async def run(self, span: DateRange = SPAN) -> BackfillProgress:
        """A complete run with a worker."""
        run = self.backfill(span)
        async with self.working():
            await run.run()
        return run.course

    async def lists(self) -> int:
        """How many list calls were made."""
        return sum((await self.sandbox.calls())["core"].get("Get All Orders", {}).values())


@pytest.fixture
async def stack(redis: ArqRedis, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[BackfillStack]:
    monkeypatch.setattr(backfill, "POLL_INTERVAL_S", 0.01)
    monkeypatch.setattr(backfill, "DIAGNOSE_INTERVAL_S", 0.0)
    clock = StillClock()
    async with AsyncExitStack() as exit_stack:
        sandbox = await exit_stack.enter_async_context(called_sandbox(clock, core_quota=10_000))
        http = await exit_stack.enter_async_context(sandbox.api._transport)
        yield BackfillStack(sandbox, redis, Transport(http, core_url=sandbox.url, b2b_url=sandbox.url, clock=clock))


async def until_progress(run: Backfill, order_id: int, in_flight: int) -> None:
    """Wait until the run's progress has these values."""
    async with asyncio.timeout(30):
        while (run.course.reached, len(run.course.in_flight)) != (order_id, in_flight):  # noqa: ASYNC110
            await asyncio.sleep(0.005)


async def until(condition: Callable[[], Awaitable[bool]]) -> None:
    async with asyncio.timeout(30):
        while not await condition():  # noqa: ASYNC110 - the state is in Redis
            await asyncio.sleep(0.005)


async def stop(running: "asyncio.Task[None]") -> None:
    """Cancel the run, as Ctrl-C does."""
    await cancel_and_wait([running])
    assert running.cancelled()


async def has_queued(stack: BackfillStack, count: int) -> bool:
    return int(await stack.redis.zcard(RECOVERY.queue)) == count
