"""The batch loader: incomplete lists, errors, and cancelled requests."""

import asyncio

import httpx
import pytest

from service.errors import CredentialsRefused, NotFound, TryAgain
from service.orders.document.batch_loader import MAX_SINGLES
from service.orders.document.metafield_lists import LONGEST_AGE_S, MAX_AGE_S
from tests.fakes.stacks.loader_stack import (
    BAD_REQUEST,
    LIST,
    LIST_METAFIELDS,
    METAFIELDS,
    SINGLE,
    SINGLE_METAFIELDS,
    LoaderStack,
    ids_of,
    po_numbers,
    until,
)

# ── incomplete lists ──────────────────────────────────────────────────────────────────────────────────────────────


async def test_a_missing_order_does_not_affect_the_others(stack: LoaderStack) -> None:
    ids = await stack.place(20)
    missing = ids[-1] + 1

    *found, lost = await stack.outcomes([*ids, missing], METAFIELDS)

    assert [each["order"]["id"] for each in found if isinstance(each, dict)] == ids
    assert isinstance(lost, NotFound)
    assert lost.operation == SINGLE


async def test_an_order_missing_from_a_list_is_read_alone(stack: LoaderStack) -> None:
    ids = await stack.place_with_metafields(20)
    stack.recorder.hidden = {ids[10], ids[11]}

    documents = await stack.read(ids, METAFIELDS)

    assert ids_of(documents) == ids
    assert po_numbers(documents) == [f"A-{number}" for number in range(20)]
    assert (await stack.calls())[SINGLE] == MAX_SINGLES + 2


async def test_metafields_of_an_order_older_than_its_hint_take_a_call_of_their_own(stack: LoaderStack) -> None:
    old = await stack.place_with_metafields(5)
    stack.clock.tick(MAX_AGE_S / 2)
    young = await stack.place_with_metafields(10)

    documents = await stack.read([*young, *old], METAFIELDS)

    assert ids_of(documents) == [*young, *old]
    assert None not in po_numbers(documents)
    assert await stack.calls() == {SINGLE: MAX_SINGLES, SINGLE_METAFIELDS: MAX_SINGLES + 5, LIST: 1, LIST_METAFIELDS: 1}


async def test_metafields_of_old_orders_are_not_listed(stack: LoaderStack) -> None:
    ids = await stack.place_with_metafields(10)
    created_at = stack.clock.now
    stack.clock.tick(LONGEST_AGE_S + 1)

    documents = await stack.read(ids, METAFIELDS, created_hint=created_at)

    assert po_numbers(documents) == [f"A-{number}" for number in range(10)]
    assert await stack.calls() == {SINGLE: MAX_SINGLES, SINGLE_METAFIELDS: 10, LIST: 1}


async def test_metafields_are_listed_when_there_are_no_hints(stack: LoaderStack) -> None:
    ids = await stack.place_with_metafields(20)
    stack.clock.tick(MAX_AGE_S / 2)

    documents = await stack.read(ids, METAFIELDS, created_hint=None)

    assert po_numbers(documents) == [f"A-{number}" for number in range(20)]
    assert (await stack.calls())[LIST_METAFIELDS] == 1


async def test_a_list_that_has_never_shown_a_metafield_is_not_trusted(stack: LoaderStack) -> None:
    ids = await stack.place_with_metafields(10)
    stack.recorder.replaced["/v3/orders/metafields"] = httpx.Response(200, json={"data": [], "meta": {}})

    assert po_numbers(await stack.read(ids, METAFIELDS)) == [f"A-{number}" for number in range(10)]


async def test_a_list_that_has_shown_metafields_may_be_empty(stack: LoaderStack) -> None:
    await stack.read(await stack.place_with_metafields(10), METAFIELDS)
    stack.clock.tick(MAX_AGE_S)
    without = await stack.place(10)
    await stack.calls()

    assert po_numbers(await stack.read(without, METAFIELDS)) == [None] * 10
    assert await stack.calls() == {SINGLE: MAX_SINGLES, SINGLE_METAFIELDS: MAX_SINGLES, LIST: 1, LIST_METAFIELDS: 1}


