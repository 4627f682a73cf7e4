"""Orders that no webhook told of, and stores whose webhooks fail: real Redis, a sandbox, a clock that is moved."""

from typing import Any

import pytest
from arq import Retry
from redis.exceptions import ConnectionError as RedisConnectionError
from structlog.testing import capture_logs

from service.bigcommerce import Account, Api, Priority
from service.bigcommerce.core import Core
from service.errors import OutOfBudget
from service.orders.state.entry import Entry, Stage, Status
from service.orders.state.jobs import RECONCILE, RECOVERY, WINDOW
from service.orders.state.keys import cursor_key, entry_key, hook_key, waiting_key
from service.orders.state.queue import Queue, Webhook
from service.sandbox.demo import DEMO_STORE_HASH as STORE
from tests.fakes.sandbox import StillClock
from tests.workers.conftest import House, OpenHouse
from workers.periodic import reconcile as module
from workers.periodic.polling import QUIET_S, PollingFallback, PollingState
from workers.periodic.reconcile import LATE_IDS, OVERLAP_S, Cursor, Reconciler
from workers.resources import Resources

HOUR_S = 3600.0


class Reconciled:
    """A store that is reconciled turn by turn."""

    def __init__(self, house: House) -> None:
        self.house = house
        self.resources: Resources = house.resources()
        self.watches = PollingFallback(house.redis, clock=house.clock)
        self.restart()

    @property
    def clock(self) -> StillClock:
        return self.house.clock

    def restart(self) -> None:
        """Another worker takes over."""
        self.job = Reconciler(self.resources, spread=0.0, clock=self.clock)

    async def turn(self, after_s: float = 0.0) -> float:
        """One turn, so many seconds later; in how many seconds the next is due."""
        self.clock.tick(after_s)
        with pytest.raises(Retry) as retry:
            await self.job.reconcile({}, STORE)
        assert retry.value.defer_score is not None
        return retry.value.defer_score / 1000

    async def turns(self, seconds: float) -> None:
        """All turns of so many seconds, each when it is due."""
        until = self.clock.now + seconds
        while self.clock.now < until:
            self.clock.tick(max(await self.turn(), 0.1))

    async def jobs(self) -> list[str]:
        """The orders' jobs, those for recovery included."""
        queues = [await self.house.redis.zrange(kind.queue, 0, -1) for kind in (WINDOW, RECOVERY)]
        return [job.decode() for queue in queues for job in queue]

    async def entry(self, order_id: int) -> Entry | None:
        return await self.resources.ledger.get(STORE, order_id)

    async def note(self, entry: Entry) -> None:
        await self.house.redis.hset(entry_key(STORE, entry.order_id), mapping=entry.to_hash())  # type: ignore[misc]

    async def webhook(self, order_id: int) -> None:
        """The order's webhook comes now."""
        sent_at = float(int(self.clock.now))
        webhook = Webhook(STORE, order_id, "msg_1", "store/order/created", sent_at, self.clock.now)
        await self.resources.queue.accept(webhook)

    async def lists(self) -> int:
        """How often the list of orders was asked for."""
        calls = await self.house.sandbox.calls()
        return sum(calls["core"].get("Get All Orders", {}).values())

    async def is_polled(self) -> bool:
        return await self.watches.get(STORE) is not None

    async def end_all(self) -> None:
        """The workers do their job."""
        for job in await self.jobs():
            kind, _, order_id = job.split(":")
            await self.note(Entry(STORE, int(order_id), status=Status.CREATED))
            await self.house.redis.delete(f"arq:job:{job}")
            await self.house.redis.zrem((WINDOW if kind == "window" else RECOVERY).queue, job)


@pytest.fixture
async def store(house: House) -> Reconciled:
    """A store that has been reconciled for the first time."""
    store = Reconciled(house)
    assert await store.turn() == 60.0
    store.clock.tick(1.0)  # an order's date has whole seconds: this tells what was before from what came after
    return store


# ── what is found ───────────────────────────────────────────────────────────────────────────────────────────────


