"""Fixtures for tests of reconciling."""

import pytest
from arq import Retry

from service.orders.state.job_kinds import RECOVERY, WINDOW
from service.orders.state.keys import entry_key
from service.orders.state.order_entry import Entry, Status
from service.orders.state.queue import Webhook
from service.sandbox.demo import DEMO_STORE_HASH as STORE
from tests.fakes.sandbox import StillClock
from tests.workers.stacks.stack import Stack
from workers.periodic.polling import PollingFallback
from workers.periodic.reconcile import Reconciler
from workers.resources import Resources


class ReconciledStore:
    """A store in the sandbox that is reconciled run by run."""

    def __init__(self, stack: Stack) -> None:
        self.stack = stack
        self.resources: Resources = stack.resources()
        self.polling = PollingFallback(stack.redis, clock=stack.clock)
        self.restart()

    @property
    def clock(self) -> StillClock:
        return self.stack.clock

    def restart(self) -> None:
        """Another worker takes over: nothing is kept in memory."""
        self.job = Reconciler(self.resources, spread=0.0, clock=self.clock)

    async def run(self, after_s: float = 0.0) -> float:
        """Run once, ``after_s`` seconds from now; returns in how many seconds the next run is due."""
        self.clock.tick(after_s)
        with pytest.raises(Retry) as retry:
            await self.job.run({}, STORE)
        assert retry.value.defer_score is not None
        return retry.value.defer_score / 1000

    async def run_for(self, seconds: float) -> None:
        """Make all runs of the next ``seconds``, each when it is due."""
        until = self.clock.now + seconds
        while self.clock.now < until:
            self.clock.tick(max(await self.run(), 0.1))

    async def jobs(self) -> list[str]:
        """The ids of the orders' jobs, in both queues."""
        queues = [await self.stack.redis.zrange(kind.queue, 0, -1) for kind in (WINDOW, RECOVERY)]
        return [job.decode() for queue in queues for job in queue]

    async def entry(self, order_id: int) -> Entry | None:
        return await self.resources.ledger.get(STORE, order_id)

    async def store_entry(self, entry: Entry) -> None:
        await self.stack.redis.hset(entry_key(STORE, entry.order_id), mapping=entry.to_hash())  # type: ignore[misc]

    async def webhook(self, order_id: int) -> None:
        """The order's webhook arrives now."""
        sent_at = float(int(self.clock.now))
        webhook = Webhook(STORE, order_id, "msg_1", "store/order/created", sent_at, self.clock.now)
        await self.resources.queue.accept(webhook)

    async def lists(self) -> int:
        """How often the list of orders was read."""
        calls = await self.stack.sandbox.calls()
        return sum(calls["core"].get("Get All Orders", {}).values())

    async def is_polled(self) -> bool:
        return await self.polling.get(STORE) is not None

    async def finish_all(self) -> None:
        """Finish all queued orders, as the workers would."""
        for job in await self.jobs():
            kind, _, order_id = job.split(":")
            await self.store_entry(Entry(STORE, int(order_id), status=Status.CREATED))
            await self.stack.redis.delete(f"arq:job:{job}")
            await self.stack.redis.zrem((WINDOW if kind == "window" else RECOVERY).queue, job)


@pytest.fixture
async def store(stack: Stack) -> ReconciledStore:
    """A store after its first run."""
    store = ReconciledStore(stack)
    assert await store.run() == 60.0
    store.clock.tick(1.0)  # dates have whole seconds: later orders get a later date
    return store
