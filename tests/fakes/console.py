"""The console over a real Redis, as its visitors have it: requests by httpx, without a socket."""

import time
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
from redis.asyncio import Redis
from starlette.applications import Starlette

from service.configuration.reloading import LiveConfiguration
from service.console.address import ConsoleAddress
from service.console.app import create_app
from service.console.people.access import Role
from service.console.people.proxy_sign_in import SignInProxy
from service.console.people.sessions import Grant, Sessions
from service.console.runs.upstream import Upstream
from service.console.server import REDIS_PASSES
from service.orders.state.job_kinds import from_json, to_json
from service.orders.state.ledger import Ledger
from service.orders.state.order_entry import Entry
from service.orders.state.transitions import Transitions
from service.orders.statistics.counting import count_finished
from service.redis.client import connect
from service.rules import Evaluation, RuleSet
from service.rules.limited import LimitedEvaluator
from tests.fakes.upstream import FakeUpstream

PORT = 8100
HOST = f"127.0.0.1:{PORT}"
SAME_ORIGIN = {"sec-fetch-site": "same-origin"}

STORES = """
[console.people]
"ana@example.com" = { role = "operator", stores = ["abc123"] }
"Ben@Example.com" = { role = "admin" }

[stores.abc123]
name = "Great Buys"
access_token = "t0ken-of-abc123"
client_secret = "s3cret-of-abc123"
po_number = { from = ["metafields.checkout.po", "order.customer_message"] }
extra_fields = { "Cost Center" = { from = "metafields.checkout.cost_center", default = "NONE" } }

[stores.other1]
name = "Office Supplies"
access_token = "t0ken-of-other1"
client_secret = "s3cret-of-other1"
po_number = "order.customer_message"
"""


class EvaluatorHere(LimitedEvaluator):
    """Evaluates in the test's process: a process of its own takes half a second to start."""

    def start_ahead(self) -> None:
        """There is nothing to start."""

    async def evaluate(self, rules: RuleSet, documents: Sequence[Mapping[str, Any]]) -> list[Evaluation]:
        return [rules.evaluate(document) for document in documents]


@dataclass
class ConsoleWorld:
    """A console, its Redis, its stores file, and the BigCommerce that it calls; None: that of the stores file."""

    redis: Redis
    folder: Path
    address: ConsoleAddress = field(default_factory=lambda: ConsoleAddress.of(None, port=PORT))
    proxy: SignInProxy | None = None
    stores: str = STORES
    upstream: FakeUpstream = field(default_factory=FakeUpstream)
    """BigCommerce: has no orders, unless a test says otherwise."""
    calls_addresses: bool = False
    """Whether calls go to the addresses in the stores file instead."""
    live: LiveConfiguration = field(init=False)
    app: Starlette = field(init=False)

    def __post_init__(self) -> None:
        path = self.folder / "stores.toml"
        path.write_text(self.stores)
        self.live = LiveConfiguration(path, {})
        self.upstream.on("GET /v2/orders", [])
        self.upstream.on("GET /api/v3/io/orders/extra-fields", {"code": 200, "data": []})
        calls = None if self.calls_addresses else Upstream(self.redis, lambda: httpx.MockTransport(self._call))
        self.app = create_app(
            self.redis, self.live, self.address, self.proxy, upstream=calls, evaluator=EvaluatorHere()
        )

    def _call(self, request: httpx.Request) -> httpx.Response:
        """BigCommerce cannot be reached, except by the routes that a test scripts."""
        try:
            return self.upstream.handle(request)
        except AssertionError:
            raise httpx.ConnectError("no network", request=request) from None

    @asynccontextmanager
    async def visitor(self) -> AsyncIterator[httpx.AsyncClient]:
        """Somebody who is not signed in. Redirects are not followed."""
        transport = httpx.ASGITransport(self.app, raise_app_exceptions=False)
        async with httpx.AsyncClient(transport=transport, base_url=self.address.url(""), headers=SAME_ORIGIN) as client:
            yield client

    @asynccontextmanager
    async def person(
        self, role: Role = Role.VIEWER, stores: Iterable[str] | None = None, who: str = "vera"
    ) -> AsyncIterator[httpx.AsyncClient]:
        """Somebody who has signed in by a link."""
        async with self.visitor() as client:
            assert await self.sign_in(client, await self.code(role, stores, who)) == 303
            yield client

    async def code(self, role: Role = Role.VIEWER, stores: Iterable[str] | None = None, who: str = "vera") -> str:
        """A sign-in code that was not used yet."""
        grant = Grant(who, role, None if stores is None else frozenset(stores), 3600)
        return await Sessions(self.redis).issue_code(grant)

    async def sign_in(self, client: httpx.AsyncClient, code: str) -> int:
        """Press the button of a sign-in link; the status of the answer."""
        return (await client.post("/sign-in", data={"code": code})).status_code

    async def keep(self, *entries: Entry, age_s: float = 60.0) -> None:
        """Put finished orders into the ledger."""
        now = time.time() - age_s
        for entry in entries:
            await Transitions(self.redis, clock=lambda: now).finish(
                entry, counters=count_finished(entry, merges=False, now=now)
            )

    async def entry(self, order_id: int, store: str = "abc123") -> Entry:
        """The order's entry."""
        entry = await Ledger(self.redis).get(store, order_id)
        assert entry is not None
        return entry


@asynccontextmanager
async def console_world(redis_url: str, folder: Path, stores: str = STORES) -> AsyncIterator[ConsoleWorld]:
    """A console over this Redis, with its stores file in this folder."""
    async with connect(redis_url, serializer=to_json, deserializer=from_json, passes=REDIS_PASSES) as redis:
        world = ConsoleWorld(redis, folder, stores=stores)
        yield world
        await world.app.state.rules.close()