async def test_an_order_that_no_webhook_told_of_is_queued(store: Reconciled) -> None:
    order_id = await store.house.place()
    placed_at = store.clock.now
    assert await store.turn(5.0) == 60.0

    assert await store.jobs() == [f"window:{STORE}:{order_id}"]
    entry = await store.entry(order_id)
    assert entry is not None
    assert entry.source == "reconcile"
    assert entry.times[Stage.CREATED] == int(placed_at)


async def test_an_order_of_a_guest_gets_its_job_too(store: Reconciled) -> None:
    order_id = await store.house.place(customer_id=0)
    await store.turn(5.0)
    assert await store.jobs() == [f"window:{STORE}:{order_id}"]


async def test_what_is_found_is_told_in_one_line(store: Reconciled) -> None:
    ids = [await store.house.place() for _ in range(3)]
    with capture_logs() as logs:
        await store.turn(5.0)
        await store.turn(60.0)
    assert [line for line in logs if line["event"] != "upstream_call"] == [
        {"event": "orders_found", "log_level": "info", "orders": 3, "first": ids[0], "last": ids[-1]},
    ]


async def test_orders_that_are_known_are_left_alone(store: Reconciled) -> None:
    told, ended, waiting = [await store.house.place() for _ in range(3)]
    await store.webhook(told)
    await store.note(Entry(STORE, ended, status=Status.FAILED))
    await store.note(Entry(STORE, waiting, status=Status.WAITING))
    before = await everything(store)

    await store.turn(5.0)

    after = await everything(store)
    assert {key for key in after if before.get(key) != after[key]} == {cursor_key(STORE).encode()}
    assert await store.jobs() == [f"window:{STORE}:{told}"]


async def test_an_order_whose_job_was_lost_gets_another(store: Reconciled) -> None:
    order_id = await store.house.place()
    await store.webhook(order_id)
    await store.house.redis.delete(WINDOW.key(STORE, order_id), WINDOW.queue)

    await store.turn(5.0)

    assert await store.jobs() == [f"window:{STORE}:{order_id}"]
    assert not await store.is_polled(), "a webhook did tell of it"


async def test_an_order_is_queued_once_however_often_it_is_seen(store: Reconciled) -> None:
    await store.house.place()
    await store.turn(5.0)
    await store.end_all()
    for _ in range(6):
        await store.turn(60.0)
    assert await store.jobs() == []


# ── the cursor ──────────────────────────────────────────────────────────────────────────────────────────────────


async def test_the_first_turn_ever_does_not_go_back_in_history(house: House) -> None:
    await house.place(age=OVERLAP_S + 60)
    recent = await house.place(age=OVERLAP_S - 60)
    store = Reconciled(house)
    await store.turn()
    assert await store.jobs() == [f"recover:{STORE}:{recent}"]


async def test_a_first_turn_that_failed_does_not_move_the_beginning(open_house: OpenHouse) -> None:
    house = await open_house(faults={"error_rate": 1.0})
    store = Reconciled(house)
    assert await store.turn() < 60.0
    order_id = await house.place()
    await house.sandbox.faults()
    await store.turn(HOUR_S)
    assert await store.jobs() == [f"recover:{STORE}:{order_id}"]


async def test_an_order_that_shows_up_late_is_found(store: Reconciled) -> None:
    await store.turn(60.0)
    late = await store.house.place(age=OVERLAP_S - 10)
    await store.turn(5.0)
    assert await store.jobs() == [f"recover:{STORE}:{late}"]


async def test_a_restart_takes_up_where_the_last_one_stood(store: Reconciled) -> None:
    orders = []
    for _ in range(5):
        store.clock.tick(10 * HOUR_S)
        orders.append(await store.house.place())
    store.clock.tick(10 * HOUR_S)

    store.restart()
    await store.turn()

    assert await store.jobs() == [f"recover:{STORE}:{order_id}" for order_id in orders]


