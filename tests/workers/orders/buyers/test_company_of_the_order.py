"""The Company that an order is for, where it is not the user's own."""

import pytest

from service.bigcommerce.models import Record
from service.orders.state.order_entry import Entry, Sent, Status
from service.sandbox.demo import DEMO_STORE
from tests.workers.orders.buyers.conftest import ACCOUNT, FIELD, PO, REQUIRED, SUBSIDIARY, outcome
from tests.workers.stacks.people_stack import OpenPeople, PeopleStack
from tests.workers.stacks.stack import ADA
from workers.orders.result_types import Finished
from workers.orders.verification import READ_LAG_BACKOFF_S, ReadAgain, compare, is_company_unproven


@pytest.mark.parametrize("create_shows_company", [True, False])
@pytest.mark.parametrize("list_company", [True, False])
@pytest.mark.parametrize("orders", [1, 3])
async def test_values_of_an_order_for_a_subsidiary_come_from_the_subsidiary(
    open_people: OpenPeople, create_shows_company: bool, list_company: bool, orders: int
) -> None:
    people = await open_people(REQUIRED, create_shows_company=create_shows_company, list_company=list_company)
    ids = [await people.place(ADA, company_id=5003) for _ in range(orders)]

    for order_id in ids:
        entry = await people.finish(order_id)
        assert (entry.status, entry.in_window) == (Status.CREATED, True), "our Create made the record"
        assert (entry.verified, entry.company_id) == (True, 5003)
        assert await people.stack.record(order_id) == ("A-1", {"Account No": "ERP-10003"})
        assert await people.stack.writes(order_id) == (1, 1)


async def test_create_whose_answer_shows_another_company_is_put_right_at_once(open_people: OpenPeople) -> None:
    people = await open_people(REQUIRED)
    order_id = await people.place(ADA, company_id=5003)

    await people.run_next()

    assert await people.stack.record(order_id) == ("A-1", {"Account No": "ERP-10003"})


def test_order_is_verified_only_once_its_record_has_shown_the_company() -> None:
    entry = Entry("abc123", 1, sent=Sent("create", "A-1", {}, answered=True), company_id=12)
    record = {"bcOrderId": 1, "poNumber": "A-1", "extraFields": []}
    silent, shown = Record.model_validate(record), Record.model_validate(record | {"companyId": "12"})

    assert compare(entry, silent) == Finished(Status.CREATED, verified=True), "no rule names the Company"
    results = [compare(entry, silent, names_company=True) for _ in range(5)]
    assert results == [*map(ReadAgain, READ_LAG_BACKOFF_S), Finished(Status.CREATED, verified=False)]
    assert compare(entry, shown, names_company=True) == Finished(Status.CREATED, verified=True)


@pytest.mark.parametrize(
    ("company_id", "verified", "shown", "unproven"),
    [
        (12, True, 12, False),
        (12, True, 13, True),
        (12, False, 12, True),
        (None, False, 12, True),
        (None, True, 12, False),
    ],
)
def test_which_finished_orders_are_looked_at_for_their_company(
    company_id: int | None, verified: bool, shown: int, unproven: bool
) -> None:
    entry = Entry("abc123", 1, status=Status.CREATED, verified=verified, company_id=company_id)
    assert is_company_unproven(entry, shown) is unproven


def test_an_order_that_is_unverified_for_another_reason_is_not_tried_again_and_again() -> None:
    entry = Entry("sandbox", 1001, status=Status.CREATED, verified=False, company_id=5001, record_company_id=5001)
    assert not is_company_unproven(entry, 5001)


async def test_company_that_changes_after_the_verification_is_noticed_by_the_next_one(open_people: OpenPeople) -> None:
    people = await open_people(REQUIRED)
    order_id = await people.place(ADA)
    assert (await people.finish(order_id)).status is Status.CREATED
    await people.stack.sandbox.write_record(order_id, company_id=5003)

    await people.run_for(120.0)

    entry = await people.of(order_id)
    assert (entry.status, entry.verified, entry.company_id) == (Status.CREATED, True, 5003)
    assert await people.stack.record(order_id) == ("A-1", {"Account No": "ERP-10003"})


