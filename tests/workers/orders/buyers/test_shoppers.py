"""The orders of customers who are no buyers of a Company, as far as is known."""

import pytest

from service.orders.state.order_entry import Stage, Status
from service.sandbox.demo import DEMO_STORE_HASH
from tests.workers.orders.buyers.conftest import DEFAULT, NEITHER, REQUIRED, SKIPPED, outcome
from tests.workers.stacks.people_stack import SUE, OpenPeople
from tests.workers.stacks.stack import ADA, ZOE


async def test_customer_in_neither_book_is_skipped_without_a_create(open_people: OpenPeople) -> None:
    people = await open_people(REQUIRED)
    orders = [await people.place(ZOE) for _ in range(3)]

    assert [outcome(await people.finish(order_id)) for order_id in orders] == [SKIPPED] * 3
    assert await people.calls("Create an Order") == 0
    assert await people.calls("Get User Details by BigCommerce Customer ID") == 1


async def test_nobody_is_asked_beforehand_where_rules_name_neither(open_people: OpenPeople) -> None:
    people = await open_people(NEITHER)

    assert outcome(await people.finish(await people.place(ZOE))) == SKIPPED
    assert await people.calls("Create an Order") == 1
    assert (await people.finish(await people.place(ADA))).status is Status.CREATED
    assert await people.calls("Get User Details by BigCommerce Customer ID") == 1, "after the refusal only"


@pytest.mark.parametrize("follow", ["0s", "24h"])
async def test_skipped_orders_are_held_against_the_records_twice_all_in_one_call(
    open_people: OpenPeople, follow: str
) -> None:
    people = await open_people(REQUIRED, keys={"follow": follow})
    orders = []
    for _ in range(5):
        orders.append(await people.place(ZOE))
        await people.finish(orders[-1])
        people.clock.tick(2.0)

    times = []
    for _ in range(150):
        before = await people.calls("Get All Orders")
        await people.run_for(10.0)
        if await people.calls("Get All Orders") > before:
            times.append(people.clock() - ((await people.of(orders[0])).times[Stage.CREATED]))

    assert len(times) == 2
    assert 30 <= times[0] <= 90
    assert 560 <= times[1] <= 660
    assert [outcome(await people.of(order_id)) for order_id in orders] == [SKIPPED] * 5
    assert await people.resources.skipped.all(DEMO_STORE_HASH) == (
        [] if follow == "0s" else sorted(orders, reverse=True)
    )
    await people.run_for(90_000.0)
    assert await people.resources.skipped.all(DEMO_STORE_HASH) == []
    assert await people.queued() == []


@pytest.mark.parametrize("rules", [REQUIRED, DEFAULT, NEITHER])
@pytest.mark.parametrize("after_s", [None, 300.0])
async def test_record_with_a_company_brings_its_order_back(
    open_people: OpenPeople, rules: str, after_s: float | None
) -> None:
    """As of a Super Admin who is younger than the book; the record shows it from the start, or after five minutes."""
    people = await open_people(rules)
    order_id = await people.place(ZOE, company_id=5002 if after_s is None else None)
    assert outcome(await people.finish(order_id)) == SKIPPED
    if after_s is not None:
        await people.run_for(after_s)
        assert outcome(await people.of(order_id)) == SKIPPED
        await people.stack.sandbox.write_record(order_id, company_id=5002)

    await people.run_for(90.0 if after_s is None else 600.0)
    entry = await people.finish(order_id)

    assert (entry.status, entry.verified, entry.source) == (Status.UPDATED, True, "record")
    account = "web" if rules is NEITHER else "ERP-10002"
    assert await people.stack.record(order_id) == ("A-1", {"Account No": account})


async def test_all_pages_of_the_records_are_read(open_people: OpenPeople) -> None:
    people = await open_people(REQUIRED)
    order_id = await people.place(ZOE, company_id=5002)
    await people.finish(order_id)
    for _ in range(405):
        await people.stack.place(ADA)

    await people.run_for(90.0)

    assert (await people.finish(order_id)).status is Status.UPDATED
    # The order is one of the first records; the newest come last.
    assert await people.calls("Get All Orders") >= 3


async def test_lists_that_show_no_company_end_nothing(open_people: OpenPeople) -> None:
    people = await open_people(REQUIRED, list_company=False)
    order_id = await people.place(ZOE, company_id=5002)
    await people.finish(order_id)

    await people.run_for(700.0)

    assert outcome(await people.of(order_id)) == SKIPPED
    assert await people.resources.skipped.all(DEMO_STORE_HASH) == [order_id]


async def test_record_check_goes_on_after_an_outage(open_people: OpenPeople) -> None:
    people = await open_people(REQUIRED)
    order_id = await people.place(ZOE, company_id=5002)
    await people.finish(order_id)
    await people.stack.sandbox.faults(b2b_down=True)
    await people.run_for(900.0)
    await people.stack.sandbox.faults()

    await people.run_for(400.0)

    assert (await people.finish(order_id)).status is Status.UPDATED


async def test_order_that_was_retried_by_hand_is_not_taken_up_twice(open_people: OpenPeople) -> None:
    people = await open_people(REQUIRED)
    order_id = await people.place(ZOE, company_id=5001)
    await people.finish(order_id)
    await people.stack.sandbox.put_user(ZOE, 5001)
    people.clock.tick(20.0)
    await people.resources.queue.retry(DEMO_STORE_HASH, order_id)
    entry = await people.finish(order_id)
    assert (entry.status, entry.source) == (Status.UPDATED, "retry")

    await people.run_for(1200.0)

    assert (await people.of(order_id)).source == "retry"


@pytest.mark.parametrize("rules", [REQUIRED, DEFAULT, NEITHER])
@pytest.mark.parametrize("nonsense", ["no_route", "page_404"])
async def test_answers_of_a_gateway_skip_nobody(open_people: OpenPeople, rules: str, nonsense: str) -> None:
    people = await open_people(rules)
    await people.stack.sandbox.faults(nonsense_rate=1.0, nonsense_as=[nonsense], apis=["b2b"])
    orders = [await people.place(customer_id) for customer_id in (ADA, SUE, ZOE)]
    await people.run_for(120.0)
    assert {(await people.of(order_id)).status for order_id in orders} == {Status.QUEUED}

    await people.stack.sandbox.faults()

    ada, sue, zoe = [await people.finish(order_id) for order_id in orders]
    assert (ada.status, sue.status, outcome(zoe)) == (Status.UPDATED, Status.UPDATED, SKIPPED)
