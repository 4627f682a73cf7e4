"""The life of an order: each call, each possible answer, and the result."""

import pytest

from service.orders.state.order_entry import Sent, Stage, Status
from tests.workers.stacks.stack import ADA, RULES, ZOE, OpenStack, Stack
from workers.orders.result_types import AwaitingCredentials, AwaitingRequired, AwaitingStatus, Finished, RetryLater

PO_ONLY = RULES.partition("[extra_fields]")[0]
ALL = {"Account No": "ERP-10001"}

CREATED = Finished(Status.CREATED, verified=True)
UPDATED = Finished(Status.UPDATED, verified=True)
UNCHANGED = Finished(Status.UNCHANGED, verified=True)


def skipped(reason: str) -> Finished:
    return Finished(Status.SKIPPED, reason)


# ── read ──────────────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_order_in_its_window_is_created_and_verified(stack: Stack) -> None:
    order_id = await stack.place(metafields={"checkout": {"cost_center": "CC-1"}})
    entry = stack.entry(order_id)

    assert await stack.finish(entry) == CREATED

    assert await stack.record(order_id) == ("A-1", {**ALL, "Cost Center": "CC-1"})
    assert await stack.writes(order_id) == (1, 0)
    assert {Stage.CREATED, Stage.READ, Stage.SENT, Stage.ANSWERED} <= entry.times.keys()
    assert entry.upstream_calls == 6  # order, metafields, user, Company, configs, create


async def test_cached_data_is_read_once(stack: Stack) -> None:
    await stack.finish(stack.entry(await stack.place()))
    entry = stack.entry(await stack.place())

    assert await stack.finish(entry) == CREATED
    assert entry.upstream_calls == 3  # order, metafields, create


async def test_only_data_that_rules_name_is_read(stack: Stack) -> None:
    entry = stack.entry(await stack.place())

    # BigCommerce refuses it for a required field; this test is about the reads.
    await stack.attempt(entry, PO_ONLY)

    calls = await stack.sandbox.calls()
    assert set(calls["core"]) == {"Get an Order"}


async def test_unreadable_order_is_retried_until_the_window_closes(stack: Stack) -> None:
    entry = stack.entry(4711)

    assert await stack.finish(entry) == Finished(Status.FAILED, "order_not_found")
    assert (await stack.sandbox.calls())["core"]["Get an Order"]["404"] > 1


async def test_guest_order_is_skipped_after_one_read(stack: Stack) -> None:
    entry = stack.entry(await stack.place(0))

    assert await stack.finish(entry, PO_ONLY) == skipped("guest")
    assert entry.upstream_calls == 1


async def test_deleted_order_is_skipped(stack: Stack) -> None:
    assert await stack.finish(stack.entry(await stack.place(is_deleted=True))) == skipped("deleted")


async def test_order_of_another_channel_is_skipped(stack: Stack) -> None:
    order_id = await stack.place(channel_id=7)

    assert await stack.finish(stack.entry(order_id), channels=[1]) == skipped("channel")
    assert await stack.finish(stack.entry(order_id), channels=[1, 7]) == CREATED


async def test_incomplete_order_is_enriched_skipped_or_kept_waiting_as_configured(stack: Stack) -> None:
    orders = [await stack.place(status_id=0) for _ in range(3)]

    assert await stack.finish(stack.entry(orders[0])) == CREATED
    assert await stack.finish(stack.entry(orders[1]), incomplete_orders="skip") == skipped("incomplete")
    assert await stack.attempt(stack.entry(orders[2]), incomplete_orders="wait") == AwaitingStatus()


# ── resolve values ────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_order_without_values_is_skipped(stack: Stack) -> None:
    order_id = await stack.place(po_number=None)

    assert await stack.finish(stack.entry(order_id), PO_ONLY) == skipped("no_values")
    assert await stack.writes(order_id) == (0, 0)


@pytest.mark.parametrize(
    ("rules", "rule"),
    [
        ('[po_number]\nfrom = "order.staff_notes"\nrequired = true\n', "po_number"),
        (RULES.replace('metafields.checkout.cost_center" }', 'order.staff_notes", required = true }'), "Cost Center"),
    ],
)
async def test_without_the_value_of_a_required_rule_nothing_is_sent_and_the_order_waits(
    stack: Stack, rules: str, rule: str
) -> None:
    order_id = await stack.place()

    awaiting = await stack.attempt(stack.entry(order_id), rules)

    assert isinstance(awaiting, AwaitingRequired)
    assert (awaiting.rule, awaiting.is_window_closed) == (rule, False)
    assert await stack.writes(order_id) == (0, 0)


async def test_invalid_value_is_dropped_and_the_po_is_sent(stack: Stack) -> None:
    order_id = await stack.place(metafields={"checkout": {"cost_center": "x" * 41}})
    entry = stack.entry(order_id)

    assert await stack.finish(entry) == CREATED
    assert await stack.record(order_id) == ("A-1", ALL)
    assert set(entry.dropped) == {"Cost Center"}


