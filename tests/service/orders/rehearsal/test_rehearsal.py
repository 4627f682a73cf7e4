"""A rehearsal against sandboxes of different kinds, in simulated time: each switch is found."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import httpx
import pytest
from pydantic import SecretStr

from service.bigcommerce import Account, Priority, StoreApi, Transport
from service.errors import CredentialsRefused, Unsure
from service.orders.facts.fact import Fact, Value
from service.orders.rehearsal.marked_orders import MarkedOrders
from service.orders.rehearsal.measurement import Verdict, facts_of
from service.orders.rehearsal.rehearsal import Rehearsal
from service.orders.rehearsal.run import Run
from service.sandbox.app import create_app
from service.sandbox.demo import DEMO_STORE
from service.sandbox.options import Options
from tests.fakes.sandbox import RunningSandbox, StillClock, sandbox_at

ADA = 101
TICK_S = 0.01
LABELLED = {
    "extra_fields": [
        {"fieldName": "cost_center", "labelName": "Cost Center"},
        {"fieldName": "dept", "labelName": "Department"},
        {"fieldName": "acc", "labelName": "Account No", "isRequired": True},
        {"fieldName": "source", "labelName": "Source", "fieldType": 3, "listOfValues": ["web", "phone"]},
    ]
}


@dataclass
class World:
    """A sandbox on a clock that runs while anybody waits."""

    clock: StillClock
    sandbox: RunningSandbox
    api: StoreApi
    orders: MarkedOrders
    rehearsal: Rehearsal
    steps: list[str] = field(default_factory=list)

    async def sleep(self, seconds: float) -> None:
        """Sleep in simulated time, in which a call to the sandbox takes some hundredths of a second."""
        until = self.clock.now + seconds
        while self.clock.now < until:  # noqa: ASYNC110 - the clock runs with the event loop
            await asyncio.sleep(0)

    async def reach(self, step: str) -> None:
        """Wait until the rehearsal reports this step."""
        while not any(reported.startswith(step) for reported in self.steps):  # noqa: ASYNC110
            await asyncio.sleep(0)

    async def statuses(self) -> list[int]:
        """The statuses of all orders in the store."""
        listed = (await self.api.core.orders()) or []
        return [order["status_id"] for order in listed]

    def found(self) -> dict[str, tuple[str, Verdict]]:
        return {each.subject: (each.found, each.verdict) for each in self.rehearsal.measurements}

    def facts(self) -> dict[Fact, Value]:
        return facts_of(self.rehearsal.measurements)


@asynccontextmanager
async def world(store: dict[str, Any] | None = None, **options: Any) -> AsyncIterator[World]:
    clock = StillClock()
    app = create_app(Options.model_validate(options), clock)
    transport = httpx.ASGITransport(app)

    async def run_clock() -> None:
        while True:
            await asyncio.sleep(0)
            clock.tick(TICK_S)

    async with AsyncExitStack() as exits:
        await exits.enter_async_context(app.router.lifespan_context(app))
        sandbox = await exits.enter_async_context(sandbox_at("http://sandbox.test", transport))
        if store is not None:
            await sandbox.put_store(**DEMO_STORE.model_dump(mode="json") | store)
        ticking = asyncio.create_task(run_clock())
        exits.callback(ticking.cancel)
        calls = Transport(transport, core_url="http://sandbox.test", b2b_url="http://sandbox.test", clock=clock)
        api = StoreApi(calls, Account("sandbox", (SecretStr("sandbox-access-token"),)), priority=Priority.CREATE)
        api.timeout_s = 60.0
        made = World.__new__(World)
        orders = MarkedOrders(api, ADA, sleep=lambda seconds: made.sleep(seconds))
        run = Run(api, orders, sleep=lambda seconds: made.sleep(seconds), report=lambda step: made.steps.append(step))
        rehearsal = Rehearsal(run, watch=None, no_watch="no worker is running")
        made.__init__(clock, sandbox, api, orders, rehearsal)  # type: ignore[misc]
        yield made


RECORD = "record of an order made by API"
EARLY, LATE = "Create an Order, 1 s after the order", "Create an Order, 15 s after the order"
LAST, UPDATE = "what was written, at the end", "Update an Order with some of the extra fields"
NAMES, LIST = "names of extra fields", "extra fields in Get All Orders"
OPTIONS = "options of dropdowns in the extra-field configs"

PROFILES: dict[str, tuple[dict[str, Any], dict[str, str], dict[Fact, Value]]] = {
    "as documented": (
        {"api_orders_get_records": True},
        {LATE: "refused: a record was there", UPDATE: "deletes the others", NAMES: "by fieldName", LIST: "shown"},
        {
            Fact.API_ORDER_RECORD: "by_itself",
            Fact.UPDATE_EXTRA_FIELDS: "replace",
            Fact.FIELD_NAME: "fieldName",
            Fact.LIST_EXTRA_FIELDS: "shown",
            Fact.DROPDOWN_OPTIONS: "listOfValues",
        },
    ),
    "no records by itself, late creates taken, updates merge": (
        {"late_create": "accepted", "update_extra_fields": "merge"},
        {RECORD: "none within 30 s", UPDATE: "keeps the others"},
        {Fact.API_ORDER_RECORD: "none", Fact.UPDATE_EXTRA_FIELDS: "merge"},
    ),
    "no records by itself, late creates refused": (
        {},
        {RECORD: "none within 30 s", LATE: "refused, and there is no record"},
        {Fact.API_ORDER_RECORD: "none"},
    ),
    "labels, lists without fields, options elsewhere": (
        {"extra_field_shown_by": "label", "list_extra_fields": "missing", "dropdown_options_in": "valueConfig"},
        {NAMES: "by label", LIST: "missing", OPTIONS: "valueConfig"},
        {Fact.FIELD_NAME: "label", Fact.LIST_EXTRA_FIELDS: "missing", Fact.DROPDOWN_OPTIONS: "valueConfig"},
    ),
    "labels are wanted": (
        {"extra_field_shown_by": "label", "extra_field_taken_by": "label", "late_create": "accepted"},
        {NAMES: "by label only: fieldNames are refused", UPDATE: "deletes the others", LAST: "still there"},
        {Fact.FIELD_NAME: "label"},
    ),
    "rows with empty fields, no options, no quota headers, odd answers": (
        {
            "list_extra_fields": "empty",
            "dropdown_options_in": "nowhere",
            "quota_headers": False,
            "record_data_as": "object",
            "bc_order_id_as": "text",
            "limits_as": "text",
        },
        {LIST: "missing", OPTIONS: "nowhere", "quota headers of B2B Edition": "none"},
        {Fact.LIST_EXTRA_FIELDS: "missing", Fact.DROPDOWN_OPTIONS: "nowhere"},
    ),
    "a record is there at once": (
        {"api_orders_get_records": True, "platform_writes_after": [0.3]},
        {LATE: "refused: a record was there", UPDATE: "no record was created"},
        {Fact.API_ORDER_RECORD: "by_itself"},
    ),
}


@pytest.mark.parametrize(("options", "found", "facts"), PROFILES.values(), ids=PROFILES.keys())
async def test_each_switch_of_a_store_is_found(
    options: dict[str, Any], found: dict[str, str], facts: dict[Fact, Value]
) -> None:
    async with world(LABELLED, **options) as made:
        await made.rehearsal.measure()
        left = await made.orders.cancel_all()

        assert {subject: made.found()[subject][0] for subject in found} == found
        assert facts.items() <= made.facts().items()
        assert (left, await made.statuses()) == ([], [5, 5, 5])


async def test_when_a_record_came_and_up_to_when_create_was_taken_are_facts() -> None:
    async with world(LABELLED, api_orders_get_records=True) as made:
        await made.rehearsal.measure()
        assert made.facts()[Fact.RECORD_THERE_FROM] == pytest.approx(10.5, abs=1.5)
        assert made.facts()[Fact.CREATE_TAKEN_UNTIL] == pytest.approx(1.2, abs=0.9)
    async with world(LABELLED, late_create="accepted") as made:
        await made.rehearsal.measure()
        assert made.facts()[Fact.CREATE_TAKEN_UNTIL] == pytest.approx(15.2, abs=0.9)
        assert made.found()[LATE][1] is Verdict.DIFFERS
        assert Fact.RECORD_THERE_FROM not in made.facts()


async def test_a_record_that_is_there_before_create_is_a_fact() -> None:
    async with world(LABELLED, api_orders_get_records=True, platform_writes_after=[0.3]) as made:
        await made.rehearsal.measure()
        assert Fact.CREATE_TAKEN_UNTIL not in made.facts()
        assert float(made.facts()[Fact.RECORD_THERE_FROM]) < 3.0
        assert made.found()[EARLY][1] is Verdict.DIFFERS


async def test_webhooks_that_cannot_be_observed_are_not_measured() -> None:
    async with world(LABELLED) as made:
        await made.rehearsal.measure()
        for subject in ("webhook of a new order", "webhook of a changed order", "webhook of a new metafield"):
            assert made.found()[subject] == ("no worker is running", Verdict.NOT_MEASURED)


async def test_something_that_writes_later_is_noticed() -> None:
    async with world(LABELLED) as made:
        running = asyncio.create_task(made.rehearsal.measure())
        await made.reach(f"{UPDATE}:")
        await made.sandbox.write_record(made.orders.placed[1], po_number="THEIRS")
        await running
        assert made.found()[LAST] == ("something else wrote: lost the PO number", Verdict.DIFFERS)


@pytest.mark.parametrize(
    ("fields", "subject"),
    [([], UPDATE), ([], NAMES), ([], LIST), ([{"fieldName": "A", "isRequired": True}], UPDATE), ([], OPTIONS)],
)
async def test_what_a_store_lacks_is_not_measured(fields: list[dict[str, Any]], subject: str) -> None:
    async with world({"extra_fields": fields}) as made:
        await made.rehearsal.measure()
        assert made.found()[subject][1] is Verdict.NOT_MEASURED
        assert made.found()[EARLY][1] is Verdict.AS_DOCUMENTED


async def test_fields_of_every_kind_get_values_that_fit() -> None:
    kinds = [
        {"fieldName": "short", "maximumLength": 2},
        {"fieldName": "unique", "isUnique": True, "isRequired": True},
        {"fieldName": "number", "fieldType": 2, "maximumValue": 2, "isRequired": True},
        {"fieldName": "choice", "fieldType": 3, "listOfValues": ["a", "b"], "isRequired": True},
        {"fieldName": "lines", "fieldType": 1, "numberOfRows": 1},
    ]
    async with world({"extra_fields": kinds}, late_create="accepted") as made:
        await made.rehearsal.measure()
        assert [made.found()[subject][0] for subject in (UPDATE, LAST)] == ["deletes the others", "still there"]
        assert made.found()[LATE][0].startswith("taken")


async def test_a_token_that_may_not_place_orders_places_none() -> None:
    async with world({"missing_scopes": ["orders_modify"]}) as made:
        with pytest.raises(CredentialsRefused) as refused:
            await made.rehearsal.measure()
        assert refused.value.status == 403
        assert await made.orders.cancel_all() == []
        assert (made.orders.placed, await made.statuses()) == ([], [])


async def test_refused_credentials_end_it_and_its_orders_are_cancelled() -> None:
    async with world({"missing_scopes": ["b2b_modify"]}) as made:
        with pytest.raises(CredentialsRefused):
            await made.rehearsal.measure()
        assert await made.orders.cancel_all() == []
        assert await made.statuses() == [5, 5, 5]


@pytest.mark.parametrize("until", ["placing test orders", "creating a record after its window", "updating some"])
async def test_an_interrupted_run_cancels_its_orders(until: str) -> None:
    async with world(LABELLED) as made:
        running = asyncio.create_task(made.rehearsal.measure())
        await made.reach(until)
        for _ in range(5):
            await asyncio.sleep(0)
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)

        assert await made.orders.cancel_all() == []
        assert set(await made.statuses()) <= {5}


async def test_an_order_whose_answer_got_lost_is_found_and_cancelled() -> None:
    async with world(LABELLED) as made:
        await made.sandbox.faults(
            lost_answer_rate=1.0, lost_answer_as="504", apis=["core"], operations=["Create an Order"]
        )
        with pytest.raises(Unsure):
            await made.rehearsal.measure()
        await made.sandbox.faults()
        assert made.orders.placed == []

        assert await made.orders.cancel_all() == []
        assert await made.statuses() == [5]


async def test_orders_of_a_killed_run_are_cancelled_by_the_next_and_others_are_left_alone() -> None:
    async with world(LABELLED) as made:
        await made.sandbox.place_order(customer_id=ADA)
        await made.orders.place()
        again = MarkedOrders(made.api, ADA, sleep=made.sleep)

        assert await again.cancel_leftovers() == made.orders.placed
        assert sorted(await made.statuses()) == [5, 11]


async def test_an_order_that_cannot_be_cancelled_is_told() -> None:
    async with world(LABELLED) as made:
        placed = await made.orders.place()
        await made.sandbox.faults(error_rate=1.0, apis=["core"])
        assert await made.orders.cancel_all() == [placed.order_id]


async def test_reads_that_fail_now_and_then_do_not_end_it() -> None:
    async with world(LABELLED) as made:
        await made.sandbox.faults(error_rate=0.2, seed=3, apis=["b2b"], operations=["Get an Order", "Get All Orders"])
        await made.rehearsal.measure()
        assert made.found()[UPDATE][0] == "deletes the others"
