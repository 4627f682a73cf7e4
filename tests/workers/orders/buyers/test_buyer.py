"""Who is a Company's buyer: users, Super Admins, and shoppers of whom more is learnt later."""

from typing import Any

import pytest
from arq import Retry
from redis.asyncio import Redis

from service.bigcommerce.models import Record
from service.orders.state.order_entry import Entry, Sent, Stage, Status
from service.orders.state.per_store.super_admins import MAX_AGE_S, SuperAdminBook, SuperAdmins
from service.sandbox.demo import DEMO_STORE, DEMO_STORE_HASH
from tests.workers.stacks.people_stack import SUE, OpenPeople, PeopleStack
from tests.workers.stacks.stack import ADA, RULES, ZOE, OpenStack
from workers.orders.result_types import Finished
from workers.orders.verification import READ_LAG_BACKOFF_S, ReadAgain, compare, is_company_unproven
from workers.periodic.super_admins import SuperAdminReader

PO = "[po_number]\nfrom = \"order.billing_address.form_fields[?name=='PO Number'].value | [0]\"\n"
FIELD = '[extra_fields]\n"Account No" = {rule}\n'
NEITHER = PO + FIELD.format(rule='{ value = "web" }')
"""Rules that name neither the user nor the Company."""

ACCOUNT = """{ from = 'company.extraFields."ERP Account"'KEYS }"""
REQUIRED = PO + FIELD.format(rule=ACCOUNT.replace("KEYS", ", required = true"))
DEFAULT = PO + FIELD.format(rule=ACCOUNT.replace("KEYS", ', default = "NONE"'))
ONLY_COMPANY = FIELD.format(rule=ACCOUNT.replace("KEYS", ""))
USER = PO + FIELD.format(rule="""{ from = 'user.extraFields."Employee No"', default = "NONE" }""")
USER_REQUIRED = PO + FIELD.format(rule="""{ from = 'user.extraFields."Employee No"', required = true }""")

SKIPPED = (Status.SKIPPED, "not_a_company_user")


def outcome(entry: Entry) -> tuple[Status, str | None]:
    return entry.status, entry.reason


@pytest.fixture
def open_people(open_stack: OpenStack) -> OpenPeople:
    """Opens a store with these rules, which follows orders for a day. Its book of Super Admins has just been read; Sue
    is in it."""

    async def build(rules: str = RULES, *, keys: dict[str, Any] | None = None, **options: Any) -> PeopleStack:
        stack = await open_stack(**options)
        await stack.knows_super_admins(SUE)
        return PeopleStack(stack, rules, **{"follow": "24h", **(keys or {})})

    return build


async def set_book(redis: Redis, known: SuperAdmins) -> None:
    await SuperAdminBook(redis).write(DEMO_STORE_HASH, known)


async def book_is(people: PeopleStack, state: str) -> None:
    now = people.clock()
    match state:
        case "missing":
            await people.redis.delete(f"enrich:super-admins:{DEMO_STORE_HASH}")
        case "incomplete":
            await set_book(people.redis, SuperAdmins(read_at=None, customers={1: 4711}))
        case "old":
            await set_book(people.redis, SuperAdmins(read_at=now - MAX_AGE_S - 1, customers={1: 4711}))
        case "garbage":
            await people.redis.set(f"enrich:super-admins:{DEMO_STORE_HASH}", "[]")


# ── Super Admins ──────────────────────────────────────────────────────────────────────────────────────────────────────


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


# ── shoppers ──────────────────────────────────────────────────────────────────────────────────────────────────────────


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
    for _ in range(1500):
        before = await people.calls("Get All Orders")
        await people.run_for(1.0)
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


# ── approved meanwhile ────────────────────────────────────────────────────────────────────────────────────────────────


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


# ── the Company that the order is for ─────────────────────────────────────────────────────────────────────────────────


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


SUBSIDIARY = {"id": 5009, "name": "Harbor Foods East"}
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


# ── answers that are not the API's ────────────────────────────────────────────────────────────────────────────────────


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