async def test_customer_without_company_is_skipped_and_cached(stack: Stack) -> None:
    assert await stack.finish(stack.entry(await stack.place(ZOE))) == skipped("not_a_company_user")

    entry = stack.entry(await stack.place(ZOE))
    assert await stack.finish(entry) == skipped("not_a_company_user")
    assert entry.upstream_calls == 2  # the order and its metafields, and nothing about the customer


# ── create ────────────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_customer_without_company_found_only_by_create_is_skipped(stack: Stack) -> None:
    order_id = await stack.place(ZOE)

    assert await stack.finish(stack.entry(order_id), PO_ONLY) == skipped("not_a_company_user")
    assert await stack.writes(order_id) == (0, 0)


async def test_required_field_without_rule_fails_with_its_name(stack: Stack) -> None:
    order_id = await stack.place()

    assert await stack.finish(stack.entry(order_id), PO_ONLY) == Finished(Status.FAILED, "Account No")


async def test_field_just_removed_from_the_store_is_dropped(stack: Stack) -> None:
    await stack.finish(stack.entry(await stack.place()))  # the configs are cached now
    await remove_field(stack, "Cost Center")
    order_id = await stack.place(metafields={"checkout": {"cost_center": "CC-1"}})
    entry = stack.entry(order_id)

    assert await stack.finish(entry) == CREATED
    assert await stack.record(order_id) == ("A-1", ALL)
    assert set(entry.dropped) == {"Cost Center"}


async def test_lost_answer_is_read_back_and_nothing_is_created_twice(stack: Stack) -> None:
    order_id = await stack.place()
    await stack.sandbox.faults(lost_answer_rate=1.0, lost_answer_as="504", operations=["Create an Order"])

    assert await stack.finish(stack.entry(order_id)) == CREATED
    assert await stack.writes(order_id) == (1, 0)


async def test_create_that_fails_until_the_window_closes_is_retried_later(stack: Stack) -> None:
    order_id = await stack.place()
    entry = stack.entry(order_id)
    await stack.sandbox.faults(error_rate=1.0, operations=["Create an Order"])

    assert isinstance(await stack.attempt(entry), RetryLater)
    assert entry.upstream_calls > 10
    assert await stack.writes(order_id) == (0, 0)

    await stack.sandbox.faults()
    stack.clock.tick(10)
    assert await stack.finish(entry) == UPDATED
    assert await stack.record(order_id) == ("A-1", ALL)


async def test_attempt_interrupted_after_create_finds_its_record(stack: Stack) -> None:
    order_id = await stack.place()
    entry = stack.entry(order_id)
    await stack.finish(entry)
    assert entry.sent is not None

    # As it was in the ledger when the worker died: sent, but no answer noted.
    entry.sent = Sent("create", entry.sent.po_number, entry.sent.extra_fields)
    entry.upstream_calls = 0
    assert await stack.finish(entry) == CREATED
    assert entry.upstream_calls == 1
    assert await stack.writes(order_id) == (1, 0)


async def test_attempt_interrupted_before_create_creates(stack: Stack) -> None:
    order_id = await stack.place()
    entry = stack.entry(order_id)
    entry.times[Stage.CREATED] = float(int(stack.clock.now))
    entry.customer_id, entry.po_number, entry.fields = ADA, "A-1", ALL
    entry.sent = Sent("create", "A-1", ALL)

    assert await stack.finish(entry) == CREATED
    assert await stack.writes(order_id) == (1, 0)


async def test_refused_credentials_do_not_finish_the_order(stack: Stack) -> None:
    order_id = await stack.place()
    await stack.sandbox.faults(refuse_credentials=["sandbox"])
    entry = stack.entry(order_id)
    assert isinstance(await stack.attempt(entry), AwaitingCredentials)

    await stack.sandbox.faults()
    assert await stack.finish(entry) == CREATED


async def test_quota_that_resets_after_the_window_is_awaited_in_recovery(open_stack: OpenStack) -> None:
    stack = await open_stack(core_quota=1, core_quota_window=30.0)
    order_id = await stack.place()
    await stack.attempt(stack.entry(order_id), PO_ONLY)

    result = await stack.attempt(stack.entry(await stack.place()), PO_ONLY)

    assert isinstance(result, RetryLater)
    assert result.seconds == pytest.approx(30.0, abs=0.5)


async def test_quota_that_resets_soon_is_awaited(open_stack: OpenStack) -> None:
    stack = await open_stack(core_quota=1, core_quota_window=0.2)
    for _ in range(3):
        assert await stack.finish(stack.entry(await stack.place(0)), PO_ONLY) == skipped("guest")
    assert (await stack.sandbox.calls())["over_quota"]["core"] > 0


async def test_order_that_lacked_only_quota_continues_with_create(open_stack: OpenStack) -> None:
    # The user, the Company and the configs take three calls; the fourth would be Create.
    stack = await open_stack(b2b_quota=3, b2b_quota_window=5.0)
    entry = stack.entry(await stack.place())
    result = await stack.attempt(entry)
    assert isinstance(result, RetryLater)
    assert result.seconds is not None
    assert entry.sent is None, "Create did not reach BigCommerce"
    reads = (await stack.sandbox.calls())["core"]

    stack.clock.tick(result.seconds)
    assert await stack.finish(entry) == CREATED
    assert (await stack.sandbox.calls())["core"] == reads


