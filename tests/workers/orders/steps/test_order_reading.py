"""What an order's attempts read anew, and what they take from an earlier one."""

from collections import Counter
from typing import Any

import pytest

from service.bigcommerce import BudgetState, Transport
from service.orders.state.order_entry import Stage, Status
from service.orders.state.worklists.changed_orders import Change
from tests.fakes.stacks.job_stack import ORDER, RECORD, JobStack
from workers.orders.attempts import Jobs
from workers.orders.steps.order_reading import FRESH_S, MOST_OF_A_CART, TOGETHER_S

ORDER_READ, METAFIELDS = "GET /v2/orders/1", "GET /v3/orders/1/metafields"
CART_READ = "GET /v3/carts/c-1/metafields"
FROM_METAFIELD = '"Acc" = { from = "metafields.checkout.po", wait = false }'
FROM_CART = '"Acc" = "cart.metafields.checkout.po"'


def rows(value: str, owner: Any = ORDER) -> dict[str, Any]:
    metafield = {"namespace": "checkout", "key": "po", "value": value, "resource_id": owner, "resource_type": "cart"}
    return {"data": [metafield], "meta": {"pagination": {"total_pages": 1}}}


async def recovering(stack: JobStack) -> None:
    """The order's window has closed, and its first attempt has failed, for B2B Edition did not show its record."""
    stack.record.make()
    stack.clock.tick(30.0)
    stack.upstream.on(f"GET {RECORD}", (503, {}))
    await stack.webhook()
    await stack.run_next()
    if not (await stack.entry()).recovering_since:
        await stack.run_next()
    assert (await stack.entry()).recovering_since


async def attempt_again(stack: JobStack) -> Counter[str]:
    """Make one more attempt, which succeeds; returns what it asked for."""
    stack.upstream.on(f"GET {RECORD}", stack.record.read)
    before, attempts = len(stack.upstream.asked), (await stack.entry()).attempts
    while (await stack.entry()).attempts == attempts:
        await stack.run_next()
    return Counter(stack.upstream.asked[before:])


# ── kept ──────────────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_an_order_that_is_attempted_again_soon_is_not_read_again(job_stack: JobStack) -> None:
    await recovering(job_stack)
    read_at = (await job_stack.entry()).times[Stage.READ]

    asked = await attempt_again(job_stack)

    assert ORDER_READ not in asked
    entry = await job_stack.run_until_finished()
    assert (entry.status, job_stack.record.po_number) == (Status.UPDATED, "PO1")
    assert entry.times[Stage.READ] == read_at, "later changes are those since the order was really read"


async def test_what_was_read_counts_for_a_minute(job_stack: JobStack) -> None:
    await recovering(job_stack)
    job_stack.order["customer_message"] = "PO2"
    job_stack.clock.tick(FRESH_S + 1.0)

    assert (await attempt_again(job_stack))[ORDER_READ] == 1
    assert job_stack.record.po_number == "PO2"


@pytest.mark.parametrize(
    ("follow", "scope"),
    [
        ("24h", "store/order/updated"),
        ("24h", "store/order/metafield/created"),
        ("24h", "store/order/statusUpdated"),
        ("0s", "store/order/statusUpdated"),
    ],
)
async def test_a_change_that_was_told_of_has_the_order_read_again(job_stack: JobStack, follow: str, scope: str) -> None:
    job_stack.configure(keys=f'follow = "{follow}"', fields=FROM_METAFIELD)
    job_stack.upstream.on(METAFIELDS, rows("A-1"))
    await recovering(job_stack)
    job_stack.clock.tick(1.0)
    job_stack.order["customer_message"] = "PO2"
    job_stack.upstream.on(METAFIELDS, rows("A-2"))
    await job_stack.event(scope)

    asked = await attempt_again(job_stack)

    assert (asked[ORDER_READ], asked[METAFIELDS]) == (1, 1)
    assert (job_stack.record.po_number, job_stack.record.fields["Acc"]) == ("PO2", "A-2")


@pytest.mark.parametrize(("follow", "reads"), [("24h", 0), ("0s", 1)])
async def test_an_attempt_of_another_worker_may_have_been_told_of_a_change(
    job_stack: JobStack, follow: str, reads: int
) -> None:
    """Where changes are followed, all workers see what was told of; else only the attempt that comes next."""
    job_stack.configure(keys=f'follow = "{follow}"')
    await recovering(job_stack)
    first_worker = job_stack.jobs
    another_worker(job_stack)
    attempts = (await job_stack.entry()).attempts
    while (await job_stack.entry()).attempts == attempts:
        await job_stack.run_next()
    job_stack.jobs = first_worker

    assert (await attempt_again(job_stack))[ORDER_READ] == reads


async def test_a_change_after_the_reading_is_followed_though_the_order_ended_later(job_stack: JobStack) -> None:
    """No webhook tells of it before the attempt, but one does afterwards: it is not taken for one that was read."""
    await recovering(job_stack)
    job_stack.clock.tick(5.0)
    job_stack.order["customer_message"] = "PO2"
    changed_at = job_stack.clock()
    assert ORDER_READ not in await attempt_again(job_stack)
    await job_stack.run_until_finished()
    store = job_stack.resources.configuration.stores["abc123"].store

    marked = await job_stack.resources.changed.mark(
        "abc123", ORDER, Change.ORDER, follow_s=store.follow_s, changed_at=changed_at
    )

    assert marked == "marked"


