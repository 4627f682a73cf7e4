"""Creates past the quota while the storefront API fails: it is closed for all orders, and tried by one."""

from typing import Any

import httpx
import pytest
from structlog.testing import capture_logs

from service.orders.state.keys import storefront_closed_key, storefront_failures_key
from service.orders.state.order_entry import Status
from service.orders.state.per_store.storefront.storefront_breaker import (
    Failure,
    Permission,
    StorefrontBreaker,
    StorefrontState,
)
from tests.fakes.stacks.job_stack import CUSTOMER
from tests.fakes.stacks.overflow_stack import (
    COMMENT,
    CREATE,
    STOREFRONT,
    TAKEN,
    UNSURE,
    Overflow,
    events_of,
    over_quota,
    refused,
)
from tests.fakes.upstream import STORE_HASH

NEVER_SENT = {
    "no connection": httpx.ConnectError("refused"),
    "no connection in time": httpx.ConnectTimeout("no answer"),
}
CLOSED, FAILURES = storefront_closed_key(STORE_HASH), storefront_failures_key(STORE_HASH)


async def due_in(overflow: Overflow) -> float:
    """In how many seconds the order's next attempt is due."""
    due_at = await overflow.stack.due_at()
    assert due_at is not None
    return due_at - overflow.stack.clock()


# ── closed ────────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("answer", [*UNSURE.values(), *NEVER_SENT.values()], ids=[*UNSURE, *NEVER_SENT])
async def test_a_failure_closes_this_way_for_two_seconds_and_is_logged_once(overflow: Overflow, answer: Any) -> None:
    await overflow.hold()
    overflow.stack.upstream.on(STOREFRONT, answer)
    with capture_logs() as logs:
        await overflow.attempt()
        await overflow.breaker.failed(Permission(), "of another order, at the same time")
    ((*line, trouble),) = events_of(logs)
    assert line == ["storefront_closed", "warning", 2]
    assert trouble.startswith("Create an Order: ")
    assert 0 < await overflow.stack.redis.pttl(CLOSED) <= 2000
    assert (await overflow.breaker.read()).failures == 1
    assert await overflow.tokens.get(CUSTOMER, 1) is not None, "it says nothing of the token"


async def test_while_this_way_is_closed_an_order_takes_the_ordinary_way_at_once(overflow: Overflow) -> None:
    """The last calls are there for it, and none is spent on reading back."""
    await overflow.hold()
    await overflow.fails_elsewhere()
    await overflow.leave(2)  # the field settings take one
    await overflow.stack.webhook()
    entry = await overflow.stack.run_until_finished()

    assert overflow.asked[0] == CREATE
    assert STOREFRONT not in overflow.asked
    assert (entry.status, entry.in_window, entry.via) == (Status.CREATED, True, "b2b")


async def test_an_order_that_keeps_its_comment_takes_the_ordinary_way_too(overflow: Overflow) -> None:
    overflow.stack.configure(keys=COMMENT)
    await overflow.hold()
    await overflow.fails_elsewhere()
    await overflow.stack.webhook()
    entry = await overflow.stack.run_until_finished()

    assert (overflow.asked[0], overflow.sent) == (CREATE, [])
    assert (entry.status, entry.in_window, entry.comment_not_kept) == (Status.CREATED, True, True)


async def test_an_order_without_room_waits_until_this_way_is_tried_again(overflow: Overflow) -> None:
    """A glitch of another order's Create must not cost this one its window."""
    await overflow.hold()
    await overflow.fails_elsewhere()
    with capture_logs() as logs:
        entry = await overflow.attempt()
        assert (entry.status, entry.sent, overflow.asked) == (Status.QUEUED, None, [])
        assert 1.0 < await due_in(overflow) < 2.1

        await overflow.closure_ends()
        await overflow.stack.run_next()
        assert overflow.asked == [STOREFRONT]
        entry = await overflow.stack.run_until_finished()
    assert (entry.status, entry.in_window, entry.via) == (Status.CREATED, True, "storefront")
    assert events_of(logs) == [("storefront_reopened", "warning", None, None)]
    assert not await overflow.stack.redis.exists(CLOSED, FAILURES)


async def test_a_create_that_was_never_sent_goes_when_this_way_is_tried_again(overflow: Overflow) -> None:
    """It needs no read-back."""
    await overflow.hold()
    answers = httpx.ConnectError("refused"), lambda request: overflow._make(request, TAKEN)
    overflow.stack.upstream.on(STOREFRONT, *answers)
    with capture_logs() as logs:
        entry = await overflow.attempt()
        assert (entry.status, entry.sent, overflow.asked) == (Status.QUEUED, None, [STOREFRONT])
        await overflow.closure_ends()
        await overflow.stack.run_next()
        assert overflow.asked == [STOREFRONT, STOREFRONT]
        entry = await overflow.stack.run_until_finished()
    assert (entry.status, entry.in_window, entry.via) == (Status.CREATED, True, "storefront")
    assert [event for event, *_ in events_of(logs)] == ["storefront_closed", "storefront_reopened"]


