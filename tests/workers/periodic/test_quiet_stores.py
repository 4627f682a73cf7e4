"""Stores without orders: they are read seldom where webhooks are proven to arrive, and every minute at any doubt."""

from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from service.bigcommerce.clients.core_api import Core
from service.hooks import HookProblem, ProblemKind, save_hook_state
from service.orders.state.job_kinds import RECONCILE
from service.orders.state.keys import cursor_key
from service.orders.state.queue import RECONCILED_WITHIN_S, Webhook
from service.sandbox.demo import DEMO_STORE_HASH as STORE
from tests.workers.periodic.conftest import ReconciledStore
from workers.periodic.cursor import Cursor
from workers.periodic.reconcile_interval import LATELY_S, QUIET_S

DAY_S = 86_400.0


async def check_hooks(store: ReconciledStore, *problems: ProblemKind) -> None:
    """The hook monitor has just run, and found these problems."""
    found = [HookProblem(kind, "store/order/created") for kind in problems]
    await save_hook_state(store.stack.redis, STORE, None, found, None, checked_at=store.clock.now)


async def cursor(store: ReconciledStore) -> Cursor:
    found = await Cursor.read(store.stack.redis, cursor_key(STORE))
    assert found is not None
    return found


async def due_in(store: ReconciledStore) -> float:
    """In how many seconds the store's job is due."""
    due = await store.stack.redis.zscore(RECONCILE.queue, RECONCILE.id(STORE))
    assert due is not None
    return float(due / 1000 - store.clock.now)


@pytest.fixture
async def quiet(store: ReconciledStore) -> ReconciledStore:
    """A store that has had no order since it was read first, a day ago, and is read every five minutes."""
    store.clock.tick(LATELY_S)
    for _ in range(5):
        await check_hooks(store)
        interval_s = await store.run(60.0)
    assert interval_s == QUIET_S
    await store.stack.redis.zadd(RECONCILE.queue, {RECONCILE.id(STORE): (store.clock.now + QUIET_S) * 1000})
    return store


async def test_the_interval_doubles_a_day_after_the_last_order_up_to_five_minutes(store: ReconciledStore) -> None:
    assert await store.run(DAY_S - 60.0) == 60.0, "the store is new"
    store.clock.tick(60.0)
    await check_hooks(store)
    assert [await store.run(60.0) for _ in range(5)] == [120.0, 240.0, 300.0, 300.0, 300.0]


async def test_the_interval_does_not_grow_before_the_webhooks_were_checked(store: ReconciledStore) -> None:
    store.clock.tick(DAY_S)
    assert [await store.run(60.0) for _ in range(4)] == [60.0] * 4


async def test_a_quiet_store_costs_one_call_and_no_write(quiet: ReconciledStore) -> None:
    before, lists = await quiet.stack.redis.get(cursor_key(STORE)), await quiet.lists()

    for _ in range(3):
        await quiet.run(QUIET_S)

    assert await quiet.lists() - lists == 3
    assert await quiet.stack.redis.get(cursor_key(STORE)) == before


async def test_its_list_is_read_by_date_once_an_hour(quiet: ReconciledStore) -> None:
    lists = await quiet.lists()
    for _ in range(24):
        await check_hooks(quiet)
        await quiet.run(QUIET_S)
    assert await quiet.lists() - lists == 24 + 2


async def test_an_order_that_no_webhook_told_of_is_found_within_five_minutes(quiet: ReconciledStore) -> None:
    order_id = await quiet.stack.place()

    assert await quiet.run(QUIET_S) == 3.0, "it is polled now"

    assert await quiet.jobs() == [f"recover:{STORE}:{order_id}"]
    assert await quiet.is_polled()


async def test_another_worker_goes_on_with_the_interval(quiet: ReconciledStore) -> None:
    quiet.restart()
    assert await quiet.run(QUIET_S) == QUIET_S


