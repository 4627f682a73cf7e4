"""Orders read for many at once: what lists leave out, what fails, and who gives up."""

import asyncio

import httpx
import pytest

from service.errors import CredentialsRefused, NotFound, TryAgain
from service.orders.document.batch_loader import SINGLES
from service.orders.document.metafield_lists import RECENT_S
from tests.fakes.loader_stack import (
    BAD_REQUEST,
    LIST,
    LIST_METAFIELDS,
    METAFIELDS,
    SINGLE,
    SINGLE_METAFIELDS,
    House,
    ids_of,
    passing,
    po_numbers,
)

# ── what lists do not show ────────────────────────────────────────────────────────────────────────────────────────


async def test_an_order_that_is_not_there_does_not_disturb_the_others(house: House) -> None:
    ids = await house.place(20)
    missing = ids[-1] + 1

    *found, lost = await house.outcomes([*ids, missing], METAFIELDS)

    assert [each["order"]["id"] for each in found if isinstance(each, dict)] == ids
    assert isinstance(lost, NotFound)
    assert lost.operation == SINGLE


async def test_an_order_that_a_list_leaves_out_is_read_by_itself(house: House) -> None:
    ids = await house.place_with_metafields(20)
    house.wire.hidden = {ids[10], ids[11]}

    documents = await house.read(ids, METAFIELDS)

    assert ids_of(documents) == ids
    assert po_numbers(documents) == [f"A-{number}" for number in range(20)]
    assert (await house.calls())[SINGLE] == SINGLES + 2


async def test_metafields_of_an_order_that_is_older_than_the_hint_are_its_own_call(house: House) -> None:
    old = await house.place_with_metafields(5)
    house.clock.tick(RECENT_S / 2)
    young = await house.place_with_metafields(10)

    documents = await house.read([*young, *old], METAFIELDS)

    assert ids_of(documents) == [*young, *old]
    assert None not in po_numbers(documents)
    assert await house.calls() == {SINGLE: SINGLES, SINGLE_METAFIELDS: SINGLES + 5, LIST: 1, LIST_METAFIELDS: 1}


async def test_metafields_of_old_orders_are_not_listed(house: House) -> None:
    ids = await house.place_with_metafields(10)
    created_at = house.clock.now
    house.clock.tick(RECENT_S + 1)

    documents = await house.read(ids, METAFIELDS, created_hint=created_at)

    assert po_numbers(documents) == [f"A-{number}" for number in range(10)]
    assert await house.calls() == {SINGLE: SINGLES, SINGLE_METAFIELDS: 10, LIST: 1}


async def test_metafields_are_listed_when_nobody_knows_how_old_the_orders_are(house: House) -> None:
    ids = await house.place_with_metafields(20)
    house.clock.tick(RECENT_S / 2)

    documents = await house.read(ids, METAFIELDS, created_hint=None)

    assert po_numbers(documents) == [f"A-{number}" for number in range(20)]
    assert (await house.calls())[LIST_METAFIELDS] == 1


async def test_a_list_that_has_never_shown_a_metafield_is_not_trusted(house: House) -> None:
    ids = await house.place_with_metafields(10)
    house.wire.replaced["/v3/orders/metafields"] = httpx.Response(200, json={"data": [], "meta": {}})

    assert po_numbers(await house.read(ids, METAFIELDS)) == [f"A-{number}" for number in range(10)]


async def test_a_list_that_has_shown_metafields_may_be_empty(house: House) -> None:
    await house.read(await house.place_with_metafields(10), METAFIELDS)
    house.clock.tick(RECENT_S)
    without = await house.place(10)
    await house.calls()

    assert po_numbers(await house.read(without, METAFIELDS)) == [None] * 10
    assert await house.calls() == {SINGLE: SINGLES, SINGLE_METAFIELDS: SINGLES, LIST: 1, LIST_METAFIELDS: 1}


async def test_metafields_are_read_one_by_one_where_there_is_no_list_of_them(house: House) -> None:
    ids = await house.place_with_metafields(10)
    house.wire.replaced["/v3/orders/metafields"] = BAD_REQUEST

    assert po_numbers(await house.read(ids, METAFIELDS)) == [f"A-{number}" for number in range(10)]
    assert await house.calls() == {SINGLE: SINGLES, SINGLE_METAFIELDS: 10, LIST: 1}


async def test_orders_are_read_one_by_one_where_there_is_no_list_of_them(house: House) -> None:
    ids = await house.place(10)
    house.wire.replaced["/v2/orders"] = BAD_REQUEST

    assert ids_of(await house.read(ids)) == ids
    assert await house.calls() == {SINGLE: 10}


async def test_an_order_whose_date_cannot_be_read_still_has_its_metafields(house: House) -> None:
    ids = await house.place_with_metafields(6)
    orders = [{"id": order_id, "date_created": None} for order_id in ids]
    house.wire.replaced["/v2/orders"] = httpx.Response(200, json=orders)

    assert po_numbers(await house.read(ids, METAFIELDS)) == [f"A-{number}" for number in range(6)]


# ── trouble ───────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_a_list_that_fails_fails_for_all_who_wait_for_it(house: House) -> None:
    ids = await house.place(10)
    await house.sandbox.faults(error_rate=1, operations=[LIST])

    outcomes = await house.outcomes(ids)

    assert [each["order"]["id"] for each in outcomes[:SINGLES] if isinstance(each, dict)] == ids[:SINGLES]
    errors = outcomes[SINGLES:]
    assert all(isinstance(each, TryAgain) and each.operation == LIST and each.status for each in errors)
    assert len(set(map(id, errors))) == len(errors)
    assert len({id(each.__traceback__) for each in errors if isinstance(each, TryAgain)}) == len(errors)

    await house.sandbox.faults()
    assert ids_of(await house.read(ids)) == ids


