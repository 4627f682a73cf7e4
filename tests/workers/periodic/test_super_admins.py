"""The book of a store's Super Admins: read to its end, the customer ids asked for once."""

from typing import Any

import pytest
from arq import Retry

from service.orders.state.per_store.super_admins import SuperAdmins
from service.sandbox.demo import DEMO_STORE, DEMO_STORE_HASH
from tests.workers.stacks.stack import OpenStack, Stack
from workers.periodic.super_admins import REFUSED_RETRY_S, SuperAdminReader

LIST, INFO = "Get All Super Admins with Assigned Companies", "Get Super Admin Details"


class Reader:
    """The periodic task of one store, run by run."""

    def __init__(self, stack: Stack) -> None:
        self.stack = stack
        self.resources = stack.resources()
        self._task = SuperAdminReader(self.resources, clock=stack.clock)

    async def run(self) -> float:
        """Run once; returns in how many seconds the next run is due."""
        with pytest.raises(Retry) as retry:
            await self._task.run({}, DEMO_STORE_HASH)
        return (retry.value.defer_score or 0) / 1000

    async def book(self) -> SuperAdmins:
        return await self.resources.super_admins.read(DEMO_STORE_HASH)

    async def calls(self) -> tuple[int, int]:
        """How often the list and the details of one were read."""
        calls = (await self.stack.sandbox.calls())["b2b"]
        listed, info = (sum(calls.get(operation, {}).values()) for operation in (LIST, INFO))
        return listed, info

    async def has(self, *customers: int) -> None:
        """These customers are the store's Super Admins now."""
        store = DEMO_STORE.model_dump(mode="json", by_alias=True)
        admins = [{"customer_id": customer, "company_ids": [5001]} for customer in customers]
        await self.stack.sandbox.put_store(**{**store, "super_admins": admins})


@pytest.fixture
async def reader(stack: Stack) -> Reader:
    """A store whose book was never read."""
    await stack.redis.delete(f"enrich:super-admins:{DEMO_STORE_HASH}")
    return Reader(stack)


def customers(book: SuperAdmins) -> list[int]:
    return sorted(book.customers.values())


async def test_all_pages_are_read_and_each_customer_is_asked_for_once(reader: Reader) -> None:
    await reader.has(*range(1000, 1205))

    while (delay := await reader.run()) != 3600.0:
        reader.stack.clock.tick(delay)
    assert customers(await reader.book()) == list(range(1000, 1205))
    listed, info = await reader.calls()
    # At the quota of a minute it takes several; each run reads the list of two pages anew, and no customer twice.
    assert listed % 2 == 0
    calls = (await reader.stack.sandbox.calls())["b2b"][INFO]
    assert calls["200"] == 205

    reader.stack.clock.tick(3600.0)
    await reader.has(*range(1001, 1206))
    assert await reader.run() == 3600.0
    again = await reader.calls()
    assert (again[0] - listed, again[1] - info) == (2, 1)
    assert customers(await reader.book()) == list(range(1001, 1206))
    assert (await reader.book()).read_at == pytest.approx(reader.stack.clock(), abs=1.0)


async def test_orders_of_those_who_are_new_in_the_book_are_tried_again(reader: Reader) -> None:
    await reader.run()
    reader.stack.clock.tick(20.0)
    assert [change.partition(":")[0] for change in await reader.resources.skipped.changes(DEMO_STORE_HASH)] == ["150"]
    await reader.resources.skipped.handled(DEMO_STORE_HASH, await reader.resources.skipped.changes(DEMO_STORE_HASH))

    await reader.has(150, 151)
    await reader.run()
    reader.stack.clock.tick(20.0)
    assert [change.partition(":")[0] for change in await reader.resources.skipped.changes(DEMO_STORE_HASH)] == ["151"]


async def test_store_without_super_admins_has_a_current_book(reader: Reader) -> None:
    await reader.has()
    assert await reader.run() == 3600.0

    book = await reader.book()
    assert book.customers == {}
    assert book.is_current(reader.stack.clock())
    assert not book.is_current(reader.stack.clock() + 7201)


@pytest.mark.parametrize(
    "faults",
    [
        {"nonsense_rate": 1.0, "nonsense_as": ["no_route"], "apis": ["b2b"]},
        {"nonsense_rate": 1.0, "nonsense_as": ["error_in_200"], "operations": [INFO]},
        {"b2b_down": True},
        {"error_rate": 1.0, "operations": [INFO]},
    ],
)
async def test_trouble_leaves_the_book_as_old_as_it_was(reader: Reader, faults: dict[str, Any]) -> None:
    await reader.run()
    read_at = (await reader.book()).read_at
    reader.stack.clock.tick(3600.0)
    await reader.has(150, 151)
    await reader.stack.sandbox.faults(**faults)

    assert await reader.run() < 60.0
    assert (await reader.book()).read_at == read_at
    assert 150 in await reader.book()

    await reader.stack.sandbox.faults()
    assert await reader.run() == 3600.0
    assert customers(await reader.book()) == [150, 151]


async def test_first_customers_count_even_if_the_rest_could_not_be_asked_for(open_stack: OpenStack) -> None:
    reader = Reader(await open_stack(b2b_quota=3))
    await reader.resources.super_admins.write(DEMO_STORE_HASH, SuperAdmins())
    await reader.has(150, 151, 152, 153)
    reader.stack.clock.tick(1.0)

    assert await reader.run() != 3600.0

    book = await reader.book()
    assert 0 < len(book.customers) < 4
    assert book.read_at is None


async def test_refused_token_is_tried_again_within_minutes(reader: Reader) -> None:
    await reader.stack.sandbox.put_store(missing_scopes=["b2b_read", "b2b_modify"])

    assert await reader.run() == REFUSED_RETRY_S
    assert (await reader.book()).read_at is None
