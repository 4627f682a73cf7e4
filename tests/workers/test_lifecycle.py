"""The life of an order, row by row: each call, each answer, and what comes of it."""

import pytest

from service.orders.state.entry import Sent, Stage, Status
from tests.workers.conftest import ADA, RULES, ZOE, House, OpenHouse
from workers.results import AwaitingCredentials, AwaitingStatus, Finished, RetryLater

PO_ONLY = RULES.partition("[extra_fields]")[0]
ALL = {"Account No": "ERP-10001"}

CREATED = Finished(Status.CREATED, verified=True)
UPDATED = Finished(Status.UPDATED, verified=True)
UNCHANGED = Finished(Status.UNCHANGED, verified=True)


def skipped(reason: str) -> Finished:
    return Finished(Status.SKIPPED, reason)


# ── read ────────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_an_order_in_its_window_is_created_and_verified(house: House) -> None:
    order_id = await house.place(metafields={"checkout": {"cost_center": "CC-1"}})
    entry = house.entry(order_id)

    assert await house.ended(entry) == CREATED

    assert await house.record(order_id) == ("A-1", {**ALL, "Cost Center": "CC-1"})
    assert await house.writes(order_id) == (1, 0)
    assert {Stage.CREATED, Stage.READ, Stage.SENT, Stage.ANSWERED} <= entry.times.keys()
    assert entry.upstream_calls == 6  # order, metafields, user, Company, configs, create


async def test_what_changes_seldom_is_read_once(house: House) -> None:
    await house.ended(house.entry(await house.place()))
    entry = house.entry(await house.place())

    assert await house.ended(entry) == CREATED
    assert entry.upstream_calls == 3  # order, metafields, create


async def test_only_what_the_rules_name_is_read(house: House) -> None:
    entry = house.entry(await house.place())

    # BigCommerce then refuses for a required field; what matters here is which reads went out.
    await house.live(entry, PO_ONLY)

    calls = await house.sandbox.calls()
    assert set(calls["core"]) == {"Get an Order"}


async def test_an_order_that_cannot_be_read_yet_is_tried_until_the_window_closes(house: House) -> None:
    entry = house.entry(4711)

    assert await house.ended(entry) == Finished(Status.FAILED, "order_not_found")
    assert (await house.sandbox.calls())["core"]["Get an Order"]["404"] > 1


async def test_a_guest_is_skipped_after_one_read(house: House) -> None:
    entry = house.entry(await house.place(0))

    assert await house.ended(entry, PO_ONLY) == skipped("guest")
    assert entry.upstream_calls == 1


async def test_a_deleted_order_is_skipped(house: House) -> None:
    assert await house.ended(house.entry(await house.place(is_deleted=True))) == skipped("deleted")


async def test_another_channel_is_skipped(house: House) -> None:
    order_id = await house.place(channel_id=7)

    assert await house.ended(house.entry(order_id), channels=[1]) == skipped("channel")
    assert await house.ended(house.entry(order_id), channels=[1, 7]) == CREATED


async def test_an_incomplete_order_is_enriched_skipped_or_parked_as_the_store_says(house: House) -> None:
    orders = [await house.place(status_id=0) for _ in range(3)]

    assert await house.ended(house.entry(orders[0])) == CREATED
    assert await house.ended(house.entry(orders[1]), incomplete_orders="skip") == skipped("incomplete")
    assert await house.live(house.entry(orders[2]), incomplete_orders="wait") == AwaitingStatus()


# ── compose ─────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_an_order_without_values_is_skipped(house: House) -> None:
    order_id = await house.place(po_number=None)

    assert await house.ended(house.entry(order_id), PO_ONLY) == skipped("no_values")
    assert await house.writes(order_id) == (0, 0)


@pytest.mark.parametrize(
    ("rules", "reason"),
    [
        ('[po_number]\nfrom = "order.staff_notes"\nrequired = true\n', "po_number"),
        (RULES.replace('metafields.checkout.cost_center" }', 'order.staff_notes", required = true }'), "Cost Center"),
    ],
)
async def test_a_required_rule_that_gives_nothing_fails_the_order_and_sends_nothing(
    house: House, rules: str, reason: str
) -> None:
    order_id = await house.place()

    assert await house.ended(house.entry(order_id), rules) == Finished(Status.FAILED, reason)
    assert await house.writes(order_id) == (0, 0)


async def test_a_value_that_does_not_fit_is_left_out_and_the_po_is_not_lost(house: House) -> None:
    order_id = await house.place(metafields={"checkout": {"cost_center": "x" * 41}})
    entry = house.entry(order_id)

    assert await house.ended(entry) == CREATED
    assert await house.record(order_id) == ("A-1", ALL)
    assert set(entry.dropped) == {"Cost Center"}