async def test_many_orders_are_read_page_by_page(store: Reconciled, monkeypatch: pytest.MonkeyPatch) -> None:
    """Even if all were created in the same second, and each turn reads one page and another worker the next."""
    monkeypatch.setattr(module, "MOST_PAGES", 1)
    orders = [await store.house.place() for _ in range(510)]
    lists = await store.lists()

    assert await store.turn(1.0) == 0.0
    assert len(await store.jobs()) == 250
    store.restart()
    assert await store.turn() == 0.0
    store.restart()
    assert await store.turn() == 60.0

    assert sorted(await store.jobs()) == sorted(f"window:{STORE}:{order_id}" for order_id in orders)
    assert await store.lists() - lists == 3

    new = await store.house.place()
    store.clock.tick(60.0)
    while not await store.turn():
        pass
    assert f"recover:{STORE}:{new}" in await store.jobs()


async def test_a_list_that_does_not_go_on_is_not_read_for_ever(
    store: Reconciled, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def the_same_page(*_: Any, **__: Any) -> list[dict[str, Any]]:
        return [{"id": order_id} for order_id in range(1, 251)]

    monkeypatch.setattr(Core, "orders", the_same_page)
    assert await store.turn() == 60.0
    await store.watches.start(STORE, "test")
    assert await store.turn(3.0) == 3.0


async def test_the_cursor_waits_until_all_that_was_found_is_queued(
    store: Reconciled, monkeypatch: pytest.MonkeyPatch
) -> None:
    orders = [await store.house.place() for _ in range(3)]
    before = await Cursor.read(store.house.redis, cursor_key(STORE))
    enqueue = Queue.enqueue

    async def fail_at_the_second(self: Queue, hash_: str, order_id: int, **more: Any) -> Any:
        if order_id == orders[1]:
            raise RedisConnectionError
        return await enqueue(self, hash_, order_id, **more)

    with monkeypatch.context() as patched:
        patched.setattr(Queue, "enqueue", fail_at_the_second)
        assert await store.turn(5.0) < 5.0
    assert await store.jobs() == [f"window:{STORE}:{orders[0]}"]
    assert await Cursor.read(store.house.redis, cursor_key(STORE)) == before

    await store.turn(HOUR_S)
    assert {job.rpartition(":")[2] for job in await store.jobs()} == {str(order_id) for order_id in orders}


@pytest.mark.parametrize("skew", [-2 * HOUR_S, 2 * HOUR_S])
async def test_a_clock_of_ours_that_is_wrong_does_not_matter(open_house: OpenHouse, skew: float) -> None:
    house = await open_house(faults={"clock_skew": skew})
    store = Reconciled(house)
    await store.turn()
    for _ in range(3):
        order_id = await house.place()
        store.restart()
        await store.turn(5.0)
        entry = await store.entry(order_id)
        assert entry is not None
        store.clock.tick(55.0)
    assert not await store.is_polled()


async def test_a_cursor_of_another_version_is_begun_anew(store: Reconciled) -> None:
    await store.house.redis.set(cursor_key(STORE), '{"time": "long ago"}')
    order_id = await store.house.place()
    assert await store.turn(5.0) == 60.0
    assert await store.entry(order_id) is not None


# ── trouble ─────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_nothing_that_bigcommerce_answers_ends_the_job(store: Reconciled) -> None:
    order_id = await store.house.place()
    for faults in (
        {"error_rate": 1.0},
        {"refuse_credentials": [STORE]},
        {"lost_answer_rate": 1.0, "lost_answer_as": "504"},
    ):
        await store.house.sandbox.faults(**faults)
        assert 0.0 < await store.turn(1.0) <= 60.0
    await store.house.sandbox.faults()
    await store.turn(1.0)
    assert await store.entry(order_id) is not None


async def test_orders_that_cannot_be_understood_are_passed_over(
    store: Reconciled, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def strange(*_: Any, **__: Any) -> list[dict[str, Any]]:
        return [{}, {"id": None}, {"id": "77"}, {"id": 78, "date_created": 5}, {"id": 79, "date_created": "soon"}]

    monkeypatch.setattr(Core, "orders", strange)
    await store.turn(5.0)
    assert sorted(await store.jobs()) == [f"window:{STORE}:{order_id}" for order_id in (77, 78, 79)]


async def test_a_store_that_is_gone_from_the_stores_file_is_let_go(house: House) -> None:
    assert await Reconciler(house.resources(), clock=house.clock).reconcile({}, "nobody") is None  # type: ignore[func-returns-value]
    assert await house.redis.keys("*") == []


async def test_while_the_store_is_locked_out_no_call_is_made(store: Reconciled) -> None:
    await store.resources.breaker.open(STORE)
    lists = await store.lists()
    assert await store.turn(60.0) == 60.0
    assert await store.lists() == lists


async def test_reconciling_waits_behind_everybody_else_and_the_watch_does_not(
    store: Reconciled, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[Priority] = []

    async def no_budget(account: Account, api: Api, priority: Priority, *, operation: str, calls: int = 1) -> None:
        asked.append(priority)
        raise OutOfBudget(operation, seconds=7.0)

    monkeypatch.setattr(store.house.transport, "spend", no_budget)
    assert await store.turn() == 7.0
    await store.watches.start(STORE, "test")
    assert await store.turn() == 7.0
    assert asked == [Priority.BACKGROUND, Priority.VERIFY]


# ── the watch ───────────────────────────────────────────────────────────────────────────────────────────────────


async def test_an_order_that_no_webhook_told_of_in_ten_seconds_starts_the_watch(store: Reconciled) -> None:
    await store.house.place()
    with capture_logs() as logs:
        assert await store.turn(15.0) == 3.0
        await store.house.place()
        assert await store.turn(15.0) == 3.0
    started = [line for line in logs if line["event"] == "polling_started"]
    assert started == [
        {
            "event": "polling_started",
            "log_level": "warning",
            "store": STORE,
            "reason": "no webhook told of an order",
        }
    ]


async def test_an_order_whose_webhook_may_still_come_starts_no_watch(store: Reconciled) -> None:
    await store.house.place()
    assert await store.turn(8.0) == 60.0
    assert not await store.is_polled()


async def test_an_order_from_before_we_came_starts_no_watch(house: House) -> None:
    await house.place(age=120.0)
    store = Reconciled(house)
    await store.turn()
    assert len(await store.jobs()) == 1
    await store.end_all()
    late = await house.place(age=100.0)
    await store.turn(60.0)
    assert await store.jobs() == [f"recover:{STORE}:{late}"]
    assert not await store.is_polled()


async def test_while_it_is_watched_every_order_is_queued_within_seconds(store: Reconciled) -> None:
    await store.house.place()
    await store.turn(15.0)
    await store.end_all()
    for _ in range(40):
        order_id = await store.house.place()
        assert await store.turn(3.0) == 3.0
        assert f"window:{STORE}:{order_id}" in await store.jobs()


async def test_the_watch_asks_for_the_newest_orders_only_and_for_all_as_often_as_ever(
    store: Reconciled, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[Any] = []
    orders_of = Core.orders

    async def spy(self: Core, **query: Any) -> list[dict[str, Any]]:
        asked.append(query["min_id"])
        return await orders_of(self, **query)

    monkeypatch.setattr(Core, "orders", spy)
    orders = [await store.house.place() for _ in range(20)]
    await store.turn(15.0)
    asked.clear()
    await store.turns(123.0)

    assert asked.count(None) == 2, "the whole list, from the cursor on"
    assert set(asked) == {None, orders[-1] - LATE_IDS}
    assert 38 <= len(asked) <= 42


async def test_the_watch_finds_an_order_that_shows_up_behind_a_newer_one(store: Reconciled) -> None:
    behind, _ = await store.house.place(), await store.house.place()
    cursor = await Cursor.read(store.house.redis, cursor_key(STORE))
    assert cursor is not None
    await cursor.model_copy(update={"highest_id": behind + 1}).write(store.house.redis, cursor_key(STORE))
    await store.watches.start(STORE, "test")
    await store.turn(3.0)
    assert f"window:{STORE}:{behind}" in await store.jobs()


async def test_a_burst_during_the_watch_is_read_at_once(store: Reconciled) -> None:
    await store.watches.start(STORE, "test")
    orders = [await store.house.place() for _ in range(260)]
    assert await store.turn(3.0) == 0.0
    assert await store.turn() == 3.0
    assert len(await store.jobs()) == len(orders)


async def test_the_watch_ends_when_webhooks_come_in_time_again(store: Reconciled) -> None:
    await store.house.place()
    await store.turn(15.0)
    await store.end_all()
    store.clock.tick(3.0)
    order_id = await store.house.place()
    await store.webhook(order_id)

    await store.turns(QUIET_S - 10)
    assert await store.is_polled(), "too early to be sure"
    with capture_logs() as logs:
        await store.turns(20.0)
    assert not await store.is_polled()
    ended = [line for line in logs if line["event"] == "polling_ended"]
    assert [(line["log_level"], line["reason"]) for line in ended] == [("info", "no webhook told of an order")]
    assert 60 <= ended[0]["lasted_s"] <= 75
    assert await store.turn() == 60.0


async def test_the_watch_goes_on_while_no_webhook_comes(store: Reconciled) -> None:
    await store.house.place()
    await store.turn(15.0)
    await store.turns(10 * QUIET_S)
    assert await store.is_polled()


async def test_a_webhook_that_comes_late_does_not_end_the_watch(store: Reconciled) -> None:
    order_id = await store.house.place()
    await store.turn(15.0)
    await store.resources.queue.accept(
        Webhook(STORE, order_id, "msg_1", "store/order/created", store.clock.now - 15.0, store.clock.now)
    )
    await store.turns(2 * QUIET_S)
    assert await store.is_polled()


async def test_the_watch_goes_on_while_some_webhooks_do_not_come(store: Reconciled) -> None:
    await store.house.place()
    await store.turn(15.0)
    for number in range(6):
        order_id = await store.house.place()
        if number == 0:
            await store.webhook(order_id)
        await store.turns(30.0)
        await store.end_all()
    assert await store.is_polled()

    for _ in range(4):
        await store.webhook(await store.house.place())
        await store.turns(30.0)
    assert not await store.is_polled()


async def test_an_order_that_the_watch_finds_before_its_webhook_comes_is_no_sign_of_trouble(store: Reconciled) -> None:
    await store.watches.start(STORE, "test")
    for _ in range(60):
        order_id = await store.house.place()
        await store.turn()
        store.clock.tick(1.0)
        await store.webhook(order_id)
        store.clock.tick(2.0)
        await store.end_all()
        if not await store.is_polled():
            break
    assert not await store.is_polled()


async def test_the_watch_goes_on_while_the_guardian_sees_trouble(store: Reconciled) -> None:
    await store.watches.start(STORE, "test")
    store.clock.tick(1.0)
    await store.webhook(await store.house.place())
    await store.house.redis.hset(hook_key(STORE), "troubles", '[["blocked", "hooks.example.com"]]')  # type: ignore[misc]
    await store.turns(3 * QUIET_S)
    assert await store.is_polled()

    await store.house.redis.hset(hook_key(STORE), "troubles", '[["foreign", "https://other.example.com"]]')  # type: ignore[misc]
    await store.turns(10.0)
    assert not await store.is_polled()


async def test_a_long_list_is_read_to_its_end_though_the_store_is_watched(
    store: Reconciled, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "MOST_PAGES", 1)
    await store.watches.start(STORE, "test")
    orders = [await store.house.place() for _ in range(260)]
    assert await store.turn(60.0) == 0.0
    # Others of that list come to be known meanwhile, newer ones too: what is left of it must not be passed over.
    cursor = await Cursor.read(store.house.redis, cursor_key(STORE))
    assert cursor is not None
    await cursor.model_copy(update={"highest_id": orders[-1] + 1000, "time": store.clock.now}).write(
        store.house.redis, cursor_key(STORE)
    )
    assert await store.turn() == 3.0
    assert len(await store.jobs()) == len(orders)


NOW = 1_700_000_000.0
WATCH = PollingState(since=NOW, reason="test", untold_at=NOW)


def test_a_webhook_from_before_the_watch_does_not_end_it() -> None:
    assert not WATCH.is_over(NOW + 120, NOW - 1)
    assert not WATCH.is_over(NOW + 120, None)
    assert WATCH.is_over(NOW + 120, NOW + 1)


def test_an_order_for_which_no_webhook_came_makes_the_watch_longer() -> None:
    asking = WATCH.model_copy(update={"asked_for": NOW + 100})
    assert asking.judged(NOW + 110, NOW + 50) == asking, "its webhook may still come"
    assert not asking.is_over(NOW + 110, NOW + 50)
    assert asking.judged(NOW + 111, NOW + 50) == WATCH.model_copy(update={"untold_at": NOW + 111})
    assert asking.judged(NOW + 111, None) == WATCH.model_copy(update={"untold_at": NOW + 111})
    assert asking.judged(NOW + 111, NOW + 101) == WATCH


async def test_the_watch_compares_orders_and_webhooks_on_one_clock(open_house: OpenHouse) -> None:
    store = Reconciled(await open_house(faults={"clock_skew": HOUR_S}))
    await store.turn()
    await store.watches.start(STORE, "test")
    await store.house.place()
    placed_at = store.clock.now
    await store.turn(2.0)
    watch = await store.watches.get(STORE)
    assert watch is not None
    assert watch.asked_for == pytest.approx(placed_at, abs=1.5)


async def test_starting_the_watch_makes_the_job_due_at_once(store: Reconciled) -> None:
    redis, due = store.house.redis, RECONCILE.id(STORE)
    await redis.zadd(RECONCILE.queue, {due: (store.clock.now + 50) * 1000})
    await store.watches.start(STORE, "test")
    assert await redis.zscore(RECONCILE.queue, due) == int(store.clock.now * 1000)

    await redis.zrem(RECONCILE.queue, due)
    await store.watches.start(STORE, "test")
    assert await redis.zscore(RECONCILE.queue, due) is None, "without its job it must not be in the queue"


async def test_a_watch_that_starts_during_a_turn_sets_the_pace_of_the_next(
    store: Reconciled, monkeypatch: pytest.MonkeyPatch
) -> None:
    queue = Reconciler._queue

    async def meanwhile(self: Reconciler, *args: Any) -> int:
        await store.watches.start(STORE, "test")
        return await queue(self, *args)

    monkeypatch.setattr(Reconciler, "_queue", meanwhile)
    assert await store.turn() == 3.0


async def everything(store: Reconciled) -> dict[bytes, bytes | None]:
    return {key: await store.house.redis.dump(key) for key in await store.house.redis.keys("*")}


async def test_stores_that_began_together_do_not_go_on_together(store: Reconciled) -> None:
    store.job = Reconciler(store.resources, clock=store.clock)

    pauses = [await store.turn() for _ in range(20)]

    assert len(set(pauses)) > 10
    assert 48.0 <= min(pauses) <= max(pauses) <= 60.0


# ── orders that wait for their status ───────────────────────────────────────────────────────────────────────────


async def test_an_order_that_has_waited_long_for_its_status_is_looked_at_again(store: Reconciled) -> None:
    transitions = store.resources.transitions
    for order_id, ask_in in ((1, 90.0), (2, 900.0)):
        entry, _ = await transitions.begin_attempt(STORE, order_id)
        assert await transitions.await_status(entry, ask_in=ask_in)

    await store.turn(60.0)
    assert await store.jobs() == []
    await store.turn(60.0)
    assert await store.jobs() == [RECOVERY.id(STORE, 1)]
    assert await store.resources.awaiting_status.due(STORE, most=10, ahead_s=HOUR_S) == [2]
    assert not await store.is_polled(), "a status that nobody told of may not have changed at all"


async def test_an_order_that_waits_no_more_is_not_asked_for(store: Reconciled) -> None:
    await store.note(Entry(STORE, 1, status=Status.CREATED))
    await store.house.redis.zadd(waiting_key(STORE), {"1": 0, "2": 0})

    await store.turn(60.0)

    assert await store.jobs() == []
    assert await store.resources.awaiting_status.due(STORE, most=10) == []
