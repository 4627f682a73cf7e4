"""The pace of webhooks: how it is measured, when their silence is noticed, and what that costs."""

import math
from collections.abc import Iterable
from dataclasses import replace
from itertools import pairwise

import pytest
from arq import Retry
from structlog.testing import capture_logs

from service.hooks.state import REQUEST_INTERVAL_S
from service.orders.state.job_kinds import MONITOR_HOOKS
from service.orders.state.queue import Webhook
from service.sandbox.demo import DEMO_STORE_HASH as STORE
from tests.workers.periodic.conftest import ReconciledStore
from workers.periodic.hook_monitor import HookMonitor
from workers.periodic.webhook_pace import MIN_GAPS, MIN_SILENCE_S, WebhookPace

NOW = 1_700_000_000.0


# ── the decision ──────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("mean_gap_s", "silent_after_s"), [(0.1, MIN_SILENCE_S), (0.5, MIN_SILENCE_S), (2.0, 14.0), (8.0, 56.0)]
)
def test_webhooks_are_silent_after_seven_mean_gaps_but_not_at_once(mean_gap_s: float, silent_after_s: float) -> None:
    assert WebhookPace(NOW, mean_gap_s).silent_at == NOW + silent_after_s


def test_store_without_a_pace_is_never_silent() -> None:
    assert WebhookPace(None, None).silent_at == WebhookPace(NOW, None).silent_at == math.inf


def test_order_that_may_be_the_one_of_the_last_webhook_is_not_newer_than_it() -> None:
    pace = WebhookPace(NOW, 2.0)
    assert not pace.is_older_than(NOW - 5.0)
    assert not pace.is_older_than(NOW + 0.9), "dates have whole seconds, and clocks differ a little"
    assert pace.is_older_than(NOW + 1.1)
    assert not WebhookPace(None, None).is_older_than(NOW)


# ── the measurement ───────────────────────────────────────────────────────────────────────────────────────────────────


async def send(store: ReconciledStore, gaps_s: Iterable[float], *, first_id: int = 1) -> None:
    """Webhooks of new orders, each so long after the one before."""
    for order_id, gap_s in enumerate(gaps_s, first_id):
        store.clock.tick(gap_s)
        await store.webhook(order_id)


def in_ms(seconds: float) -> float:
    return int(seconds * 1000) / 1000


async def pace_of(store: ReconciledStore) -> WebhookPace:
    return await WebhookPace.read(store.stack.redis, STORE, interval_s=60.0)


async def test_pace_is_known_after_enough_webhooks(store: ReconciledStore) -> None:
    await send(store, [2.0] * MIN_GAPS)
    assert await pace_of(store) == WebhookPace(in_ms(store.clock.now), None)
    await send(store, [2.0], first_id=100)
    pace = await pace_of(store)
    assert pace.last_at == in_ms(store.clock.now)
    assert pace.mean_gap_s == pytest.approx(2.0)


async def test_pace_follows_the_store(store: ReconciledStore) -> None:
    await send(store, [0.5] * 50)
    assert (await pace_of(store)).mean_gap_s == pytest.approx(0.5)
    await send(store, [5.0] * 50, first_id=100)
    assert (await pace_of(store)).mean_gap_s == pytest.approx(5.0, rel=0.05)


async def test_an_outage_does_not_hide_the_next_one(store: ReconciledStore) -> None:
    await send(store, [0.5] * 50)
    await send(store, [7200.0], first_id=100)
    mean_gap_s = (await pace_of(store)).mean_gap_s
    assert mean_gap_s is not None
    assert mean_gap_s < 5.0


async def test_only_webhooks_of_new_orders_that_come_in_time_count(store: ReconciledStore) -> None:
    await send(store, [2.0] * 20)
    before = await pace_of(store)
    store.clock.tick(1.0)
    now = store.clock.now
    await store.resources.queue.accept(Webhook(STORE, 99, "msg_1", "store/order/created", now - 15.0, now))
    await store.resources.queue.accept(Webhook(STORE, 1, "msg_1", "store/order/statusUpdated", now, now))
    assert await pace_of(store) == replace(before, late_at=now)
    await store.webhook(1)
    assert await pace_of(store) == WebhookPace(in_ms(now), before.mean_gap_s, now), "a duplicate is no new gap"