async def test_the_webhook_of_an_order_makes_the_next_reading_due_within_a_minute(quiet: ReconciledStore) -> None:
    order_id = await quiet.stack.place()
    assert await due_in(quiet) == QUIET_S
    await quiet.webhook(order_id)
    assert await due_in(quiet) == RECONCILED_WITHIN_S

    quiet.clock.tick(10.0)
    await quiet.webhook(order_id)
    assert await due_in(quiet) == RECONCILED_WITHIN_S - 10.0, "a duplicate, and a due time never moves back"

    assert await quiet.run(RECONCILED_WITHIN_S - 10.0) == 60.0, "it has had an order in the last day"


async def test_a_webhook_does_not_queue_a_job_that_is_not_there(quiet: ReconciledStore) -> None:
    await quiet.stack.redis.delete(RECONCILE.queue)
    await quiet.webhook(await quiet.stack.place())
    assert await quiet.stack.redis.zscore(RECONCILE.queue, RECONCILE.id(STORE)) is None


async def test_an_order_that_comes_during_a_run_counts_as_well(
    quiet: ReconciledStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    news = quiet.job._states.news

    async def webhook_then_news(store: str) -> object:
        await quiet.webhook(4711)
        return await news(store)

    monkeypatch.setattr(quiet.job._states, "news", webhook_then_news)
    assert await quiet.run(QUIET_S) == 60.0


async def late_webhook(store: ReconciledStore) -> None:
    now = store.clock.now
    order_id = await store.stack.place()
    await store.resources.queue.accept(Webhook(STORE, order_id, "msg_1", "store/order/created", now - 30.0, now))


async def inactive_hook(store: ReconciledStore) -> None:
    await check_hooks(store, ProblemKind.INACTIVE)


async def held_order(store: ReconciledStore) -> None:
    await store.resources.pauses.begin(STORE, "ana")
    await store.stack.transitions.hold(store.stack.entry(await store.stack.place(age=DAY_S)), writes_off=True)


async def order_that_waits_for_its_status(store: ReconciledStore) -> None:
    entry, _ = await store.resources.transitions.begin_attempt(STORE, 1)
    assert await store.resources.transitions.await_status(entry, ask_in=DAY_S)


@pytest.mark.parametrize("trouble", [late_webhook, inactive_hook, held_order, order_that_waits_for_its_status])
async def test_a_sign_of_trouble_makes_the_interval_a_minute_again(
    quiet: ReconciledStore, trouble: Callable[[ReconciledStore], Awaitable[None]]
) -> None:
    await trouble(quiet)
    assert await quiet.run(60.0) == 60.0


async def test_a_lost_webhook_counts_until_another_one_arrives(quiet: ReconciledStore) -> None:
    await quiet.stack.place()
    await quiet.run(QUIET_S)
    assert (await cursor(quiet)).untold_at is not None
    await quiet.finish_all()
    await quiet.stack.redis.delete(*await quiet.stack.redis.keys("enrich:watch:*"))

    quiet.clock.tick(2 * DAY_S)
    await check_hooks(quiet)
    assert await quiet.run() == 60.0
    await quiet.webhook(await quiet.stack.place())
    await quiet.finish_all()
    assert await quiet.run(60.0) == 60.0
    quiet.clock.tick(2 * DAY_S)
    await check_hooks(quiet)
    assert [await quiet.run(60.0) for _ in range(2)] == [120.0, 240.0]


async def test_an_order_that_appears_in_the_list_out_of_turn_is_found(
    store: ReconciledStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The list shows the second of two orders first; the other one before five minutes have passed."""
    hidden, shown = await store.stack.place(), await store.stack.place()
    await store.webhook(shown)
    whole = Core.orders

    async def without_hidden(core: Core, **wanted: Any) -> list[dict[str, Any]]:
        return [order for order in await whole(core, **wanted) if order["id"] != hidden]

    with monkeypatch.context() as patched:
        patched.setattr(Core, "orders", without_hidden)
        for _ in range(5):
            await store.run(59.0)
    await store.run(59.0)

    assert await store.entry(hidden) is not None