# ── compare, update ───────────────────────────────────────────────────────────────────────────────────────────────────


async def test_record_that_already_has_the_values_is_unchanged(stack: Stack) -> None:
    order_id = await stack.place(record_after=0, buyer_po="A-1", buyer_extra_fields=ALL)

    assert await stack.finish(stack.entry(order_id)) == UNCHANGED
    assert await stack.writes(order_id) == (0, 0)


async def test_po_of_the_buyer_is_kept_and_missing_fields_are_added(stack: Stack) -> None:
    order_id = await stack.place(record_after=0, buyer_po="BUYER-9")
    entry = stack.entry(order_id)

    assert await stack.finish(entry) == UPDATED
    assert await stack.record(order_id) == ("BUYER-9", ALL)
    assert entry.kept == ["po_number"]


async def test_replace_overwrites_the_po_of_the_buyer(stack: Stack) -> None:
    order_id = await stack.place(record_after=0, buyer_po="BUYER-9")

    assert await stack.finish(stack.entry(order_id), existing_values="replace") == UPDATED
    assert await stack.record(order_id) == ("A-1", ALL)


async def test_update_removes_nothing_from_the_record(stack: Stack) -> None:
    order_id = await stack.place(record_after=0, buyer_extra_fields={"Ship Window": "W05"})

    assert await stack.finish(stack.entry(order_id)) == UPDATED
    assert await stack.record(order_id) == ("A-1", {"Ship Window": "W05", **ALL})


async def test_after_the_window_the_record_is_updated(stack: Stack) -> None:
    order_id = await stack.place(age=3600)

    assert await stack.finish(stack.entry(order_id)) == UPDATED
    assert await stack.record(order_id) == ("A-1", ALL)
    assert await stack.writes(order_id) == (0, 1)


async def test_missing_record_is_retried_later(stack: Stack) -> None:
    order_id = await stack.place(age=12, record_after=20)
    entry = stack.entry(order_id)
    assert isinstance(await stack.attempt(entry), RetryLater)

    stack.clock.tick(10)
    assert await stack.finish(entry) == UPDATED


async def test_late_order_of_a_customer_without_company_is_skipped(stack: Stack) -> None:
    order_id = await stack.place(ZOE, age=3600)

    assert await stack.finish(stack.entry(order_id)) == skipped("not_a_company_user")
    assert await stack.writes(order_id) == (0, 0)


async def test_where_rules_name_nobody_the_refusal_of_a_late_create_is_the_verdict(stack: Stack) -> None:
    order_id = await stack.place(ZOE, age=3600)
    entry = stack.entry(order_id)
    assert isinstance(await stack.attempt(entry, PO_ONLY), RetryLater)

    assert await stack.finish(entry, PO_ONLY) == skipped("not_a_company_user")
    assert await stack.writes(order_id) == (0, 0)
    assert (await stack.sandbox.order(order_id))["creates"] == 1


async def test_invoice_payment_is_skipped(stack: Stack) -> None:
    order_id = await stack.place(record_after=0, is_invoice_order=True)

    assert await stack.finish(stack.entry(order_id)) == skipped("invoice_payment")


async def test_update_whose_answer_is_lost_is_read_back(stack: Stack) -> None:
    order_id = await stack.place(age=3600)
    entry = stack.entry(order_id)
    await stack.sandbox.faults(lost_answer_rate=1.0, lost_answer_as="504", operations=["Update an Order"])
    assert isinstance(await stack.attempt(entry), RetryLater)

    await stack.sandbox.faults()
    assert await stack.finish(entry) == UPDATED
    assert await stack.writes(order_id) == (0, 1)


async def test_order_is_updated_after_an_outage_of_b2b_edition(stack: Stack) -> None:
    order_id = await stack.place(age=9.9)
    stack.clock.tick(0.2)
    entry = stack.entry(order_id)
    await stack.sandbox.faults(b2b_down=True)
    for _ in range(3):
        assert isinstance(await stack.attempt(entry), RetryLater)
        stack.clock.tick(600)

    await stack.sandbox.faults()
    assert await stack.finish(entry) == UPDATED


# ── start over ────────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_retry_with_fixed_rules_may_change_our_own_values(stack: Stack) -> None:
    order_id = await stack.place(staff_notes="B-2")
    entry = stack.entry(order_id)
    await stack.finish(entry)
    stack.clock.tick(3600)

    entry.start_over = True
    fixed = RULES.replace("order.billing_address.form_fields[?name=='PO Number'].value | [0]", "order.staff_notes")
    assert await stack.finish(entry, fixed) == CREATED, "our Create made the record, whatever was written later"
    assert await stack.record(order_id) == ("B-2", ALL)


async def remove_field(stack: Stack, name: str) -> None:
    from service.sandbox.demo import DEMO_STORE

    spec = DEMO_STORE.model_dump(mode="json", by_alias=True)
    spec["extra_fields"] = [field for field in spec["extra_fields"] if field["fieldName"] != name]
    await stack.sandbox.put_store(**spec)