async def test_metafields_are_read_order_by_order_when_the_list_is_refused(stack: LoaderStack) -> None:
    ids = await stack.place_with_metafields(10)
    stack.recorder.replaced["/v3/orders/metafields"] = BAD_REQUEST

    assert po_numbers(await stack.read(ids, METAFIELDS)) == [f"A-{number}" for number in range(10)]
    assert await stack.calls() == {SINGLE: MAX_SINGLES, SINGLE_METAFIELDS: 10, LIST: 1}


async def test_orders_are_read_alone_when_the_list_is_refused(stack: LoaderStack) -> None:
    ids = await stack.place(10)
    stack.recorder.replaced["/v2/orders"] = BAD_REQUEST

    assert ids_of(await stack.read(ids)) == ids
    assert await stack.calls() == {SINGLE: 10}


async def test_an_order_that_a_list_shows_incompletely_is_read_alone(stack: LoaderStack) -> None:
    ids = await stack.place_with_metafields(6)
    orders = [{"id": order_id, "date_created": None} for order_id in ids]
    stack.recorder.replaced["/v2/orders"] = httpx.Response(200, json=orders)

    assert po_numbers(await stack.read(ids, METAFIELDS)) == [f"A-{number}" for number in range(6)]


# ── errors ────────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_a_failed_list_fails_all_its_requests(stack: LoaderStack) -> None:
    ids = await stack.place(10)
    await stack.sandbox.faults(error_rate=1, operations=[LIST])

    outcomes = await stack.outcomes(ids)

    assert [each["order"]["id"] for each in outcomes[:MAX_SINGLES] if isinstance(each, dict)] == ids[:MAX_SINGLES]
    errors = outcomes[MAX_SINGLES:]
    assert all(isinstance(each, TryAgain) and each.operation == LIST and each.status for each in errors)
    assert len(set(map(id, errors))) == len(errors)
    assert len({id(each.__traceback__) for each in errors if isinstance(each, TryAgain)}) == len(errors)

    await stack.sandbox.faults()
    assert ids_of(await stack.read(ids)) == ids


async def test_a_failed_metafield_list_fails_only_the_requests_that_need_it(stack: LoaderStack) -> None:
    ids = await stack.place(MAX_SINGLES + 4)
    await stack.sandbox.faults(error_rate=1, operations=[LIST_METAFIELDS])

    without = stack.start(ids[: MAX_SINGLES + 2])
    needing = stack.start(ids[MAX_SINGLES + 2 :], METAFIELDS)

    assert ids_of(await asyncio.gather(*without)) == ids[: MAX_SINGLES + 2]
    for task in needing:
        with pytest.raises(TryAgain, match=LIST_METAFIELDS):
            await task


async def test_one_failed_list_of_a_batch_does_not_affect_the_other(stack: LoaderStack) -> None:
    ids = await stack.place(600)
    low, high = ids[:5], ids[-5:]
    original = stack.recorder._inner

    async def low_fails(request: httpx.Request) -> httpx.Response:
        if request.url.params.get("min_id") == str(low[0]):
            return httpx.Response(503)
        return await original.handle_async_request(request)

    stack.recorder._inner = httpx.MockTransport(low_fails)
    outcomes = await stack.outcomes(ids[100 : 100 + MAX_SINGLES] + low + high)

    assert all(isinstance(each, TryAgain) for each in outcomes[MAX_SINGLES : MAX_SINGLES + 5])
    assert [each["order"]["id"] for each in outcomes[MAX_SINGLES + 5 :] if isinstance(each, dict)] == high


async def test_refused_credentials_are_raised_as_such(stack: LoaderStack) -> None:
    ids = await stack.place(10)
    await stack.sandbox.faults(refuse_credentials=["sandbox"])

    assert all(isinstance(each, CredentialsRefused) for each in await stack.outcomes(ids, METAFIELDS))


async def test_a_bug_is_raised_to_all_requests_of_the_batch(
    stack: LoaderStack, monkeypatch: pytest.MonkeyPatch
) -> None:
    ids = await stack.place(10)
    monkeypatch.setattr("service.orders.document.batch_loader._resolve", lambda *_: 1 / 0)

    outcomes = await stack.outcomes(ids)

    assert all(isinstance(each, ZeroDivisionError) for each in outcomes[MAX_SINGLES:])