async def test_a_shopper_of_no_company_is_skipped_and_remembered(house: House) -> None:
    assert await house.ended(house.entry(await house.place(ZOE))) == skipped("not_a_company_user")

    entry = house.entry(await house.place(ZOE))
    assert await house.ended(entry) == skipped("not_a_company_user")
    assert entry.upstream_calls == 2  # the order and its metafields, and nothing for the shopper


# ── create ──────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_a_shopper_of_no_company_whom_only_create_tells_of_is_skipped(house: House) -> None:
    order_id = await house.place(ZOE)

    assert await house.ended(house.entry(order_id), PO_ONLY) == skipped("not_a_company_user")
    assert await house.writes(order_id) == (0, 0)


async def test_a_required_field_that_no_rule_fills_fails_with_its_name(house: House) -> None:
    order_id = await house.place()

    assert await house.ended(house.entry(order_id), PO_ONLY) == Finished(Status.FAILED, "Account No")


async def test_a_field_that_the_store_has_just_removed_is_left_out(house: House) -> None:
    await house.ended(house.entry(await house.place()))  # the configs are cached now
    await remove_field(house, "Cost Center")
    order_id = await house.place(metafields={"checkout": {"cost_center": "CC-1"}})
    entry = house.entry(order_id)

    assert await house.ended(entry) == CREATED
    assert await house.record(order_id) == ("A-1", ALL)
    assert set(entry.dropped) == {"Cost Center"}


async def test_a_lost_answer_is_read_back_and_nothing_is_created_twice(house: House) -> None:
    order_id = await house.place()
    await house.sandbox.faults(lost_answer_rate=1.0, lost_answer_as="504", operations=["Create an Order"])

    assert await house.ended(house.entry(order_id)) == CREATED
    assert await house.writes(order_id) == (1, 0)


async def test_a_create_that_fails_until_the_window_closes_is_looked_at_later(house: House) -> None:
    order_id = await house.place()
    entry = house.entry(order_id)
    await house.sandbox.faults(error_rate=1.0, operations=["Create an Order"])

    assert isinstance(await house.live(entry), RetryLater)
    assert entry.upstream_calls > 10
    assert await house.writes(order_id) == (0, 0)

    await house.sandbox.faults()
    house.clock.tick(10)
    assert await house.ended(entry) == UPDATED
    assert await house.record(order_id) == ("A-1", ALL)


async def test_a_run_that_was_cut_off_after_create_finds_its_record(house: House) -> None:
    order_id = await house.place()
    entry = house.entry(order_id)
    await house.ended(entry)
    assert entry.sent is not None

    # As the ledger had it when the worker died: sent, no answer noted.
    entry.sent = Sent("create", entry.sent.po_number, entry.sent.extra_fields)
    entry.upstream_calls = 0
    assert await house.ended(entry) == CREATED
    assert entry.upstream_calls == 1
    assert await house.writes(order_id) == (1, 0)


async def test_a_run_that_was_cut_off_before_create_creates(house: House) -> None:
    order_id = await house.place()
    entry = house.entry(order_id)
    entry.times[Stage.CREATED] = float(int(house.clock.now))
    entry.customer_id, entry.po_number, entry.fields = ADA, "A-1", ALL
    entry.sent = Sent("create", "A-1", ALL)

    assert await house.ended(entry) == CREATED
    assert await house.writes(order_id) == (1, 0)


async def test_refused_credentials_wait_and_are_no_verdict(house: House) -> None:
    order_id = await house.place()
    await house.sandbox.faults(refuse_credentials=["sandbox"])
    entry = house.entry(order_id)
    assert isinstance(await house.live(entry), AwaitingCredentials)

    await house.sandbox.faults()
    assert await house.ended(entry) == CREATED


async def test_a_quota_that_resets_after_the_window_is_waited_for_in_recovery(open_house: OpenHouse) -> None:
    house = await open_house(core_quota=1, core_quota_window=30.0)
    order_id = await house.place()
    await house.live(house.entry(order_id), PO_ONLY)

    verdict = await house.live(house.entry(await house.place()), PO_ONLY)

    assert isinstance(verdict, RetryLater)
    assert verdict.seconds == pytest.approx(30.0, abs=0.5)


async def test_a_quota_that_resets_at_once_is_waited_for(open_house: OpenHouse) -> None:
    house = await open_house(core_quota=1, core_quota_window=0.2)
    for _ in range(3):
        assert await house.ended(house.entry(await house.place(0)), PO_ONLY) == skipped("guest")
    assert (await house.sandbox.calls())["over_quota"]["core"] > 0