async def test_a_list_of_metafields_that_fails_fails_for_those_who_need_it(house: House) -> None:
    ids = await house.place(SINGLES + 4)
    await house.sandbox.faults(error_rate=1, operations=[LIST_METAFIELDS])

    without = house.start(ids[: SINGLES + 2])
    needing = house.start(ids[SINGLES + 2 :], METAFIELDS)

    assert ids_of(await asyncio.gather(*without)) == ids[: SINGLES + 2]
    for task in needing:
        with pytest.raises(TryAgain, match=LIST_METAFIELDS):
            await task


async def test_one_list_of_a_batch_may_fail_while_the_other_answers(house: House) -> None:
    ids = await house.place(600)
    low, high = ids[:5], ids[-5:]
    original = house.wire._inner

    async def low_fails(request: httpx.Request) -> httpx.Response:
        if request.url.params.get("min_id") == str(low[0]):
            return httpx.Response(503)
        return await original.handle_async_request(request)

    house.wire._inner = httpx.MockTransport(low_fails)
    outcomes = await house.outcomes(ids[100 : 100 + SINGLES] + low + high)

    assert all(isinstance(each, TryAgain) for each in outcomes[SINGLES : SINGLES + 5])
    assert [each["order"]["id"] for each in outcomes[SINGLES + 5 :] if isinstance(each, dict)] == high


async def test_refused_credentials_are_told_as_such(house: House) -> None:
    ids = await house.place(10)
    await house.sandbox.faults(refuse_credentials=["sandbox"])

    assert all(isinstance(each, CredentialsRefused) for each in await house.outcomes(ids, METAFIELDS))


async def test_a_bug_reaches_those_who_wait(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    ids = await house.place(10)
    monkeypatch.setattr("service.orders.document.batch_loader._tell", lambda *_: 1 / 0)

    outcomes = await house.outcomes(ids)

    assert all(isinstance(each, ZeroDivisionError) for each in outcomes[SINGLES:])


# ── those who give up ─────────────────────────────────────────────────────────────────────────────────────────────


async def test_who_gives_up_leaves_the_others_alone(house: House) -> None:
    ids = await house.place(20)
    listed = house.wire.hold("/v2/orders")
    reading = house.start(ids)
    await house.until_asked("/v2/orders")
    gone = reading.pop(SINGLES)
    gone.cancel()
    listed.set()

    assert len(await asyncio.gather(*reading)) == 19
    assert gone.cancelled()


async def test_who_gives_up_before_its_turn_is_not_read(house: House) -> None:
    ids = await house.place(SINGLES + 1)
    held = house.wire.hold(f"/v2/orders/{ids[0]}")
    running = house.start([ids[0]] * SINGLES)
    (waiting,) = house.start(ids[-1:])
    await asyncio.sleep(0)
    waiting.cancel()
    held.set()
    await asyncio.gather(*running)

    assert waiting.cancelled()
    assert await house.calls() == {SINGLE: SINGLES}


async def test_a_single_that_is_given_up_makes_room(house: House) -> None:
    ids = await house.place(SINGLES + 1)
    house.wire.hold(f"/v2/orders/{ids[0]}")
    hanging = house.start([ids[0]] * SINGLES)
    (waiting,) = house.start(ids[-1:])
    await asyncio.sleep(0)

    hanging[0].cancel()

    assert (await waiting)["order"]["id"] == ids[-1]
    for task in hanging:
        task.cancel()
    await asyncio.gather(*hanging, return_exceptions=True)


async def test_a_batch_ends_when_nobody_waits_for_it_any_more(house: House) -> None:
    house.wire.hold("/v2/orders")
    reading = house.start(await house.place(20))
    await house.until_asked("/v2/orders")
    for task in reading:
        task.cancel()
    await asyncio.gather(*reading, return_exceptions=True)

    await passing(lambda: house.reader._batch is None)


@pytest.mark.parametrize("pauses", range(12))
async def test_nothing_hangs_when_all_give_up_at_any_moment(house: House, pauses: int) -> None:
    ids = await house.place(20)
    house.wire.hold("/v2/orders")
    reading = house.start(ids)
    for _ in range(pauses):
        await asyncio.sleep(0)
    for task in reading:
        task.cancel()
    await asyncio.gather(*reading, return_exceptions=True)

    house.wire.held.clear()
    assert ids_of(await house.read(ids)) == ids


async def test_a_batch_that_nobody_has_waited_for_yet_can_be_given_up(house: House) -> None:
    ids = await house.place(SINGLES + 2)
    held = house.wire.hold(f"/v2/orders/{ids[0]}")
    running = house.start([ids[0]] * SINGLES)
    waiting = house.start(ids[-2:])
    await asyncio.sleep(0)
    held.set()
    await passing(lambda: house.reader._batch is not None)
    for task in waiting:
        task.cancel()
    await asyncio.gather(*running, *waiting, return_exceptions=True)

    assert ids_of(await house.read(ids)) == ids


async def test_a_batch_that_is_stopped_lets_those_go_who_wait_for_it(house: House) -> None:
    ids = await house.place(20)
    house.wire.hold("/v2/orders")
    reading = house.start(ids)
    await house.until_asked("/v2/orders")
    assert house.reader._batch is not None

    house.reader._batch.cancel()

    outcomes = await asyncio.gather(*reading, return_exceptions=True)
    assert all(isinstance(each, asyncio.CancelledError) for each in outcomes[SINGLES:])
    house.wire.held.clear()
    assert ids_of(await house.read(ids)) == ids