async def test_a_closure_that_ends_at_once_is_waited_for_by_another_attempt(
    overflow: Overflow, monkeypatch: pytest.MonkeyPatch
) -> None:
    """This attempt does not ask again whether the way is open."""

    async def state(_: StorefrontBreaker) -> StorefrontState:
        return StorefrontState(closed_s=0.1, failures=1)

    monkeypatch.setattr(StorefrontBreaker, "state", state)
    await overflow.hold()
    await overflow.attempt()
    assert overflow.asked == []
    assert 0.2 < await due_in(overflow) < 0.3


async def test_a_create_that_fails_when_the_way_is_open_again_is_tried_again_a_second_later(
    overflow: Overflow, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Others have closed and opened it while this Create was on its way."""

    async def failed(*_: object) -> Failure:
        return Failure(closed_s=0.0)

    monkeypatch.setattr(StorefrontBreaker, "failed", failed)
    await overflow.hold()
    overflow.stack.upstream.on(STOREFRONT, httpx.ConnectError("refused"))
    await overflow.attempt()
    assert 0.9 < await due_in(overflow) < 1.1


# ── a trial ───────────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_while_another_order_tries_this_way_the_order_asks_again_a_second_later(overflow: Overflow) -> None:
    await overflow.hold()
    await overflow.fails_elsewhere()
    await overflow.closure_ends()
    trial = await overflow.breaker.acquire(await overflow.breaker.read())
    await overflow.attempt()
    assert overflow.asked == []
    assert 0.9 < await due_in(overflow) < 1.1

    await overflow.breaker.succeeded(trial)
    await overflow.stack.run_next()
    assert overflow.asked == [STOREFRONT]


async def test_a_trial_that_fails_closes_this_way_for_twice_as_long_without_another_warning(overflow: Overflow) -> None:
    await overflow.hold()
    await overflow.fails_elsewhere(2)
    await overflow.closure_ends()
    overflow.stack.upstream.on(STOREFRONT, UNSURE["503"])
    with capture_logs() as logs:
        await overflow.attempt()
    assert [line[:3] for line in events_of(logs)] == [("storefront_closed", "debug", 8)]
    assert 7000 < await overflow.stack.redis.pttl(CLOSED) <= 8000


@pytest.mark.parametrize("status", [400, 401, 403, 404, 422])
async def test_a_trial_whose_buyer_or_values_are_refused_lets_another_order_try(
    overflow: Overflow, status: int
) -> None:
    await overflow.hold()
    await overflow.fails_elsewhere()
    await overflow.closure_ends()
    overflow.stack.upstream.on(STOREFRONT, refused(status, "not this one"))
    with capture_logs() as logs:
        await overflow.attempt()
    assert overflow.asked == [STOREFRONT]
    assert events_of(logs) == []
    state = await overflow.breaker.read()
    assert (state.closed_s, state.failures) == (0.0, 1)


async def test_a_trial_that_finds_a_record_opens_this_way(overflow: Overflow) -> None:
    await overflow.hold()
    await overflow.fails_elsewhere()
    await overflow.closure_ends()
    overflow.stack.record.make("THEIRS")
    overflow.stack.upstream.on(STOREFRONT, refused(400, "The order already exists.", 40013))
    with capture_logs() as logs:
        await overflow.attempt()
    assert [event for event, *_ in events_of(logs)] == ["storefront_reopened"]


# ── the last chance ───────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("is_done", [True, False], ids=["done", "not done"])
async def test_an_order_that_would_miss_its_window_goes_over_a_closed_way_once(
    overflow: Overflow, *, is_done: bool
) -> None:
    """It has no other way, and its record must be read before an Update in any case."""
    await overflow.hold()
    await overflow.fails_elsewhere(3)
    answer = httpx.ReadTimeout("no answer")
    if is_done:
        overflow.takes(answer)
    else:
        overflow.stack.upstream.on(STOREFRONT, answer)
    with capture_logs() as logs:
        entry = await overflow.attempt()  # closed for 8 s, and 9.5 s of the window are left
    assert overflow.asked == [STOREFRONT]
    assert entry.sent is not None
    assert (entry.sent.via, entry.sent.answered) == ("storefront", False)
    assert (events_of(logs), (await overflow.breaker.read()).failures) == ([], 3), "only trials set the pace"

    await overflow.read_back(is_done=is_done)


async def test_a_last_chance_that_is_taken_opens_this_way(overflow: Overflow) -> None:
    await overflow.hold()
    await overflow.fails_elsewhere(3)
    with capture_logs() as logs:
        await overflow.attempt()
        entry = await overflow.stack.run_until_finished()
    assert (entry.status, entry.in_window, entry.via) == (Status.CREATED, True, "storefront")
    assert [event for event, *_ in events_of(logs)] == ["storefront_reopened"]


async def test_an_order_whose_own_create_has_failed_waits_for_its_last_chance(overflow: Overflow) -> None:
    """Sent at once, it would meet the same trouble."""
    await overflow.hold()
    overflow.stack.clock.tick(5.0)  # 4.5 s of the window are left
    overflow.stack.upstream.on(STOREFRONT, httpx.ConnectError("refused"))
    entry = await overflow.attempt()
    assert (overflow.asked, entry.sent) == ([STOREFRONT], None)
    assert 1.9 < await due_in(overflow) < 2.1

    overflow.takes(TAKEN)
    await overflow.stack.run_next()  # another order's trial is still to come
    assert overflow.asked == [STOREFRONT, STOREFRONT]
    entry = await overflow.stack.run_until_finished()
    assert (entry.status, entry.in_window, entry.via) == (Status.CREATED, True, "storefront")


async def test_a_last_chance_that_could_not_be_sent_is_not_tried_again_at_once(overflow: Overflow) -> None:
    await overflow.hold()
    await overflow.fails_elsewhere(3)
    overflow.stack.clock.tick(8.0)
    overflow.stack.upstream.on(STOREFRONT, httpx.ConnectError("refused"))
    entry = await overflow.attempt()
    assert (overflow.asked, entry.sent) == ([STOREFRONT], None)


async def test_a_reset_of_the_quota_that_comes_before_the_next_try_is_waited_for(overflow: Overflow) -> None:
    overflow.stack.configure(keys=COMMENT)
    await overflow.hold()
    await overflow.fails_elsewhere(2)  # closed for 4 s
    await overflow.leave(1, age_s=57.0)
    await overflow.stack.webhook()
    await overflow.stack.run_next()
    assert overflow.asked == []
    assert 2.9 < await due_in(overflow) < 3.1


async def test_an_order_that_can_wait_for_the_quota_takes_no_last_chance(overflow: Overflow) -> None:
    """The quota resets inside its window, though too late to be sure of a call then."""
    await overflow.hold()
    await overflow.fails_elsewhere(3)
    await overflow.leave(1, age_s=52.0)
    await overflow.stack.webhook()
    await overflow.stack.run_next()
    assert overflow.asked == []
    entry = await overflow.stack.run_until_finished()
    assert overflow.asked[0] == CREATE
    assert (entry.status, entry.in_window, entry.via) == (Status.CREATED, True, "b2b")


async def test_a_way_that_answers_429_is_nobodys_last_chance(overflow: Overflow) -> None:
    await overflow.hold()
    await overflow.fails_elsewhere(3)
    await overflow.closure_ends()
    await overflow.breaker.over_quota(Permission())
    await overflow.attempt()
    assert overflow.asked == []


async def test_an_order_without_a_token_has_no_last_chance(overflow: Overflow) -> None:
    await overflow.fails_elsewhere(3)
    entry = await overflow.attempt()
    assert (overflow.asked, entry.sent) == ([], None)
    assert entry.recovering_since is not None, "it waits for nothing in its window"


async def test_without_overflow_no_order_has_a_last_chance(overflow: Overflow) -> None:
    overflow.stack.configure(keys=COMMENT)
    await overflow.hold()
    await overflow.fails_elsewhere(3)
    await overflow.attempt()
    assert overflow.asked == []


async def test_a_create_long_after_the_window_is_no_last_chance(overflow: Overflow) -> None:
    await overflow.hold()
    await overflow.fails_elsewhere(3)
    overflow.stack.clock.tick(60.0)
    overflow.stack.record.make()
    await overflow.attempt()
    entry = await overflow.stack.run_until_finished()
    assert (entry.status, overflow.sent) == (Status.UPDATED, [])


# ── Redis ─────────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("answer", [TAKEN, httpx.ConnectError("refused"), UNSURE["503"], over_quota()], ids=str)
async def test_errors_of_redis_cost_no_order_its_create(overflow: Overflow, answer: Any) -> None:
    """Redis refuses whatever concerns the breaker, for its key holds something else."""
    await overflow.stack.redis.set(FAILURES, "no hash")
    await overflow.hold()
    if answer is not TAKEN:
        overflow.stack.upstream.on(STOREFRONT, answer)
    await overflow.leave(20)
    await overflow.stack.webhook()
    entry = await overflow.stack.run_until_finished()
    assert overflow.asked[0] == STOREFRONT
    assert (entry.status, entry.in_window) == (Status.CREATED, True)