async def test_an_order_that_only_lacked_quota_goes_straight_to_create(open_house: OpenHouse) -> None:
    # The user, the Company and the configs take three calls; the fourth would be Create.
    house = await open_house(b2b_quota=3, b2b_quota_window=5.0)
    entry = house.entry(await house.place())
    verdict = await house.live(entry)
    assert isinstance(verdict, RetryLater)
    assert verdict.seconds is not None
    assert entry.sent is None, "nothing of it reached BigCommerce"
    reads = (await house.sandbox.calls())["core"]

    house.clock.tick(verdict.seconds)
    assert await house.ended(entry) == CREATED
    assert (await house.sandbox.calls())["core"] == reads


# ── settle, update ──────────────────────────────────────────────────────────────────────────────────────────────


async def test_a_record_that_already_holds_the_values_is_unchanged(house: House) -> None:
    order_id = await house.place(record_after=0, buyer_po="A-1", buyer_extra_fields=ALL)

    assert await house.ended(house.entry(order_id)) == UNCHANGED
    assert await house.writes(order_id) == (0, 0)


async def test_a_po_that_the_buyer_typed_is_kept_and_the_rest_is_filled(house: House) -> None:
    order_id = await house.place(record_after=0, buyer_po="BUYER-9")
    entry = house.entry(order_id)

    assert await house.ended(entry) == UPDATED
    assert await house.record(order_id) == ("BUYER-9", ALL)
    assert entry.kept == ["po_number"]


async def test_replace_overwrites_what_the_buyer_typed(house: House) -> None:
    order_id = await house.place(record_after=0, buyer_po="BUYER-9")

    assert await house.ended(house.entry(order_id), existing_values="replace") == UPDATED
    assert await house.record(order_id) == ("A-1", ALL)


async def test_an_update_takes_nothing_off_the_record(house: House) -> None:
    order_id = await house.place(record_after=0, buyer_extra_fields={"Ship Window": "W05"})

    assert await house.ended(house.entry(order_id)) == UPDATED
    assert await house.record(order_id) == ("A-1", {"Ship Window": "W05", **ALL})


async def test_after_the_window_the_record_is_updated(house: House) -> None:
    order_id = await house.place(age=3600)

    assert await house.ended(house.entry(order_id)) == UPDATED
    assert await house.record(order_id) == ("A-1", ALL)
    assert await house.writes(order_id) == (0, 1)


async def test_a_record_that_is_not_there_yet_is_waited_for(house: House) -> None:
    order_id = await house.place(age=12, record_after=20)
    entry = house.entry(order_id)
    assert isinstance(await house.live(entry), RetryLater)

    house.clock.tick(10)
    assert await house.ended(entry) == UPDATED


async def test_a_late_order_of_no_company_user_is_skipped(house: House) -> None:
    order_id = await house.place(ZOE, age=3600)

    assert await house.ended(house.entry(order_id), PO_ONLY) == skipped("not_a_company_user")
    assert await house.writes(order_id) == (0, 0)


async def test_an_invoice_payment_is_skipped(house: House) -> None:
    order_id = await house.place(record_after=0, is_invoice_order=True)

    assert await house.ended(house.entry(order_id)) == skipped("invoice_payment")


async def test_an_update_whose_answer_is_lost_is_read_back(house: House) -> None:
    order_id = await house.place(age=3600)
    entry = house.entry(order_id)
    await house.sandbox.faults(lost_answer_rate=1.0, lost_answer_as="504", operations=["Update an Order"])
    assert isinstance(await house.live(entry), RetryLater)

    await house.sandbox.faults()
    assert await house.ended(entry) == UPDATED
    assert await house.writes(order_id) == (0, 1)


async def test_b2b_edition_down_ends_in_an_update(house: House) -> None:
    order_id = await house.place(age=9.9)
    house.clock.tick(0.2)
    entry = house.entry(order_id)
    await house.sandbox.faults(b2b_down=True)
    for _ in range(3):
        assert isinstance(await house.live(entry), RetryLater)
        house.clock.tick(600)

    await house.sandbox.faults()
    assert await house.ended(entry) == UPDATED


# ── start over ──────────────────────────────────────────────────────────────────────────────────────────────────


async def test_a_retry_with_mended_rules_may_change_what_we_wrote_ourselves(house: House) -> None:
    order_id = await house.place(staff_notes="B-2")
    entry = house.entry(order_id)
    await house.ended(entry)
    house.clock.tick(3600)

    entry.start_over = True
    mended = RULES.replace("order.billing_address.form_fields[?name=='PO Number'].value | [0]", "order.staff_notes")
    assert await house.ended(entry, mended) == UPDATED
    assert await house.record(order_id) == ("B-2", ALL)


async def remove_field(house: House, name: str) -> None:
    from service.sandbox.demo import DEMO_STORE

    spec = DEMO_STORE.model_dump(mode="json", by_alias=True)
    spec["extra_fields"] = [field for field in spec["extra_fields"] if field["fieldName"] != name]
    await house.sandbox.put_store(**spec)
