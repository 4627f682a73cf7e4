"""One order at a time through its life, against a sandbox on a clock that the test moves."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from arq import ArqRedis
from pydantic import SecretStr

from service.bigcommerce import Account, StoreApi, Transport
from service.configuration import Configuration, ConfiguredStore, load_configuration
from service.orders.document.batch_loader import OrderLoader
from service.orders.document.cache import Cache
from service.orders.state.breaker import Breaker
from service.orders.state.due_orders import DueOrders
from service.orders.state.entry import Entry, Stage
from service.orders.state.keys import reverify_key, verify_key, waiting_key
from service.orders.state.ledger import Ledger
from service.orders.state.queue import Queue
from service.orders.state.transitions import Transitions
from service.redis.client import connect
from service.sandbox.demo import DEMO_STORE_HASH
from service.stores import Endpoints
from tests.fakes.job_stack import job_stack
from tests.fakes.sandbox import RunningSandbox, StillClock, called_sandbox
from workers.lifecycle import Lifecycle
from workers.resources import Resources
from workers.results import AttemptResult, Finished, Written
from workers.verification import judge

__all__ = ["job_stack"]

RULES = r"""
[po_number]
from = "order.billing_address.form_fields[?name=='PO Number'].value | [0]"

[extra_fields]
"Cost Center" = { from = "metafields.checkout.cost_center" }
"Account No"  = { from = 'company.extraFields."ERP Account"', required = true }
"""

ADA = 101
"""A Company user, whose Company has the ERP account ERP-10001."""
ZOE = 199
"""No Company user."""


def po_form_field(po_number: str) -> dict[str, Any]:
    return {"billing_address": {"form_fields": [{"name": "PO Number", "value": po_number}]}}


@dataclass(slots=True)
class House:
    """Everything that one order's life needs."""

    sandbox: RunningSandbox
    clock: StillClock
    redis: ArqRedis
    ledger: Ledger
    transitions: Transitions
    transport: Transport
    folder: Path

    async def place(self, customer_id: int = ADA, *, po_number: str | None = "A-1", **fields: Any) -> int:
        form = po_form_field(po_number) if po_number is not None else {}
        placed = await self.sandbox.place_order(customer_id=customer_id, **{**form, **fields})
        order_id: int = placed["id"]
        return order_id

    def configured(self, rules: str = RULES, **keys: Any) -> ConfiguredStore:
        path = self.folder / "stores.toml"
        lines = [f"[stores.{DEMO_STORE_HASH}]", 'access_token = "sandbox-access-token"', 'client_secret = "s"']
        lines += [f"{key} = {value!r}" for key, value in keys.items()]
        tables = rules.replace("[po_number]", f"[stores.{DEMO_STORE_HASH}.po_number]")
        tables = tables.replace("[extra_fields]", f"[stores.{DEMO_STORE_HASH}.extra_fields]")
        path.write_text("\n".join([*lines, tables]))
        return load_configuration(path).stores[DEMO_STORE_HASH]

    def entry(self, order_id: int) -> Entry:
        """The entry of an order whose webhook came just now."""
        return Entry(DEMO_STORE_HASH, order_id, times={Stage.WEBHOOK_SENT: self.clock.now})

    def resources(self, rules: str = RULES, **keys: Any) -> Resources:
        """What the workers' jobs need."""
        configured = self.configured(rules, **keys)
        endpoints = Endpoints(api_url="http://127.0.0.1", b2b_api_url="http://127.0.0.1")
        return Resources(
            Configuration(endpoints, {DEMO_STORE_HASH: configured}, ()),
            self.redis,
            self.transport,
            self.ledger,
            Queue(self.redis, clock=self.clock),
            self.transitions,
            DueOrders(self.redis, verify_key, clock=self.clock),
            DueOrders(self.redis, reverify_key, clock=self.clock),
            DueOrders(self.redis, waiting_key, clock=self.clock),
            Breaker(self.redis, clock=self.clock),
        )

    @property
    def account(self) -> Account:
        return Account(DEMO_STORE_HASH, (SecretStr("sandbox-access-token"),))

    def api(self) -> StoreApi:
        return StoreApi(self.transport, self.account)

    async def live(self, entry: Entry, rules: str = RULES, **keys: Any) -> AttemptResult:
        """One look at the order."""
        life = Lifecycle(
            entry,
            self.configured(rules, **keys),
            self.api(),
            OrderLoader(self.transport, self.account),
            self.transitions,
            Cache(self.redis, DEMO_STORE_HASH, not_before=self.clock() if entry.start_over else 0.0, clock=self.clock),
            self.transport.upstream_clock,
            clock=self.clock,
        )
        return await life.run()

    async def ended(self, entry: Entry, rules: str = RULES, **keys: Any) -> Finished:
        """One look, and one at the record if it wrote any, that must end the order."""
        verdict = await self.live(entry, rules, **keys)
        if isinstance(verdict, Written):
            verified = judge(entry, await self.api().b2b.order(entry.order_id))
            assert isinstance(verified, Finished), verified
            return verified
        assert isinstance(verdict, Finished), verdict
        return verdict

    async def record(self, order_id: int) -> tuple[str | None, dict[str, str]]:
        """What B2B Edition's record says: PO number and extra fields."""
        record = (await self.sandbox.order(order_id))["record"]
        return record["po_number"], record["extra_fields"]

    async def writes(self, order_id: int) -> tuple[int, int]:
        """How many creates and updates were accepted for the order."""
        made = Counter(write["operation"] for write in (await self.sandbox.order(order_id))["writes"])
        return made["Create an Order"], made["Update an Order"]


OpenHouse = Callable[..., Awaitable[House]]


@pytest.fixture
async def redis(redis_url: str) -> AsyncIterator[ArqRedis]:
    async with connect(redis_url) as client:
        yield client


@pytest.fixture
async def open_house(redis: ArqRedis, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[OpenHouse]:
    """Builds a house whose sandbox has the given options. Whoever sleeps moves the clock and goes on at once."""
    clock = StillClock()
    sleep = asyncio.sleep

    async def skip_ahead(seconds: float, *_: object) -> None:
        clock.tick(seconds)
        await sleep(0)

    monkeypatch.setattr(asyncio, "sleep", skip_ahead)
    async with AsyncExitStack() as stack:

        async def build(**options: Any) -> House:
            sandbox = await stack.enter_async_context(called_sandbox(clock, **options))
            http = await stack.enter_async_context(sandbox.api._transport)
            transport = Transport(http, core_url=sandbox.url, b2b_url=sandbox.url, clock=clock)
            return House(sandbox, clock, redis, Ledger(redis), Transitions(redis, clock=clock), transport, tmp_path)

        yield build


@pytest.fixture
async def house(open_house: OpenHouse) -> House:
    """A house with a flawless sandbox."""
    return await open_house()