# ── the runs ──────────────────────────────────────────────────────────────────────────────────────────────────────────


async def busy(store: ReconciledStore, *, orders: int = 20, every_s: float = 2.0) -> float:
    """Orders with their webhooks, then a run; returns in how many seconds the next run is due."""
    for _ in range(orders):
        store.clock.tick(every_s)
        await store.webhook(await store.stack.place())
    await store.finish_all()
    return await store.run()


async def queue_hook_monitor(store: ReconciledStore, *, due_in_s: float = 500.0) -> None:
    due = (store.clock.now + due_in_s) * 1000
    await store.stack.redis.zadd(MONITOR_HOOKS.queue, {MONITOR_HOOKS.id(STORE): due})


async def hook_monitor_in(store: ReconciledStore) -> float:
    """In how many seconds the hook monitor is due."""
    score = await store.stack.redis.zscore(MONITOR_HOOKS.queue, MONITOR_HOOKS.id(STORE))
    assert score is not None
    return float(score) / 1000 - store.clock.now


async def test_busy_store_costs_no_more_calls_while_webhooks_come(store: ReconciledStore) -> None:
    due_at = store.clock.now + await busy(store)
    lists, runs = await store.lists(), 0
    for _ in range(300):
        store.clock.tick(2.0)
        await store.webhook(await store.stack.place())
        await store.finish_all()
        if store.clock.now >= due_at:
            runs += 1
            due_at = store.clock.now + await store.run()
    assert await store.lists() - lists <= 22, "ten minutes, one list by date and one by id a minute"
    assert runs <= 70
    assert not await store.is_polled()


async def test_silence_is_noticed_when_it_begins_to_be_unusual(store: ReconciledStore) -> None:
    assert await busy(store) == pytest.approx(14.0, abs=0.01)
    await queue_hook_monitor(store)
    store.clock.tick(1.0)
    for _ in range(6):  # their webhooks do not come
        store.clock.tick(2.0)
        await store.stack.place()
    with capture_logs() as logs:
        assert await store.run(1.1) == 3.0
    assert [line["event"] for line in logs if line["log_level"] == "warning"] == ["polling_started"]
    assert len(await store.jobs()) == 6
    assert await hook_monitor_in(store) == pytest.approx(0.0, abs=0.01)


async def test_a_webhook_that_comes_meanwhile_ends_the_silence_without_a_call(store: ReconciledStore) -> None:
    await busy(store)
    lists = await store.lists()
    store.clock.tick(5.0)
    await store.webhook(await store.stack.place())
    assert await store.run(9.5) == pytest.approx(5.0, abs=0.5), "14 s and a little after that webhook"
    assert await store.lists() == lists


async def test_real_silence_costs_one_call_until_the_next_webhook(store: ReconciledStore) -> None:
    due_in = await busy(store)
    lists = await store.lists()
    await store.run(due_in + 0.01)
    assert await store.lists() == lists + 1

    await store.run_for(600.0)
    assert await store.lists() <= lists + 1 + 22, "as often as without a pace"
    assert not await store.is_polled()

    store.clock.tick(2.0)
    await store.webhook(await store.stack.place())
    await store.finish_all()
    lists = await store.lists()
    await store.run_for(59.0)
    assert await store.lists() <= lists + 3


async def test_an_order_whose_webhook_may_be_on_its_way_is_awaited(store: ReconciledStore) -> None:
    due_in = await busy(store)
    await queue_hook_monitor(store)
    store.clock.tick(due_in - 1.0)
    order_id = await store.stack.place()
    assert await store.run(1.5) == 3.0
    assert not await store.is_polled()
    assert await store.jobs() == [f"window:{STORE}:{order_id}"]
    assert await hook_monitor_in(store) > 400.0

    await store.finish_all()
    assert await store.run(3.0) == 3.0
    assert await store.is_polled(), "it did not come"
    assert await hook_monitor_in(store) == pytest.approx(0.0, abs=0.01)


async def test_an_awaited_webhook_that_comes_ends_the_silence(store: ReconciledStore) -> None:
    due_in = await busy(store)
    store.clock.tick(due_in - 1.0)
    order_id = await store.stack.place()
    await store.run(1.5)
    store.clock.tick(1.0)
    await store.webhook(order_id)
    await store.run(2.0)
    assert not await store.is_polled()