async def test_other_rules_have_the_order_read_for_them(job_stack: JobStack) -> None:
    await recovering(job_stack)
    job_stack.upstream.on(METAFIELDS, rows("A-1"))
    jobs = job_stack.jobs
    job_stack.configure(fields=FROM_METAFIELD)
    jobs._resources = job_stack.resources  # the stores file is read again while the worker runs
    job_stack.jobs = jobs

    asked = await attempt_again(job_stack)

    assert (asked[ORDER_READ], asked[METAFIELDS]) == (1, 1)
    assert job_stack.record.fields["Acc"] == "A-1"


async def test_an_order_whose_metafields_could_not_be_read_is_not_read_again_itself(job_stack: JobStack) -> None:
    job_stack.configure(fields=FROM_METAFIELD)
    job_stack.upstream.on(METAFIELDS, (503, {}))
    await recovering(job_stack)
    assert job_stack.upstream.asked.count(ORDER_READ) == 1
    job_stack.upstream.on(METAFIELDS, rows("A-1"))

    asked = await attempt_again(job_stack)

    assert (asked[ORDER_READ], asked[METAFIELDS]) == (0, 1)
    assert job_stack.record.fields["Acc"] == "A-1"


async def test_a_finished_order_is_not_kept(job_stack: JobStack) -> None:
    await recovering(job_stack)
    kept = job_stack.jobs._reader._kept
    assert len(kept) == 1

    await attempt_again(job_stack)

    assert len(kept) == 0


# ── quota ─────────────────────────────────────────────────────────────────────────────────────────────────────────────


def quota(left: int) -> Any:
    async def quota_left(*_: Any) -> BudgetState:
        return BudgetState(limit=150, left=left, window_s=60.0, resets_in_s=20.0, is_guess=False)

    return quota_left


async def test_a_recovering_order_is_not_read_before_there_is_quota_to_write_it(
    job_stack: JobStack, monkeypatch: pytest.MonkeyPatch
) -> None:
    await recovering(job_stack)
    job_stack.clock.tick(FRESH_S)
    monkeypatch.setattr(Transport, "quota_left", quota(1))

    assert await attempt_again(job_stack) == {}

    entry, due_at = await job_stack.entry(), await job_stack.due_at()
    assert "quota is spent" in (entry.trouble or "")
    assert due_at is not None
    assert due_at >= job_stack.clock() + 19.9
    monkeypatch.setattr(Transport, "quota_left", quota(150))
    assert (await attempt_again(job_stack))[ORDER_READ] == 1
    assert (await job_stack.run_until_finished()).status is Status.UPDATED


async def test_in_its_window_an_order_without_a_create_waits_for_others_once(
    job_stack: JobStack, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Transport, "quota_spent_for_s", lambda *_: 30.0)
    await job_stack.webhook()
    await job_stack.run_next()
    assert job_stack.upstream.asked == []
    assert await job_stack.due_at() == pytest.approx(job_stack.clock() + TOGETHER_S, abs=0.1)

    await job_stack.run_next()

    # The quota may have come back: it is not taken for granted that there is no Create.
    assert job_stack.upstream.asked.count(ORDER_READ) == 1
    assert (await job_stack.run_until_finished()).in_window is True


# ── the cart ──────────────────────────────────────────────────────────────────────────────────────────────────────────


async def with_cart(stack: JobStack, *answers: Any) -> None:
    stack.configure(fields=FROM_CART)
    stack.order["cart_id"] = "c-1"
    stack.upstream.on(CART_READ, *answers)


def another_worker(stack: JobStack) -> None:
    """It knows only what is in Redis."""
    stack.jobs = Jobs(stack.resources, clock=stack.clock)


@pytest.mark.parametrize(("first", "expected"), [(rows("A-1", "c-1"), "A-1"), ((404, {"title": "Not found"}), None)])
async def test_a_cart_that_was_answered_is_not_asked_for_again(
    job_stack: JobStack, first: Any, expected: str | None
) -> None:
    await with_cart(job_stack, first, (404, {"title": "Not found"}))
    await recovering(job_stack)
    assert job_stack.upstream.asked.count(CART_READ) == 1
    job_stack.clock.tick(FRESH_S * 10)
    another_worker(job_stack)

    asked = await attempt_again(job_stack)

    assert (asked[ORDER_READ], asked[CART_READ]) == (1, 0)
    assert job_stack.record.fields.get("Acc") == expected
    entry = await job_stack.run_until_finished()
    assert (entry.status, entry.cart) == (Status.UPDATED, None), "a finished order holds no cart"


async def test_a_cart_that_could_not_be_read_is_asked_for_again(job_stack: JobStack) -> None:
    await with_cart(job_stack, (503, {}))
    await recovering(job_stack)
    job_stack.upstream.on(CART_READ, rows("A-1", "c-1"))

    assert (await attempt_again(job_stack))[CART_READ] == 1
    assert job_stack.record.fields["Acc"] == "A-1"


async def test_a_large_cart_is_kept_in_memory_only(job_stack: JobStack) -> None:
    await with_cart(job_stack, rows("A" * MOST_OF_A_CART, "c-1"))
    await recovering(job_stack)

    assert (await job_stack.entry()).cart is None
    assert CART_READ not in await attempt_again(job_stack)
