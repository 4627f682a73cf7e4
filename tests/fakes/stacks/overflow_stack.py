"""A store whose Creates may go over the storefront API, with a budget of B2B Edition's quota and held tokens."""

from collections.abc import Iterable
from typing import Any

import httpx
import pytest
from pydantic import SecretStr

from service.bigcommerce import Api, Budget, Priority
from service.orders.state.keys import storefront_closed_key
from service.orders.state.order_entry import Entry, Status
from service.orders.state.per_store.storefront.storefront_breaker import StorefrontBreaker
from service.orders.state.per_store.storefront.storefront_tokens import StorefrontTokens
from tests.fakes.stacks.job_stack import CUSTOMER, ORDER, RECORD, JobStack
from tests.fakes.upstream import STORE_HASH

OVERFLOW = 'overflow = "storefront"'
COMMENT = "order_comment = true"
BOTH = f"{OVERFLOW}\n{COMMENT}"

CREATE, STOREFRONT = "POST /api/v3/io/orders", "POST /api/v2/orders"
TOKEN = "buyer-token"
TAKEN = {"code": 200, "message": "SUCCESS", "data": [{"orderId": ORDER}]}
WINDOW_S = 60.0


UNSURE = {
    "timeout": httpx.ReadTimeout("no answer"),
    "cut": httpx.RemoteProtocolError("cut"),
    "503": httpx.Response(503, content=b"<html>503</html>"),
    "another order": {"code": 200, "message": "SUCCESS", "data": [{"orderId": 2}]},
    "gateway": (404, {"message": "no Route matched"}),
}
"""What leaves it open whether the storefront API has made the record."""


def refused(status: int, message: str, code: int = 0) -> tuple[int, dict[str, Any]]:
    return status, {"code": code or status, "message": message, "data": {}}


def over_quota(*, has_headers: bool = True) -> httpx.Response:
    headers = {"X-Requests-Remaining": "0 times", "X-Request-Window-Resets-After": "40 s"} if has_headers else {}
    return httpx.Response(429, headers=headers, json={"code": 429, "message": "Too Many Requests", "data": {}})


def events_of(logs: Iterable[Any]) -> list[tuple[Any, ...]]:
    """What the log says of the storefront's way: event, level, seconds, trouble."""
    keys = ("event", "log_level", "seconds", "trouble")
    is_of_way = ("storefront_closed", "storefront_reopened")
    return [tuple(line.get(key) for key in keys) for line in logs if line["event"] in is_of_way]


class Overflow:
    """The job stack's store, with a budget of B2B Edition's quota and held tokens."""

    def __init__(self, stack: JobStack) -> None:
        self.stack = stack
        self.budget = Budget(stack.redis, clock=stack.clock)
        stack.resources.transport._budget = self.budget
        self.takes(TAKEN)

    @property
    def tokens(self) -> StorefrontTokens:
        return StorefrontTokens(self.stack.redis, STORE_HASH, [SecretStr("access-token")])

    @property
    def breaker(self) -> StorefrontBreaker:
        return StorefrontBreaker(self.stack.redis, STORE_HASH)

    async def fails_elsewhere(self, times: int = 1) -> None:
        """So many Creates of other orders have failed in a row, the last one just now."""
        for number in range(times):
            if number:
                await self.closure_ends()
            await self.breaker.failed(await self.breaker.acquire(await self.breaker.read()), "503")

    async def closure_ends(self) -> None:
        """The storefront's closure is over: Redis counts its seconds, which the test's clock does not move."""
        assert await self.stack.redis.delete(storefront_closed_key(STORE_HASH))

    async def hold(self, customer_id: int = CUSTOMER, channel_id: int = 1) -> None:
        await self.tokens.put(customer_id, channel_id, SecretStr(TOKEN))

    def takes(self, answer: Any) -> None:
        """The storefront API makes the record, and answers this; so does the same call over B2B Edition's own."""
        self.stack.upstream.on(STOREFRONT, lambda request: self._make(request, answer))

    def _make(self, request: httpx.Request, answer: Any) -> Any:
        if self.stack.record.po_number is None:
            self.stack.record.create(request)
        return answer(request) if callable(answer) else answer

    async def leave(self, calls: int, *, age_s: float = 0.0) -> None:
        """So many calls are left of B2B Edition's quota, whose window began ``age_s`` seconds ago."""
        self.stack.clock.tick(-age_s)
        await self.budget.spend(STORE_HASH, Api.B2B, Priority.CREATE, operation="Create an Order", calls=150 - calls)
        self.stack.clock.tick(age_s)

    async def attempt(self) -> Entry:
        """The first attempt: the field settings take the one call that is left."""
        await self.leave(1)
        await self.stack.webhook()
        await self.stack.run_next()
        return await self.stack.entry()

    async def read_back(self, *, is_done: bool) -> Entry:
        """Run the order to its end, whose storefront Create had no sure answer: it is read before any other write.

        ``is_done`` says whether that Create has made the record; else B2B Edition makes it.
        """
        if not is_done:
            self.stack.record.make()
        entry = await self.stack.run_until_finished()
        assert self.asked[1] == f"GET {RECORD}"
        assert (self.asked.count(STOREFRONT), self.asked.count(CREATE)) == (1, 0)
        assert (entry.status, entry.via) == ((Status.CREATED, "storefront") if is_done else (Status.UPDATED, None))
        return entry

    @property
    def asked(self) -> list[str]:
        """The Creates, and reads of the record, in order."""
        return [route for route in self.stack.upstream.asked if route in (CREATE, STOREFRONT, f"GET {RECORD}")]

    @property
    def sent(self) -> list[Any]:
        return self.stack.upstream.bodies(STOREFRONT)


@pytest.fixture
def overflow(job_stack: JobStack) -> Overflow:
    job_stack.configure(keys=OVERFLOW)
    return Overflow(job_stack)