async def test_a_quiet_store_has_the_usual_interval(store: ReconciledStore) -> None:
    assert await busy(store, every_s=9.0) == 60.0
    assert await store.run(60.0) == 60.0
    lists = await store.lists()
    await store.run_for(600.0)
    assert await store.lists() <= lists + 22


async def test_the_list_is_read_in_time_although_runs_come_early(store: ReconciledStore) -> None:
    """An order whose webhook got lost between others that came is found within the interval."""
    await busy(store)
    lost = await store.stack.place()
    due_at, found_at = store.clock.now, None
    for _ in range(31):
        store.clock.tick(2.0)
        await store.webhook(await store.stack.place())
        if store.clock.now >= due_at:
            due_at = store.clock.now + await store.run()
        if found_at is None and await store.entry(lost) is not None:
            found_at = store.clock.now
    assert found_at is not None


# ── the hook monitor ──────────────────────────────────────────────────────────────────────────────────────────────────


async def test_order_without_a_webhook_makes_the_hook_monitor_due_now(store: ReconciledStore) -> None:
    await queue_hook_monitor(store)
    await store.stack.place()
    await store.run(5.0)
    assert await hook_monitor_in(store) == pytest.approx(0.0, abs=0.01)
    assert not await store.is_polled(), "its webhook may be late"


async def test_order_whose_webhook_came_does_not_wake_the_hook_monitor(store: ReconciledStore) -> None:
    await queue_hook_monitor(store)
    await store.webhook(await store.stack.place())
    await store.run(15.0)
    await store.stack.place()
    await store.run(1.0)
    assert await hook_monitor_in(store) > 400.0, "the webhook of the second one may be on its way"


async def test_an_order_found_before_its_webhook_was_late_wakes_it_in_the_next_run(store: ReconciledStore) -> None:
    await store.webhook(await store.stack.place())
    await queue_hook_monitor(store)
    store.clock.tick(5.0)
    await store.stack.place()
    await store.run(1.0)
    await store.finish_all()
    await store.run(60.0)
    assert await hook_monitor_in(store) == pytest.approx(0.0, abs=0.01)


async def test_a_polled_order_wakes_the_hook_monitor(store: ReconciledStore) -> None:
    await store.webhook(await store.stack.place())
    await store.polling.start(STORE, "test")
    await queue_hook_monitor(store)
    store.clock.tick(5.0)
    await store.stack.place()
    await store.run(1.0)
    await store.finish_all()
    await store.run(3.0)
    assert await hook_monitor_in(store) == pytest.approx(0.0, abs=0.01)


async def check_hooks(store: ReconciledStore) -> None:
    """Let the hook monitor run; its next run is far away."""
    with pytest.raises(Retry):
        await HookMonitor(store.resources, clock=store.clock).run({}, STORE)
    await queue_hook_monitor(store)


async def test_the_hook_monitor_is_woken_once_for_each_finding(store: ReconciledStore) -> None:
    await queue_hook_monitor(store)
    await store.stack.place()
    await store.run(15.0)
    await check_hooks(store)
    await store.run_for(30.0)
    assert await hook_monitor_in(store) > 400.0, "it has run since then"


async def test_the_hook_monitor_is_woken_at_most_twice_a_minute(store: ReconciledStore) -> None:
    await queue_hook_monitor(store)
    runs = []
    for _ in range(60):
        await store.stack.place()
        await store.run(5.0)
        if await hook_monitor_in(store) <= 0.0:
            runs.append(store.clock.now)
            await check_hooks(store)
    assert 9 <= len(runs) <= 11, "in five minutes"
    assert min(later - earlier for earlier, later in pairwise(runs)) >= REQUEST_INTERVAL_S - 0.01


async def test_a_request_during_a_run_of_the_hook_monitor_is_made_again(store: ReconciledStore) -> None:
    await queue_hook_monitor(store)
    await store.stack.place()
    await store.run(15.0)
    await queue_hook_monitor(store)  # a run that began before the order ends now
    await store.stack.place()
    await store.run(5.0)
    assert await hook_monitor_in(store) <= 0.0


async def test_a_hook_monitor_that_is_not_queued_is_not_woken(store: ReconciledStore) -> None:
    await store.stack.place()
    await store.run(15.0)
    assert await store.stack.redis.zcard(MONITOR_HOOKS.queue) == 0
