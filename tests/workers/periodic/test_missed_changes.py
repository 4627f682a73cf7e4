"""Later changes whose webhook was lost are found in the lists of what was modified."""

import pytest
from arq import ArqRedis

from service.orders.state.keys import entry_key
from service.orders.state.order_entry import Entry, Stage, Status
from service.orders.state.worklists.changed_orders import Change
from service.sandbox.demo import DEMO_STORE_HASH as STORE
from tests.workers.stacks.stack import Stack
from workers.periodic.missed_changes import EVERY_S, MissedChanges

RULES = """
[po_number]
from = ["metafields.checkout.po", "order.external_id"]
"""
ORDERS, METAFIELDS = "Get All Orders", "Get All Order Metafields"


class Finder:
    def __init__(self, stack: Stack, redis: ArqRedis, rules: str = RULES, follow: str = "24h") -> None:
        self.stack, self.redis = stack, redis
        self.resources = stack.resources(rules, follow=follow)
        self.configured = self.resources.configuration.stores[STORE]
        self.finder = MissedChanges(self.resources, clock=stack.clock)

    async def enriched(self) -> int:
        """An order that was enriched just now."""
        order_id = await self.stack.place()
        now = self.stack.clock()
        entry = Entry(STORE, order_id, status=Status.CREATED, times={Stage.CREATED: now, Stage.READ: now + 3.0})
        await self.redis.hset(entry_key(STORE, order_id), mapping=entry.to_hash())  # type: ignore[misc]
        return order_id

    async def find(self, after_s: float = 0.0, last_order_at: float | None = None) -> dict[int, list[Change]]:
        self.stack.clock.tick(after_s)
        await self.stack.api().core.orders(limit=1)  # makes BigCommerce's clock known
        await self.finder.find(self.stack.api(), self.configured, last_order_at=last_order_at)
        marked = await self.resources.changed.take(STORE, most=100)
        for order in marked:
            await self.resources.changed.finish(STORE, order)
        return {order.order_id: sorted(order.changes) for order in marked}

    async def calls(self, operation: str) -> int:
        core = (await self.stack.sandbox.calls())["core"]
        return sum(core.get(operation, {}).values())


@pytest.fixture
async def finder(stack: Stack, redis: ArqRedis) -> Finder:
    finder = Finder(stack, redis)
    await finder.find()
    return finder


async def test_changed_orders_and_metafields_are_found_within_five_minutes(finder: Finder) -> None:
    changed, written, untouched = [await finder.enriched() for _ in range(3)]
    finder.stack.clock.tick(60.0)
    await finder.stack.sandbox.edit_order(changed, external_id="E-2")
    await finder.stack.sandbox.write_metafields(written, {"checkout": {"po": "A-2"}})

    found = await finder.find(after_s=EVERY_S)

    assert found == {changed: [Change.MISSED_ORDER], written: [Change.MISSED_METAFIELD]}
    assert untouched not in found


async def test_what_a_webhook_told_is_not_read_again(finder: Finder) -> None:
    order_id = await finder.enriched()
    finder.stack.clock.tick(60.0)
    await finder.stack.sandbox.edit_order(order_id, external_id="E-2")
    finder.stack.clock.tick(3.0)
    await finder.resources.changed.mark(STORE, order_id, Change.ORDER, follow_s=86_400.0)
    (marked,) = await finder.resources.changed.take(STORE, most=1)
    await finder.resources.changed.finish(STORE, marked)

    assert await finder.find(after_s=EVERY_S) == {}


async def test_the_lists_are_read_every_four_minutes(finder: Finder) -> None:
    before = await finder.calls(ORDERS), await finder.calls(METAFIELDS)
    for _ in range(8):
        await finder.find(after_s=60.0)

    orders, metafields = await finder.calls(ORDERS), await finder.calls(METAFIELDS)
    assert (orders - before[0] - 8, metafields - before[1]) == (2, 2)


@pytest.mark.parametrize(
    ("rules", "follow"),
    [(RULES, "0s"), ("[po_number]\nfrom = 'company.extraFields.po'\n", "24h"), ("[po_number]\nvalue = 'x'\n", "24h")],
)
async def test_a_store_whose_rules_follow_nothing_costs_no_call(
    stack: Stack, redis: ArqRedis, rules: str, follow: str
) -> None:
    finder = Finder(stack, redis, rules, follow)
    for _ in range(3):
        await finder.find(after_s=EVERY_S)

    assert (await finder.calls(ORDERS), await finder.calls(METAFIELDS)) == (3, 0), "only those of this test"


async def test_a_list_that_cannot_be_read_is_read_the_next_time(finder: Finder) -> None:
    order_id = await finder.enriched()
    finder.stack.clock.tick(60.0)
    await finder.stack.sandbox.edit_order(order_id, external_id="E-2")
    await finder.stack.sandbox.faults(error_rate=1.0, operations=[METAFIELDS])
    assert await finder.find(after_s=EVERY_S) == {order_id: [Change.MISSED_ORDER]}
    await finder.stack.sandbox.write_metafields(order_id, {"checkout": {"po": "A-2"}})

    await finder.stack.sandbox.faults()
    assert await finder.find(after_s=60.0) == {order_id: [Change.MISSED_METAFIELD]}


async def test_nothing_is_listed_where_the_last_order_is_not_followed_any_more(finder: Finder) -> None:
    order_id = await finder.enriched()
    lists = await finder.calls(METAFIELDS)
    now = finder.stack.clock.now
    assert await finder.find(after_s=EVERY_S, last_order_at=now - 86_400.0) == {}
    assert await finder.calls(METAFIELDS) == lists

    await finder.stack.sandbox.write_metafields(order_id, {"checkout": {"po": "A-2"}})
    found = await finder.find(after_s=EVERY_S, last_order_at=now)
    assert found == {order_id: [Change.MISSED_METAFIELD]}, "the lists go on where they were"
