"""A backfill against a real Redis and the sandbox; the workers are played by the test."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import pytest
from arq import ArqRedis
from pydantic import SecretStr

from service.bigcommerce import Account, Priority, QuotaWaitingApi, Transport
from service.bigcommerce.core import Core
from service.errors import CredentialsRefused, Refused, TryAgain
from service.orders.backfill import runner as backfill
from service.orders.backfill.progress import BackfillProgress, DateRange
from service.orders.backfill.runner import MAX_IN_FLIGHT, Backfill
from service.orders.document.cache import Cache
from service.orders.state.entry import Entry, Status
from service.orders.state.jobs import RECOVERY, WINDOW
from service.orders.state.keys import entry_key
from service.orders.state.ledger import Ledger
from service.orders.state.queue import BACKFILL, Queue
from service.orders.state.transitions import Transitions
from tests.fakes.sandbox import RunningSandbox, StillClock, called_sandbox
from workers.lease import end

STORE = "sandbox"
SINCE, UNTIL = datetime(2026, 1, 1, tzinfo=UTC), datetime(2026, 1, 10, 20, tzinfo=UTC)
DAY = 86_400.0
SPAN = DateRange(SINCE, UNTIL, "2026-01-01..")
AGAIN = DateRange(SINCE, UNTIL, "2026-01-01..", again=True)


@dataclass(slots=True)
class Yard:
    """A store with orders of the past, and a queue that is worked off by ``working``."""

    sandbox: RunningSandbox
    redis: ArqRedis
    transport: Transport
    done: list[int] = field(default_factory=list)
    most: int = 0

    async def place(self, count: int, *, age: float = DAY, customer_id: int = 101) -> list[int]:
        placed = [await self.sandbox.place_order(customer_id=customer_id, age=age) for _ in range(count)]
        return [order["id"] for order in placed]

    def backfill(self, span: DateRange = SPAN, watch: Callable[[BackfillProgress], None] = lambda _: None) -> Backfill:
        account = Account(STORE, (SecretStr("sandbox-access-token"),))
        return Backfill(
            QuotaWaitingApi(self.transport, account, priority=Priority.BACKGROUND), self.redis, span, watch=watch
        )

    async def queued(self) -> list[int]:
        assert await self.redis.zcard(WINDOW.queue) == 0, "nothing stands before fresh orders"
        return [int(job.decode().rpartition(":")[2]) for job in await self.redis.zrange(RECOVERY.queue, 0, -1)]

    async def entry(self, order_id: int) -> Entry:
        entry = await Ledger(self.redis).get(STORE, order_id)
        assert entry is not None
        return entry

    async def end(self, *order_ids: int, status: Status = Status.UPDATED, reason: str | None = None) -> None:
        """What a worker does, in the end."""
        for order_id in order_ids:
            entry, _ = await Transitions(self.redis).begin_attempt(STORE, order_id)
            entry.status, entry.reason = status, reason
            await Transitions(self.redis).finish(entry)
            self.done.append(order_id)

    @asynccontextmanager
    async def working(self, status: Status = Status.UPDATED) -> AsyncIterator[None]:
        """A worker that ends every order that is queued."""

        async def work() -> None:
            while True:
                waiting = await self.queued()
                self.most = max(self.most, len(waiting))
                await self.end(*waiting[:7], status=status)
                await asyncio.sleep(0.005)

        worker = asyncio.create_task(work())
        try:
            yield
        finally:
            await end([worker])

    async def run(self, span: DateRange = SPAN) -> BackfillProgress:
        """A whole run beside a worker."""
        run = self.backfill(span)
        async with self.working():
            await run.run()
        return run.course

    async def lists(self) -> int:
        """How often orders were listed."""
        return sum((await self.sandbox.calls())["core"].get("Get All Orders", {}).values())


@pytest.fixture
async def yard(redis: ArqRedis, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Yard]:
    monkeypatch.setattr(backfill, "LOOK_EVERY_S", 0.01)
    monkeypatch.setattr(backfill, "COUNT_WORKERS_EVERY_S", 0.0)
    clock = StillClock()
    async with AsyncExitStack() as stack:
        sandbox = await stack.enter_async_context(called_sandbox(clock, core_quota=10_000))
        http = await stack.enter_async_context(sandbox.api._transport)
        yield Yard(sandbox, redis, Transport(http, core_url=sandbox.url, b2b_url=sandbox.url, clock=clock))


async def reached(run: Backfill, order_id: int, in_hand: int) -> None:
    """Return when the run has come so far."""
    async with asyncio.timeout(30):
        while (run.course.reached, len(run.course.in_hand)) != (order_id, in_hand):  # noqa: ASYNC110
            await asyncio.sleep(0.005)


async def until(condition: Callable[[], Awaitable[bool]]) -> None:
    async with asyncio.timeout(30):
        while not await condition():  # noqa: ASYNC110 - it is Redis that changes
            await asyncio.sleep(0.005)


async def stop(running: "asyncio.Task[None]") -> None:
    """As Ctrl-C does."""
    await end([running])
    assert running.cancelled()


async def test_every_order_is_queued_once_as_one_of_the_past(yard: Yard) -> None:
    orders = await yard.place(3)
    run = yard.backfill()
    running = asyncio.create_task(run.run())
    await until(lambda: has_queued(yard, 3))

    assert await yard.queued() == orders
    entry = await yard.entry(orders[0])
    assert (entry.source, entry.status, entry.age_at(next(iter(entry.times)))) == (BACKFILL, Status.QUEUED, 0.0)
    await yard.end(*orders)
    await running

    assert run.course.outcomes == {(Status.UPDATED, ""): 3}
    assert (run.course.total, run.course.seen, run.course.reached, run.course.is_over) == (3, 3, orders[-1], True)


async def has_queued(yard: Yard, count: int) -> bool:
    return int(await yard.redis.zcard(RECOVERY.queue)) == count


async def test_more_than_a_page_is_walked_and_few_orders_are_in_hand_at_a_time(yard: Yard) -> None:
    orders = await yard.place(260)

    course = await yard.run()

    assert yard.done == orders
    assert yard.most <= MAX_IN_FLIGHT
    assert await yard.lists() == 2
    assert course.outcomes.total() == 260


async def test_only_orders_of_the_time_are_taken(yard: Yard) -> None:
    await yard.place(1, age=20 * DAY)
    (wanted,) = await yard.place(1)
    await yard.place(1, age=60)

    await yard.run()

    assert yard.done == [wanted]


async def test_a_run_that_was_stopped_goes_on_where_all_before_has_ended(yard: Yard) -> None:
    orders = await yard.place(80)
    first = yard.backfill()
    running = asyncio.create_task(first.run())
    await until(lambda: has_queued(yard, MAX_IN_FLIGHT))
    await yard.end(*orders[:20], orders[30])
    await reached(first, orders[19], MAX_IN_FLIGHT)
    await stop(running)

    assert not first.course.is_over

    course = await yard.run()

    assert course.began_after == orders[19]
    assert sorted(yard.done) == orders, "each of them once"
    assert course.is_over
    assert course.known == 12, "a few before the position, and the one that was ahead"
    assert course.outcomes.total() == 59, "those that the first run had queued are followed by the second"


async def test_a_run_that_was_killed_loses_nothing(yard: Yard, monkeypatch: pytest.MonkeyPatch) -> None:
    orders = await yard.place(60)
    with monkeypatch.context() as patched:
        patched.setattr(Backfill, "_keep_position", lambda _: asyncio.sleep(0))
        running = asyncio.create_task(yard.backfill().run())
        await until(lambda: has_queued(yard, MAX_IN_FLIGHT))
        await stop(running)

    course = await yard.run()

    assert (course.began_after, course.outcomes.total()) == (0, 60)
    assert yard.done == orders


async def test_a_finished_run_is_quick_the_next_time_and_takes_what_is_new(yard: Yard) -> None:
    await yard.place(260)
    await yard.run()
    (new,) = await yard.place(1)
    lists, yard.done = await yard.lists(), []

    course = await yard.run()

    assert yard.done == [new]
    assert await yard.lists() - lists == 1
    assert course.outcomes.total() == 1


async def test_the_ledger_spares_what_the_position_does_not(yard: Yard) -> None:
    orders = await yard.place(3)
    await yard.end(*orders[:2])
    yard.done = []

    course = await yard.run()

    assert yard.done == [orders[2]]
    assert course.known == 2


async def test_again_takes_all_of_them_and_once_more_the_next_time(yard: Yard) -> None:
    orders = await yard.place(15)
    await yard.run()
    await Cache(yard.redis, STORE).remember_no_company_user(101)
    for _ in range(2):
        yard.done = []
        course = await yard.run(AGAIN)
        assert (yard.done, course.outcomes) == (orders, {(Status.UPDATED, ""): 15})

    assert (await yard.entry(orders[0])).start_over
    assert not await Cache(yard.redis, STORE).is_no_company_user(101), "what was read before counts no more"
    assert (await yard.backfill().survey()).began_after == orders[-1], "the usual run's position stays"


async def test_again_that_was_stopped_goes_on(yard: Yard) -> None:
    orders = await yard.place(60)
    await yard.run()
    first = yard.backfill(AGAIN)
    running = asyncio.create_task(first.run())
    await until(lambda: has_queued(yard, MAX_IN_FLIGHT))
    await yard.end(*orders[:30])
    await reached(first, orders[29], 30)
    await stop(running)
    yard.done = []

    course = await yard.run(AGAIN)

    assert course.began_after == orders[29]
    assert sorted(yard.done) == orders[19:], "those in hand, and a few before the position"


async def test_what_others_have_in_hand_is_left_to_them(yard: Yard) -> None:
    ours, queued, waiting = await yard.place(3)
    await Queue(yard.redis).enqueue(STORE, queued, source="reconcile", created_at=UNTIL.timestamp())
    await Transitions(yard.redis).await_status(Entry(STORE, waiting))
    run = yard.backfill()
    running = asyncio.create_task(run.run())
    await until(lambda: has_queued(yard, 2))
    await yard.end(ours)
    await running

    assert (run.course.elsewhere, run.course.outcomes.total()) == (2, 1)
    assert (await yard.entry(queued)).source == "reconcile"


async def test_an_order_that_comes_to_wait_for_its_status_is_done_with(yard: Yard) -> None:
    await yard.place(1)
    run = yard.backfill()
    running = asyncio.create_task(run.run())
    await until(lambda: has_queued(yard, 1))
    (order_id,) = await yard.queued()
    await Transitions(yard.redis).await_status((await Transitions(yard.redis).begin_attempt(STORE, order_id))[0])
    await running

    assert run.course.outcomes == {(Status.WAITING, ""): 1}


async def test_what_redis_has_lost_is_queued_again(yard: Yard) -> None:
    orders = await yard.place(2)
    running = asyncio.create_task(yard.backfill().run())
    await until(lambda: has_queued(yard, 2))
    await yard.redis.delete(entry_key(STORE, orders[0]), RECOVERY.key(STORE, orders[0]))
    await yard.redis.zrem(RECOVERY.queue, RECOVERY.id(STORE, orders[0]))
    await until(lambda: has_queued(yard, 2))
    await yard.end(*orders)
    await running


async def test_what_does_not_end_is_left_to_the_workers_in_the_end(yard: Yard, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(backfill, "TROUBLE_AFTER_S", 0.0)
    (stuck,) = await yard.place(1)
    troubles: set[str | None] = set()
    run = yard.backfill(watch=lambda course: troubles.add(course.trouble))
    running = asyncio.create_task(run.run())
    await until(lambda: has_queued(yard, 1))
    entry, _ = await Transitions(yard.redis).begin_attempt(STORE, stuck)
    entry.trouble = "Get Company Details: 404: Not there."
    await Transitions(yard.redis).save(entry)
    async with asyncio.timeout(30):
        while entry.trouble not in troubles:  # noqa: ASYNC110
            await asyncio.sleep(0.005)
    monkeypatch.setattr(backfill, "STALLED_S", 0.0)
    await running

    assert list(run.course.in_hand) == [stuck]
    assert (run.course.is_walked, run.course.is_over, run.course.reached) == (True, False, stuck - 1)
    assert run.course.workers == 0


async def test_an_account_that_is_refused_ends_the_run_and_keeps_the_position(yard: Yard) -> None:
    await yard.place(2)
    await yard.run()
    await yard.sandbox.faults(refuse_credentials=[STORE])

    with pytest.raises(CredentialsRefused):
        await yard.run()

    await yard.sandbox.faults()
    assert (await yard.run()).began_after


async def test_trouble_that_passes_is_outlasted(yard: Yard, monkeypatch: pytest.MonkeyPatch) -> None:
    await yard.place(2)
    listed: list[Any] = []
    usual = Core.orders

    async def orders(self: Any, **asked: Any) -> Any:
        listed.append(asked)
        await yard.sandbox.faults(**({"error_rate": 1.0} if len(listed) == 1 else {}))
        return await usual(self, **asked)

    monkeypatch.setattr(Core, "orders", orders)

    assert (await yard.run()).outcomes.total() == 2
    assert len(listed) == 2


@pytest.mark.parametrize("work", [Backfill.run, Backfill.survey])
async def test_trouble_at_the_start_is_told_at_once(
    yard: Yard, monkeypatch: pytest.MonkeyPatch, work: Callable[[Backfill], Awaitable[object]]
) -> None:
    monkeypatch.setattr(backfill, "FIRST_PATIENCE_S", 0.01)
    await yard.sandbox.faults(error_rate=1.0)
    with pytest.raises(TryAgain):
        await asyncio.wait_for(work(yard.backfill()), 30.0)


async def test_a_store_that_does_not_count_is_walked_all_the_same(yard: Yard, monkeypatch: pytest.MonkeyPatch) -> None:
    async def refused(*_: Any, **__: Any) -> int:
        raise Refused("Get a Count of Orders", "No.", status=400)

    monkeypatch.setattr(Core, "count_orders", refused)
    await yard.place(2)

    course = await yard.run()

    assert (course.total, course.outcomes.total()) == (None, 2)


async def test_a_survey_tells_what_would_be_done_and_does_nothing(yard: Yard) -> None:
    orders = [*await yard.place(3), *await yard.place(2, customer_id=0)]
    await yard.end(orders[0])
    await Transitions(yard.redis).await_status(Entry(STORE, orders[1]))
    before = {key: await yard.redis.dump(key) for key in await yard.redis.keys("*")}

    survey = await yard.backfill().survey()
    again = await yard.backfill(AGAIN).survey()

    assert (survey.orders, survey.known, survey.elsewhere, survey.to_queue, survey.by_guests) == (5, 1, 1, 3, 2)
    assert (again.known, again.elsewhere, again.to_queue) == (0, 1, 4)
    assert {key: await yard.redis.dump(key) for key in await yard.redis.keys("*")} == before
