"""All jobs of a store in the sandbox, run one by one on a clock that the test moves."""

from collections.abc import Awaitable, Callable
from typing import Any

from service.bigcommerce.models import to_int
from service.orders.state.order_entry import Entry
from service.orders.state.queue import Webhook
from service.sandbox.demo import DEMO_STORE_HASH
from tests.fakes.stacks.job_stack import JobStack
from tests.workers.stacks.stack import ADA, RULES, Stack
from workers.orders.attempts import Jobs
from workers.orders.verification import Verifier

SUE = 150
"""A Super Admin of the Companies 5001 and 5002."""


class PeopleStack(JobStack):
    """A store whose buyers are Company users, Super Admins and shoppers."""

    def __init__(self, stack: Stack, rules: str = RULES, **keys: Any) -> None:
        self.stack, self.redis, self.clock = stack, stack.redis, stack.clock
        self.resources = stack.resources(rules, **keys)
        self.jobs = Jobs(self.resources, clock=stack.clock)
        self._verifier = Verifier(self.resources, clock=stack.clock)
        self._runs = 0

    async def place(self, customer_id: int = ADA, **fields: Any) -> int:
        """An order is placed, and its webhook arrives."""
        order_id = await self.stack.place(customer_id, **fields)
        await self.report(order_id)
        return order_id

    async def report(self, order_id: int) -> None:
        """The order's webhook arrives now."""
        now = self.clock()
        webhook = Webhook(DEMO_STORE_HASH, order_id, f"msg_{order_id}", "store/order/created", float(int(now)), now)
        await self.resources.queue.accept(webhook)

    async def add_user(self, customer_id: int, company_id: int, *, webhook: bool) -> None:
        """The customer becomes a Company user."""
        await self.stack.sandbox.put_user(customer_id, company_id)
        if webhook:
            await self.resources.queue.accept_people_change(DEMO_STORE_HASH)

    async def of(self, order_id: int) -> Entry:
        entry = await self.resources.ledger.get(DEMO_STORE_HASH, order_id)
        assert entry is not None
        return entry

    async def finish(self, order_id: int, *, most_jobs: int = 300) -> Entry:
        """Run jobs until the order is finished."""
        for _ in range(most_jobs):
            entry = await self.of(order_id)
            if entry.status.is_final:
                return entry
            await self.run_next()
        raise AssertionError(f"the order does not finish: {entry}")

    async def finish_again(self, order_id: int, *, within_s: float) -> Entry:
        """Run all jobs of the next ``within_s`` seconds."""
        await self.run_for(within_s)
        return await self.finish(order_id)

    async def run_for(self, seconds: float) -> None:
        """Run all jobs that are due within these seconds; then so much time has passed."""
        until = self.clock.now + seconds
        while (due := await self._due()) and due[0][2] / 1000 <= until:
            await self.run_next()
        self.clock.now = max(self.clock.now, until)

    async def calls(self, operation: str, *, api: str = "b2b") -> int:
        """How often BigCommerce was asked this."""
        return sum((await self.stack.sandbox.calls())[api].get(operation, {}).values())

    async def company_on_record(self, order_id: int) -> int | None:
        return to_int((await self.stack.sandbox.order(order_id))["record"]["company_id"])


OpenPeople = Callable[..., Awaitable[PeopleStack]]