# ── cancellation ──────────────────────────────────────────────────────────────────────────────────────────────────


async def test_a_cancelled_request_does_not_affect_the_others(stack: LoaderStack) -> None:
    ids = await stack.place(20)
    listed = stack.recorder.hold("/v2/orders")
    reading = stack.start(ids)
    await stack.until_listed("/v2/orders")
    cancelled = reading.pop(MAX_SINGLES)
    cancelled.cancel()
    listed.set()

    assert len(await asyncio.gather(*reading)) == 19
    assert cancelled.cancelled()


async def test_a_request_cancelled_in_the_queue_is_not_read(stack: LoaderStack) -> None:
    ids = await stack.place(MAX_SINGLES + 1)
    held = stack.recorder.hold(f"/v2/orders/{ids[0]}")
    running = stack.start([ids[0]] * MAX_SINGLES)
    (waiting,) = stack.start(ids[-1:])
    await asyncio.sleep(0)
    waiting.cancel()
    held.set()
    await asyncio.gather(*running)

    assert waiting.cancelled()
    assert await stack.calls() == {SINGLE: MAX_SINGLES}


async def test_a_cancelled_single_frees_its_slot(stack: LoaderStack) -> None:
    ids = await stack.place(MAX_SINGLES + 1)
    stack.recorder.hold(f"/v2/orders/{ids[0]}")
    hanging = stack.start([ids[0]] * MAX_SINGLES)
    (waiting,) = stack.start(ids[-1:])
    await asyncio.sleep(0)

    hanging[0].cancel()

    assert (await waiting)["order"]["id"] == ids[-1]
    for task in hanging:
        task.cancel()
    await asyncio.gather(*hanging, return_exceptions=True)


async def test_a_batch_is_cancelled_when_all_its_requests_are(stack: LoaderStack) -> None:
    stack.recorder.hold("/v2/orders")
    reading = stack.start(await stack.place(20))
    await stack.until_listed("/v2/orders")
    for task in reading:
        task.cancel()
    await asyncio.gather(*reading, return_exceptions=True)

    await until(lambda: stack.loader._batch is None)


@pytest.mark.parametrize("pauses", range(12))
async def test_nothing_hangs_when_all_requests_are_cancelled_at_any_moment(stack: LoaderStack, pauses: int) -> None:
    ids = await stack.place(20)
    stack.recorder.hold("/v2/orders")
    reading = stack.start(ids)
    for _ in range(pauses):
        await asyncio.sleep(0)
    for task in reading:
        task.cancel()
    await asyncio.gather(*reading, return_exceptions=True)

    stack.recorder.held.clear()
    assert ids_of(await stack.read(ids)) == ids


async def test_a_batch_can_be_cancelled_before_its_first_step(stack: LoaderStack) -> None:
    ids = await stack.place(MAX_SINGLES + 2)
    held = stack.recorder.hold(f"/v2/orders/{ids[0]}")
    running = stack.start([ids[0]] * MAX_SINGLES)
    waiting = stack.start(ids[-2:])
    await asyncio.sleep(0)
    held.set()
    await until(lambda: stack.loader._batch is not None)
    for task in waiting:
        task.cancel()
    await asyncio.gather(*running, *waiting, return_exceptions=True)

    assert ids_of(await stack.read(ids)) == ids


async def test_a_cancelled_batch_cancels_its_requests(stack: LoaderStack) -> None:
    ids = await stack.place(20)
    stack.recorder.hold("/v2/orders")
    reading = stack.start(ids)
    await stack.until_listed("/v2/orders")
    assert stack.loader._batch is not None

    stack.loader._batch.cancel()

    outcomes = await asyncio.gather(*reading, return_exceptions=True)
    assert all(isinstance(each, asyncio.CancelledError) for each in outcomes[MAX_SINGLES:])
    stack.recorder.held.clear()
    assert ids_of(await stack.read(ids)) == ids
