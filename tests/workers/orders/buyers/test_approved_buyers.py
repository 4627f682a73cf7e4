"""Buyers who become Company users after their orders."""

import pytest

from service.orders.state.order_entry import Status
from service.sandbox.demo import DEMO_STORE_HASH
from tests.workers.orders.buyers.conftest import NEITHER, REQUIRED, SKIPPED, outcome
from tests.workers.stacks.people_stack import OpenPeople
from tests.workers.stacks.stack import ZOE


@pytest.mark.parametrize("webhook", [True, False])
@pytest.mark.parametrize("rules", [REQUIRED, NEITHER])
async def test_buyer_approved_between_two_orders(open_people: OpenPeople, rules: str, webhook: bool) -> None:
    people = await open_people(rules)
    first = await people.place(ZOE)
    assert outcome(await people.finish(first)) == SKIPPED
    await people.run_for(60.0)
    await people.add_user(ZOE, 5001, webhook=webhook)
    await people.run_for(10.0 if webhook else 300.0)
    # Staff or `enrich orders assign` give the first order to the Company.
    await people.stack.sandbox.write_record(first, company_id=5001)

    second = await people.place(ZOE)
    entry = await people.finish(second)

    assert (entry.status, entry.verified) == (Status.CREATED, True)
    await people.run_for(600.0)
    again = await people.of(first)
    assert (again.status, again.verified) == (Status.UPDATED, True)
    assert again.source in ("company_user", "record")


async def test_webhook_has_the_first_order_tried_again_within_seconds(open_people: OpenPeople) -> None:
    people = await open_people(REQUIRED)
    first = await people.place(ZOE)
    await people.finish(first)
    await people.run_for(120.0)
    await people.stack.sandbox.write_record(first, company_id=5001)
    await people.add_user(ZOE, 5001, webhook=True)

    entry = await people.finish_again(first, within_s=15.0)

    assert (entry.status, entry.source) == (Status.UPDATED, "company_user")


@pytest.mark.parametrize(
    ("follow", "hours", "is_tried"),
    [("0s", 0.1, False), ("1h", 0.5, True), ("1h", 2, False), ("24h", 20, True), ("24h", 26, False), ("72h", 48, True)],
)
async def test_skipped_orders_are_taken_up_for_as_long_as_the_store_follows_orders(
    open_people: OpenPeople, follow: str, hours: float, is_tried: bool
) -> None:
    people = await open_people(REQUIRED, keys={"follow": follow})
    first = await people.place(ZOE)
    await people.finish(first)
    await people.run_for(hours * 3600.0)
    await people.knows_super_admins()  # as its hourly job would
    await people.stack.sandbox.write_record(first, company_id=5001)
    await people.stack.sandbox.put_user(ZOE, 5001)

    await people.finish(await people.place(ZOE))  # no webhook: the next order shows it

    entry = await people.finish_again(first, within_s=15.0)
    assert outcome(entry) == ((Status.UPDATED, None) if is_tried else SKIPPED)


async def test_order_without_a_companys_record_is_skipped_again_and_the_buyer_stays_a_user(
    open_people: OpenPeople,
) -> None:
    people = await open_people(REQUIRED)
    first = await people.place(ZOE)
    await people.finish(first)
    await people.run_for(120.0)
    await people.add_user(ZOE, 5001, webhook=True)

    entry = await people.finish_again(first, within_s=15.0)
    assert (*outcome(entry), entry.source) == (*SKIPPED, "company_user")
    assert await people.stack.writes(first) == (0, 0)

    assert (await people.finish(await people.place(ZOE))).status is Status.CREATED
    attempts = (await people.of(first)).attempts
    await people.run_for(7200.0)
    assert (await people.of(first)).attempts == attempts, "tried once"


async def test_change_of_people_asks_once_for_each_customer(open_people: OpenPeople) -> None:
    people = await open_people(REQUIRED)
    orders = [await people.place(customer_id) for customer_id in (ZOE, ZOE, 300, 301)]
    for order_id in orders:
        await people.finish(order_id)
    asked = await people.calls("Get User Details by BigCommerce Customer ID")
    for _ in range(20):
        await people.resources.queue.accept_people_change(DEMO_STORE_HASH)

    await people.run_for(20.0)

    assert await people.calls("Get User Details by BigCommerce Customer ID") - asked == 3
    assert [outcome(await people.of(order_id)) for order_id in orders] == [SKIPPED] * 4


async def test_interrupted_job_goes_on_with_those_it_has_not_asked_about(open_people: OpenPeople) -> None:
    people = await open_people(REQUIRED, b2b_quota=12)
    orders = [await people.place(300 + number) for number in range(10)]
    for order_id in orders:
        await people.finish(order_id)
    asked = await people.calls("Get User Details by BigCommerce Customer ID")
    await people.resources.queue.accept_people_change(DEMO_STORE_HASH)

    await people.run_for(400.0)

    calls = (await people.stack.sandbox.calls())["b2b"]["Get User Details by BigCommerce Customer ID"]
    assert calls["404"] - asked == 10
    assert [job for job in await people.queued() if job.startswith("retry_skipped")] == []


async def test_what_is_remembered_is_void_once_people_change(open_people: OpenPeople) -> None:
    people = await open_people(REQUIRED)
    await people.finish(await people.place(ZOE))
    people.clock.tick(30.0)
    await people.add_user(ZOE, 5001, webhook=True)

    # Before any job because of that has run.
    assert (await people.finish(await people.place(ZOE))).status is Status.CREATED