async def test_order_of_the_users_own_company_costs_no_further_call(open_people: OpenPeople) -> None:
    people = await open_people(REQUIRED)
    order_id = await people.place(ADA)

    entry = await people.finish(order_id)

    assert (entry.status, entry.verified, entry.company_id) == (Status.CREATED, True, 5001)
    assert await people.stack.writes(order_id) == (1, 0)
    # Order and metafields are not B2B Edition's: user, Company, configs, Create, Get.
    assert entry.upstream_calls <= 7


async def test_late_order_for_a_subsidiary_is_updated_once(open_people: OpenPeople) -> None:
    people = await open_people(REQUIRED)
    order_id = await people.stack.place(ADA, company_id=5003, age=60.0)
    await people.report(order_id)

    entry = await people.finish(order_id)

    assert (entry.status, entry.verified) == (Status.UPDATED, True)
    assert await people.stack.record(order_id) == ("A-1", {"Account No": "ERP-10003"})
    assert await people.stack.writes(order_id) == (0, 1)


"""A Company without an ERP account."""


@pytest.mark.parametrize(
    ("rule", "expected", "account"),
    [
        (', default = "NONE"', (Status.CREATED, None), "NONE"),
        ("", (Status.CREATED, None), ""),
        (", required = true", (Status.FAILED, "Account No"), "ERP-10001"),
    ],
    ids=["default", "cleared", "required"],
)
async def test_value_of_another_company_is_replaced(
    open_people: OpenPeople, rule: str, expected: tuple[Status, str | None], account: str
) -> None:
    people = await open_people(PO + FIELD.format(rule=ACCOUNT.replace("KEYS", rule)))
    await use_companies(people, required_field=False)
    order_id = await people.place(ADA, company_id=5009)

    entry = await people.finish(order_id)
    await people.run_for(120.0)

    assert outcome(entry) == expected
    assert outcome(await people.of(order_id)) == expected
    po_number, fields = await people.stack.record(order_id)
    assert (po_number, fields.get("Account No", "")) == ("A-1", account)
    updates = 0 if expected[0] is Status.FAILED else 1
    assert await people.stack.writes(order_id) == (1, updates), "what was taken off is not lost"


async def test_what_somebody_else_wrote_is_not_cleared(open_people: OpenPeople) -> None:
    people = await open_people(PO + FIELD.format(rule=ACCOUNT.replace("KEYS", "")), keys={"existing_values": "replace"})
    await use_companies(people, required_field=False)
    order_id = await people.stack.place(
        ADA, company_id=5009, record_after=0, buyer_extra_fields={"Account No": "BY-HAND"}
    )
    await people.report(order_id)

    entry = await people.finish(order_id)

    assert entry.status is Status.UPDATED
    assert await people.stack.record(order_id) == ("A-1", {"Account No": "BY-HAND"})


async def test_po_number_of_another_company_is_cleared(open_people: OpenPeople) -> None:
    rules = """[po_number]\nfrom = 'company.extraFields."ERP Account"'\n"""
    people = await open_people(rules + FIELD.format(rule='{ value = "web" }'))
    await use_companies(people, required_field=False)
    order_id = await people.place(ADA, company_id=5009)

    entry = await people.finish(order_id)

    assert (entry.status, entry.po_number, entry.cleared) == (Status.CREATED, None, ["po_number"])
    assert await people.stack.record(order_id) == ("", {"Account No": "web"})


async def use_companies(people: PeopleStack, *, required_field: bool) -> None:
    """The store has a Company without an ERP account."""
    store = DEMO_STORE.model_dump(mode="json", by_alias=True)
    fields = [
        field | {"isRequired": required_field} if field["fieldName"] == "Account No" else field
        for field in store["extra_fields"]
    ]
    await people.stack.sandbox.put_store(
        **{**store, "companies": [*store["companies"], SUBSIDIARY], "extra_fields": fields}
    )
