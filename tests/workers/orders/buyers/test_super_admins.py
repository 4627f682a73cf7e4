"""The orders of Super Admins, who are not in the list of Company users."""

import pytest
from arq import Retry

from service.orders.state.order_entry import Status
from service.sandbox.demo import DEMO_STORE_HASH
from tests.workers.orders.buyers.conftest import (
    DEFAULT,
    NEITHER,
    ONLY_COMPANY,
    REQUIRED,
    SKIPPED,
    USER,
    USER_REQUIRED,
    book_is,
    outcome,
)
from tests.workers.stacks.people_stack import SUE, OpenPeople
from tests.workers.stacks.stack import ZOE
from workers.periodic.super_admins import SuperAdminReader


@pytest.mark.parametrize(
    ("rules", "create", "company", "status", "account"),
    [
        (NEITHER, "accepted", None, Status.CREATED, "web"),
        (NEITHER, "refused", None, Status.UPDATED, "web"),
        (USER, "accepted", None, Status.CREATED, "NONE"),
        (DEFAULT, "accepted", None, Status.CREATED, "ERP-10001"),
        (DEFAULT, "accepted", 5002, Status.CREATED, "ERP-10002"),
        (DEFAULT, "refused", 5002, Status.UPDATED, "ERP-10002"),
        (REQUIRED, "accepted", None, Status.UPDATED, "ERP-10001"),
        (REQUIRED, "refused", 5002, Status.UPDATED, "ERP-10002"),
        (ONLY_COMPANY, "accepted", 5002, Status.UPDATED, "ERP-10002"),
    ],
)
async def test_order_of_a_super_admin_is_the_companys(
    open_people: OpenPeople, rules: str, create: str, company: int | None, status: Status, account: str
) -> None:
    people = await open_people(rules, create_for_super_admins=create)
    order_id = await people.place(SUE, company_id=company)

    entry = await people.finish(order_id)

    assert (entry.status, entry.verified) == (status, True)
    assert (await people.stack.record(order_id))[1] == {"Account No": account}
    await people.run_for(1200.0)
    assert (await people.stack.record(order_id))[1] == {"Account No": account}
    assert await people.calls("Create an Order") <= 1


async def test_required_user_rule_fails_the_order_of_a_super_admin(open_people: OpenPeople) -> None:
    people = await open_people(USER_REQUIRED)

    assert outcome(await people.finish(await people.place(SUE))) == (Status.FAILED, "Account No")


@pytest.mark.parametrize("state", ["missing", "incomplete", "old", "garbage"])
@pytest.mark.parametrize("rules", [DEFAULT, USER, NEITHER])
async def test_nobody_is_skipped_without_a_create_while_the_book_is_not_known(
    open_people: OpenPeople, state: str, rules: str
) -> None:
    people = await open_people(rules)
    await book_is(people, state)
    admins, shoppers = await people.place(SUE), await people.place(ZOE)

    assert (await people.finish(admins)).status in (Status.CREATED, Status.UPDATED)
    assert outcome(await people.finish(shoppers)) == SKIPPED
    assert (await people.stack.sandbox.order(shoppers))["creates"] == 1


async def test_super_admin_who_was_not_known_yet_is_taken_up_once_the_book_is_read(open_people: OpenPeople) -> None:
    people = await open_people(DEFAULT, create_for_super_admins="refused", list_company=False)
    await book_is(people, "missing")
    order_id = await people.place(SUE)
    assert outcome(await people.finish(order_id)) == SKIPPED
    await people.run_for(30.0)

    with pytest.raises(Retry):
        await SuperAdminReader(people.resources, clock=people.clock).run({}, DEMO_STORE_HASH)
    await people.run_for(15.0)

    entry = await people.finish(order_id)
    assert (entry.status, entry.verified, entry.source) == (Status.UPDATED, True, "company_user")
    assert await people.stack.record(order_id) == ("A-1", {"Account No": "ERP-10001"})


@pytest.mark.parametrize("rules", [REQUIRED, USER_REQUIRED, ONLY_COMPANY])
async def test_shoppers_order_never_fails_for_want_of_a_company(open_people: OpenPeople, rules: str) -> None:
    people = await open_people(rules)
    await book_is(people, "missing")

    assert outcome(await people.finish(await people.place(ZOE))) == SKIPPED


async def test_remembered_shopper_is_not_skipped_once_the_book_is_old(open_people: OpenPeople) -> None:
    people = await open_people(DEFAULT)
    await people.finish(await people.place(ZOE))
    await book_is(people, "old")

    await people.finish(await people.place(ZOE))

    assert await people.calls("Create an Order") == 1
