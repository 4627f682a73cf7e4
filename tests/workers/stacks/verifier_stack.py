"""The verification jobs, run by hand on orders of the sandbox."""

from collections.abc import Awaitable
from typing import Any

from arq import Retry

from service.orders.state.job_kinds import RECOVERY, REVERIFY, VERIFY
from service.orders.state.order_entry import Entry
from tests.workers.stacks.stack import Stack, job_context
from workers.orders.attempts import Jobs
from workers.orders.result_types import Written
from workers.orders.verification import Verifier


class VerifierStack:
    """A stack, and the jobs that verify its orders."""

    def __init__(self, stack: Stack) -> None:
        self.stack = stack
        self.resources = stack.resources()
        self._jobs = Jobs(self.resources, clock=stack.clock)
        self._verifier = Verifier(self.resources, clock=stack.clock)

    async def write(self, **fields: Any) -> int:
        """Place an order and create its record; it is due for verification."""
        order_id = await self.stack.place(**fields)
        entry = self.stack.entry(order_id)
        result = await self.stack.attempt(entry)
        assert isinstance(result, Written), result
        await self.resources.transitions.to_verification(entry, 0.0)
        return order_id

    async def verify(self) -> float | None:
        """Run the verification job once; returns the retry delay in seconds, None if it is done."""
        return await self._run(self._verifier.verify(job_context(VERIFY.id("sandbox")), "sandbox"))

    async def reverify(self) -> float | None:
        """Run the re-verification job once; returns the same."""
        return await self._run(self._verifier.reverify(job_context(REVERIFY.id("sandbox")), "sandbox"))

    async def _run(self, job: Awaitable[None]) -> float | None:
        try:
            await job
        except Retry as retry:
            return (retry.defer_score or 0) / 1000
        return None

    async def scheduled(self) -> tuple[list[int], list[int]]:
        """The orders scheduled for verification, and those scheduled for re-verification."""
        to_verify, to_reverify = self.resources.to_verify, self.resources.to_reverify
        return (
            await to_verify.due("sandbox", ahead_s=1000, most=10),
            await to_reverify.due("sandbox", ahead_s=1000, most=10),
        )

    async def run_until_finished(self, order_id: int) -> Entry:
        """Run the order's jobs until it is finished."""
        for _ in range(40):
            entry = await self.entry(order_id)
            if entry.status.is_final:
                return entry
            if await self.stack.redis.exists(RECOVERY.key("sandbox", order_id)):
                await self.recover(order_id)
            await self.verify()
            self.stack.clock.tick(1.0)
        raise AssertionError("the order does not finish")

    async def recover(self, order_id: int) -> None:
        """Run the order's recovery job once."""
        await self.stack.redis.delete(RECOVERY.key("sandbox", order_id))
        await self._jobs.recover(job_context(RECOVERY.id("sandbox", order_id)), "sandbox", order_id)

    async def entry(self, order_id: int) -> Entry:
        entry = await self.stack.ledger.get("sandbox", order_id)
        assert entry is not None
        return entry

    async def calls(self) -> dict[str, dict[str, int]]:
        """The calls to B2B Edition so far."""
        calls: dict[str, dict[str, int]] = (await self.stack.sandbox.calls())["b2b"]
        return calls
