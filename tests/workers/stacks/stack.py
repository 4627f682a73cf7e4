"""A store in the sandbox, a real Redis, and a clock that the test moves, for attempts at single orders."""

from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from arq import ArqRedis
from pydantic import SecretStr

from service.bigcommerce import Account, StoreApi, Transport
from service.configuration import Configuration, ConfiguredStore, load_configuration
from service.orders.document.cache import Cache
from service.orders.facts.store_facts import Facts
from service.orders.state.ledger import Ledger
from service.orders.state.order_entry import Entry, Stage
from service.orders.state.per_store.store_history import StoreHistory
from service.orders.state.per_store.storefront.storefront_breaker import StorefrontBreaker
from service.orders.state.per_store.storefront.storefront_tokens import StorefrontTokens
from service.orders.state.per_store.super_admins import SuperAdminBook, SuperAdmins
from service.orders.state.transitions import Transitions
from service.orders.state.worklists.changed_orders import ChangedOrders
from service.orders.state.worklists.late_orders import LateOrders
from service.orders.state.worklists.skipped_orders import SkippedOrders
from service.sandbox.demo import DEMO_STORE_HASH
from service.stores import Endpoints
from tests.fakes.sandbox import RunningSandbox, StillClock
from tests.fakes.stacks.job_stack import resources_on
from workers.orders.buyers.buyer import Buyer
from workers.orders.lifecycle import Lifecycle
from workers.orders.result_types import AttemptResult, Finished, Written
from workers.orders.steps.order_reading import OrderReader
from workers.orders.verification import compare
from workers.resources import Resources

RULES = r"""
[po_number]
from = "order.billing_address.form_fields[?name=='PO Number'].value | [0]"

[extra_fields]
"Cost Center" = { from = "metafields.checkout.cost_center" }
"Account No"  = { from = 'company.extraFields."ERP Account"', required = true }
"""

ADA = 101
"""A user of a Company whose ERP account is ERP-10001."""
ZOE = 199
"""A customer who is no Company user."""


def po_form_field(po_number: str) -> dict[str, Any]:
    return {"billing_address": {"form_fields": [{"name": "PO Number", "value": po_number}]}}


@dataclass(slots=True)
class Stack:
    """A store in the sandbox, and everything that attempts at its orders need."""

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
        # Late values have tests of their own: here, nothing waits for them.
        lines += [f"{key} = {value!r}" for key, value in ({"late_values": "0s", "follow": "0s"} | keys).items()]
        tables = rules.replace("[po_number]", f"[stores.{DEMO_STORE_HASH}.po_number]")
        tables = tables.replace("[extra_fields]", f"[stores.{DEMO_STORE_HASH}.extra_fields]")
        path.write_text("\n".join([*lines, tables]))
        return load_configuration(path).stores[DEMO_STORE_HASH]

    def entry(self, order_id: int) -> Entry:
        """The entry of an order whose webhook has just arrived."""
        return Entry(DEMO_STORE_HASH, order_id, times={Stage.WEBHOOK_SENT: self.clock.now})

    def resources(self, rules: str = RULES, **keys: Any) -> Resources:
        """What the workers' jobs need."""
        configured = self.configured(rules, **keys)
        endpoints = Endpoints(api_url="http://127.0.0.1", b2b_api_url="http://127.0.0.1")
        configuration = Configuration(endpoints, {DEMO_STORE_HASH: configured}, ())
        return resources_on(configuration, self.redis, self.transport, self.clock)

    @property
    def account(self) -> Account:
        return Account(DEMO_STORE_HASH, (SecretStr("sandbox-access-token"),))

    def api(self) -> StoreApi:
        return StoreApi(self.transport, self.account)

    async def attempt(self, entry: Entry, rules: str = RULES, **keys: Any) -> AttemptResult:
        """Make one attempt at the order."""
        configured, api = self.configured(rules, **keys), self.api()
        not_before = self.clock() if entry.start_over else 0.0
        cache = Cache(self.redis, DEMO_STORE_HASH, not_before=not_before, clock=self.clock)
        book, skipped = SuperAdminBook(self.redis), SkippedOrders(self.redis, clock=self.clock)
        lifecycle = Lifecycle(
            entry,
            configured,
            api,
            OrderReader(self.transport, ChangedOrders(self.redis, clock=self.clock), clock=self.clock),
            self.transitions,
            cache,
            self.transport.upstream_clock,
            LateOrders(self.redis, clock=self.clock),
            StoreHistory(self.redis),
            Buyer(
                entry,
                configured.rules.needs,
                api,
                cache,
                book,
                skipped,
                follow_s=configured.store.follow_s,
                clock=self.clock,
            ),
            facts=Facts(self.redis, clock=self.clock),
            tokens=StorefrontTokens(self.redis, DEMO_STORE_HASH, configured.store.access_tokens),
            storefront=StorefrontBreaker(self.redis, DEMO_STORE_HASH),
            clock=self.clock,
        )
        return await lifecycle.run()

    async def finish(self, entry: Entry, rules: str = RULES, **keys: Any) -> Finished:
        """Make one attempt, and verify what it wrote. That must finish the order."""
        result = await self.attempt(entry, rules, **keys)
        if isinstance(result, Written):
            verified = compare(entry, await self.api().b2b.order(entry.order_id))
            assert isinstance(verified, Finished), verified
            return verified
        assert isinstance(result, Finished), result
        return result

    async def knows_super_admins(self, *customers: int) -> None:
        """The book of Super Admins has been read just now; these customers are in it."""
        known = SuperAdmins(read_at=self.clock(), customers=dict(enumerate(customers, 1)))
        await SuperAdminBook(self.redis).write(DEMO_STORE_HASH, known)

    async def record(self, order_id: int) -> tuple[str | None, dict[str, str]]:
        """The PO number and the extra fields on B2B Edition's record."""
        record = (await self.sandbox.order(order_id))["record"]
        return record["po_number"], record["extra_fields"]

    async def writes(self, order_id: int) -> tuple[int, int]:
        """How many creates and updates were accepted for the order."""
        accepted = Counter(write["operation"] for write in (await self.sandbox.order(order_id))["writes"])
        return accepted["Create an Order"], accepted["Update an Order"]


OpenStack = Callable[..., Awaitable[Stack]]


def job_context(job_id: str, *, job_try: int = 1) -> dict[str, Any]:
    """What arq passes to a job function."""

    async def ensure_lease(_: str) -> None:
        return

    return {"job_id": job_id, "job_try": job_try, "ensure_lease": ensure_lease, "enqueue_time": datetime.now(UTC)}
