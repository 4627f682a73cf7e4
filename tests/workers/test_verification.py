"""The record against what was sent: verified, lagging, lost, put back; many in one call."""

from collections.abc import Awaitable
from datetime import UTC, datetime
from typing import Any

import pytest
from arq import Retry
from structlog.testing import capture_logs

from service.bigcommerce.b2b import B2B
from service.bigcommerce.models import Page, Record
from service.configuration import Configuration
from service.errors import Refused, TryAgain, UpstreamError, WaitUntil
from service.orders.state.entry import Entry, Status
from service.orders.state.jobs import RECOVERY, REVERIFY, VERIFY
from service.orders.state.keys import verify_key
from service.stores import Endpoints
from tests.workers.conftest import House, OpenHouse
from workers.attempts import Jobs
from workers.results import Finished, Written
from workers.verification import Verifier

ALL = {"Account No": "ERP-10001"}


class Checker:
    """The jobs of a house, run by hand."""

    def __init__(self, house: House) -> None:
        self.house = house
        self.resources = house.resources()
        self._jobs = Jobs(self.resources, clock=house.clock)
        self._verifier = Verifier(self.resources, clock=house.clock)

    async def write(self, **fields: Any) -> int:
        """An order that was created, and whose record is to be looked at."""
        order_id = await self.house.place(**fields)
        entry = self.house.entry(order_id)
        verdict = await self.house.live(entry)
        assert isinstance(verdict, Written), verdict
        await self.resources.transitions.to_verification(entry, 0.0)
        return order_id

    async def check(self) -> float | None:
        """One turn of the check job; how long it wants to wait, if it could not do its work."""
        return await self._turn(self._verifier.check(context(VERIFY.id("sandbox")), "sandbox"))

    async def reverify(self) -> float | None:
        """The same of the job for second looks."""
        return await self._turn(self._verifier.reverify(context(REVERIFY.id("sandbox")), "sandbox"))

    async def _turn(self, job: Awaitable[None]) -> float | None:
        try:
            await job
        except Retry as retry:
            return (retry.defer_score or 0) / 1000
        return None

    async def left(self) -> tuple[list[int], list[int]]:
        """The orders that are still to be verified, and those that are to be looked at once more."""
        first, second = self.resources.to_verify, self.resources.to_reverify
        return await first.due("sandbox", ahead_s=1000, most=10), await second.due("sandbox", ahead_s=1000, most=10)

    async def check_until_ended(self, order_id: int) -> Entry:
        for _ in range(40):
            entry = await self.entry(order_id)
            if entry.status.is_final:
                return entry
            if await self.house.redis.exists(RECOVERY.key("sandbox", order_id)):
                await self.recover(order_id)
            await self.check()
            self.house.clock.tick(1.0)
        raise AssertionError("the order does not end")

    async def recover(self, order_id: int) -> None:
        await self.house.redis.delete(RECOVERY.key("sandbox", order_id))
        await self._jobs.recover(context(RECOVERY.id("sandbox", order_id)), "sandbox", order_id)

    async def entry(self, order_id: int) -> Entry:
        entry = await self.house.ledger.get("sandbox", order_id)
        assert entry is not None
        return entry

    async def calls(self) -> dict[str, dict[str, int]]:
        """The calls of B2B Edition since the house was opened."""
        calls: dict[str, dict[str, int]] = (await self.house.sandbox.calls())["b2b"]
        return calls


def context(job_id: str) -> dict[str, Any]:
    async def ensure_lease(_: str) -> None:
        return

    return {"job_id": job_id, "job_try": 1, "ensure_lease": ensure_lease, "enqueue_time": datetime.now(UTC)}


@pytest.fixture
def checker(house: House) -> Checker:
    return Checker(house)


async def test_a_record_that_shows_what_was_sent_is_verified(checker: Checker) -> None:
    order_id = await checker.write()

    assert await checker.check() is None

    entry = await checker.entry(order_id)
    assert (entry.status, entry.verified) == (Status.CREATED, True)
    assert (await checker.calls())["Get an Order"] == {"200": 1}


async def test_many_records_are_verified_by_one_call(checker: Checker) -> None:
    orders = [await checker.write(po_number=f"A-{number}") for number in range(60)]

    await checker.check()

    assert {(await checker.entry(order_id)).status for order_id in orders} == {Status.CREATED}
    calls = await checker.calls()
    assert calls["Get All Orders"] == {"200": 1}
    assert "Get an Order" not in calls


async def test_b2b_orders_that_lie_far_apart_among_others_are_verified_by_one_call_all_the_same(
    checker: Checker,
) -> None:
    """Their ids take two ranges of the store's orders; in the list of B2B Edition they are neighbours."""
    orders = [await checker.write()]
    for _ in range(3):
        for _ in range(130):
            await checker.house.place(0)
        orders.append(await checker.write())

    await checker.check()

    assert {(await checker.entry(order_id)).status for order_id in orders} == {Status.CREATED}
    assert (await checker.calls())["Get All Orders"] == {"200": 1}


async def test_a_record_that_lags_is_looked_at_again_and_not_written_again(checker: Checker) -> None:
    await checker.house.sandbox.faults(read_lag=1.5)
    order_id = await checker.write()

    entry = await checker.check_until_ended(order_id)

    assert (entry.status, entry.verified) == (Status.CREATED, True)
    assert entry.checks == 2
    assert await checker.house.writes(order_id) == (1, 0)


async def test_values_that_got_lost_are_put_back_once(checker: Checker) -> None:
    order_id = await checker.write()
    await checker.house.sandbox.write_record(order_id, po_number="", extra_fields={})

    entry = await checker.check_until_ended(order_id)

    assert (entry.status, entry.verified) == (Status.UPDATED, True)
    assert await checker.house.record(order_id) == ("A-1", ALL)
    assert await checker.house.writes(order_id) == (1, 1)


async def test_values_that_get_lost_again_and_again_fail(checker: Checker) -> None:
    order_id = await checker.write()
    for _ in range(40):
        await checker.house.sandbox.write_record(order_id, po_number="", extra_fields={})
        if await checker.house.redis.exists(RECOVERY.key("sandbox", order_id)):
            await checker.recover(order_id)
            await checker.house.sandbox.write_record(order_id, po_number="", extra_fields={})
        await checker.check()
        checker.house.clock.tick(5.0)
        entry = await checker.entry(order_id)
        if entry.status.is_final:
            break

    assert (entry.status, entry.reason, entry.verified) == (Status.FAILED, "not_persisted", False)
    assert await checker.house.writes(order_id) == (1, 1)


async def test_a_po_that_a_buyer_writes_after_us_is_kept(checker: Checker) -> None:
    order_id = await checker.write()
    await checker.house.sandbox.write_record(order_id, po_number="BUYER-9")

    entry = await checker.check_until_ended(order_id)

    assert entry.kept == ["po_number"]
    assert (await checker.house.record(order_id))[0] == "BUYER-9"
    assert await checker.house.writes(order_id) == (1, 0)


async def test_a_record_without_extra_fields_in_the_list_is_asked_for_by_itself(
    checker: Checker, monkeypatch: pytest.MonkeyPatch
) -> None:
    orders = [await checker.write(po_number=f"A-{number}") for number in range(3)]
    listing = B2B.orders

    async def bare(b2b: B2B, **wanted: Any) -> Page[Record]:
        page = await listing(b2b, **wanted)
        rows = [{"bcOrderId": record.order_id, "poNumber": record.po_number} for record in page.items]
        return Page([Record.model_validate(row) for row in rows], page.total, page.next_offset)

    monkeypatch.setattr(B2B, "orders", bare)
    await checker.check()

    assert {(await checker.entry(order_id)).status for order_id in orders} == {Status.CREATED}
    calls = await checker.calls()
    assert (calls["Get All Orders"], calls["Get an Order"]) == ({"200": 1}, {"200": 3})

    more = [await checker.write(po_number=f"B-{number}") for number in range(3)]
    await checker.check()
    assert {(await checker.entry(order_id)).status for order_id in more} == {Status.CREATED}
    assert (await checker.calls())["Get All Orders"] == {"200": 1}, "which would show them in vain again"


async def test_records_that_wait_long_for_their_look_are_found_below_newer_ones(
    checker: Checker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("workers.record_loader.MOST_PAGES", 1)
    orders = [await checker.write(po_number=f"A-{number}") for number in range(5)]
    checker.house.clock.tick(300.0)
    for _ in range(210):
        await checker.house.place()

    await checker.check()

    assert {(await checker.entry(order_id)).status for order_id in orders} == {Status.CREATED}
    assert (await checker.calls())["Get All Orders"] == {"200": 1}


async def test_every_enriched_order_is_looked_at_once_more_among_its_neighbours(
    checker: Checker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("workers.record_loader.MOST_PAGES", 1)
    orders = [await checker.write(po_number=f"A-{number}") for number in range(5)]
    await checker.check()
    checker.house.clock.tick(30)
    for _ in range(210):
        await checker.house.place()
    before = await checker.calls()

    await checker.reverify()

    after = await checker.calls()
    assert after["Get All Orders"]["200"] - before["Get All Orders"]["200"] == 1
    assert "Get an Order" not in after
    assert await checker.left() == ([], [])
    assert {(await checker.entry(order_id)).status for order_id in orders} == {Status.CREATED}


async def test_a_record_that_stands_alone_is_looked_at_once_more(checker: Checker) -> None:
    await checker.write()
    await checker.check()
    checker.house.clock.tick(50)

    await checker.reverify()

    assert (await checker.calls())["Get an Order"] == {"200": 2}
    assert await checker.left() == ([], [])


async def test_a_second_look_waits_for_quota(open_house: OpenHouse) -> None:
    # User, Company, configs, Create and the first look have used it up.
    checker = Checker(await open_house(b2b_quota=5))
    order_id = await checker.write()
    await checker.check()
    checker.house.clock.tick(30)

    assert await checker.reverify() == pytest.approx(30.0, abs=5.0)
    assert await checker.left() == ([], [order_id])


async def test_a_second_look_at_an_order_that_is_looked_at_anew_is_dropped(checker: Checker) -> None:
    order_id = await checker.write()
    await checker.check()
    await checker.resources.queue.retry("sandbox", order_id)
    checker.house.clock.tick(50)
    before = await checker.calls()

    await checker.reverify()

    assert await checker.left() == ([], [])
    assert (await checker.entry(order_id)).status is Status.QUEUED
    assert await checker.calls() == before


async def test_what_the_platform_lost_after_the_first_look_is_put_back(checker: Checker) -> None:
    order_id = await checker.write()
    await checker.check()
    await checker.house.sandbox.write_record(order_id, po_number="", extra_fields={})
    checker.house.clock.tick(50)
    await checker.reverify()
    assert (await checker.entry(order_id)).status is Status.QUEUED
    assert await checker.left() == ([], [])

    entry = await checker.check_until_ended(order_id)

    assert (entry.status, entry.verified) == (Status.UPDATED, True)
    assert await checker.house.record(order_id) == ("A-1", ALL)


async def test_what_somebody_wrote_over_after_the_first_look_is_theirs(checker: Checker) -> None:
    order_id = await checker.write()
    await checker.check()
    await checker.house.sandbox.write_record(order_id, po_number="STAFF-1")
    checker.house.clock.tick(50)
    await checker.reverify()

    assert (await checker.entry(order_id)).status is Status.CREATED
    assert (await checker.house.record(order_id))[0] == "STAFF-1"


async def test_a_store_whose_credentials_are_refused_keeps_its_second_looks(checker: Checker) -> None:
    order_id = await checker.write()
    await checker.check()
    checker.house.clock.tick(50)
    await checker.house.sandbox.faults(refuse_credentials=["sandbox"])

    with capture_logs() as logs:
        assert await checker.reverify() == 60.0

    assert [line["event"] for line in logs if line["log_level"] != "debug"] == ["check_postponed"]
    assert await checker.left() == ([], [order_id])


async def test_an_order_that_failed_meanwhile_is_left_alone(checker: Checker) -> None:
    order_id = await checker.write()
    await checker.check()
    entry = await checker.entry(order_id)
    entry.status, entry.reason = Status.FAILED, "sent again by hand"
    await checker.house.transitions.finish(entry)
    await checker.house.sandbox.write_record(order_id, po_number="", extra_fields={})
    checker.house.clock.tick(50)

    await checker.reverify()

    assert (await checker.entry(order_id)).status is Status.FAILED
    assert await checker.left() == ([], [])


async def test_what_was_put_back_once_is_not_looked_at_again(checker: Checker) -> None:
    order_id = await checker.write()
    await checker.house.sandbox.write_record(order_id, po_number="", extra_fields={})
    assert (await checker.check_until_ended(order_id)).repaired
    checker.house.clock.tick(50)
    before = await checker.calls()

    await checker.reverify()

    assert await checker.calls() == before
    assert await checker.left() == ([], [])


@pytest.mark.parametrize("told", [None, "2026-01-10T00:00:00Z", 1_768_078_800_000, 0, -5, "1768078800", 10**400])
async def test_whatever_a_record_says_of_when_it_was_made_it_is_looked_at_once_more(
    checker: Checker, monkeypatch: pytest.MonkeyPatch, told: Any
) -> None:
    listing = B2B.orders

    async def orders(b2b: B2B, **wanted: Any) -> Page[Record]:
        page = await listing(b2b, **wanted)
        rows = [
            {"bcOrderId": r.order_id, "poNumber": r.po_number, "extraFields": r.extra_fields, "createdAt": told}
            for r in page.items
        ]
        return Page([Record.model_validate(row) for row in rows], page.total, page.next_offset)

    monkeypatch.setattr(B2B, "orders", orders)
    for number in range(3):
        await checker.write(po_number=f"A-{number}")
    await checker.check()
    checker.house.clock.tick(50)

    assert await checker.reverify() is None
    assert await checker.left() == ([], [])


# ── what cannot be read ─────────────────────────────────────────────────────────────────────────────────────────


def hide(monkeypatch: pytest.MonkeyPatch, unreadable: int, error: UpstreamError) -> None:
    """Get an Order answers with this error for one order."""
    reading = B2B.order

    async def order(b2b: B2B, order_id: int) -> Record:
        if order_id == unreadable:
            raise error
        return await reading(b2b, order_id)

    monkeypatch.setattr(B2B, "order", order)


TROUBLES = [TryAgain("Get an Order", "no", status=500), Refused("Get an Order", "no", status=400)]


@pytest.mark.parametrize("error", TROUBLES, ids=repr)
async def test_a_record_that_cannot_be_read_keeps_no_other_from_being_verified(
    checker: Checker, monkeypatch: pytest.MonkeyPatch, error: UpstreamError
) -> None:
    unreadable, other = await two_that_stand_alone(checker)
    hide(monkeypatch, unreadable, error)

    assert await checker.check() == 5.0

    assert (await checker.entry(other)).verified is True
    assert await checker.left() == ([unreadable], [other])
    checker.house.clock.tick(61.0)
    assert await checker.check() == 5.0
    assert await checker.left() == ([], [other])
    assert await checker.house.redis.exists(RECOVERY.key("sandbox", unreadable)), "where it is given up in the end"


@pytest.mark.parametrize("error", TROUBLES, ids=repr)
async def test_a_record_that_cannot_be_read_keeps_no_other_from_its_second_look(
    checker: Checker, monkeypatch: pytest.MonkeyPatch, error: UpstreamError
) -> None:
    unreadable, lost = await two_that_stand_alone(checker)
    await checker.check()
    await checker.house.sandbox.write_record(lost, po_number="", extra_fields={})
    hide(monkeypatch, unreadable, error)
    checker.house.clock.tick(50)

    assert await checker.reverify() == 5.0

    assert (await checker.entry(lost)).status is Status.QUEUED
    assert await checker.left() == ([], [unreadable])
    checker.house.clock.tick(600)
    await checker.reverify()
    assert await checker.left() == ([], [])


async def two_that_stand_alone(checker: Checker) -> tuple[int, int]:
    """Two orders with so many between them that each is asked for by itself."""
    first = await checker.write()
    for _ in range(260):
        await checker.house.place(0)
    return first, await checker.write(po_number="A-2")


@pytest.mark.parametrize("error", TROUBLES, ids=repr)
async def test_records_are_read_one_by_one_where_lists_cannot_be_had(
    checker: Checker, monkeypatch: pytest.MonkeyPatch, error: UpstreamError
) -> None:
    async def orders(_: B2B, **wanted: Any) -> Page[Record]:
        raise error

    monkeypatch.setattr(B2B, "orders", orders)
    written = [await checker.write(po_number=f"A-{number}") for number in range(5)]

    assert await checker.check() == 5.0

    assert {(await checker.entry(order_id)).status for order_id in written} == {Status.CREATED}


@pytest.mark.parametrize(
    ("error", "pause"), [(TROUBLES[0], 5.0), (WaitUntil("Get All Orders", "spent", seconds=9.0), 9.0)], ids=repr
)
async def test_what_the_first_page_showed_counts_whatever_becomes_of_the_second(
    checker: Checker, monkeypatch: pytest.MonkeyPatch, error: UpstreamError, pause: float
) -> None:
    listing = B2B.orders

    async def orders(b2b: B2B, **wanted: Any) -> Page[Record]:
        if wanted["offset"]:
            raise error
        return await listing(b2b, **wanted, limit=3)

    monkeypatch.setattr(B2B, "orders", orders)
    written = [await checker.write(po_number=f"A-{number}") for number in range(20)]

    assert await checker.check() == pause

    statuses = [(await checker.entry(order_id)).status for order_id in written]
    assert statuses[-3:] == [Status.CREATED] * 3


async def test_a_spent_quota_postpones_the_look(open_house: OpenHouse) -> None:
    checker = Checker(await open_house(b2b_quota=4))
    await checker.write()

    # User, Company, configs and Create have used it up.
    assert await checker.check() == pytest.approx(60.0, abs=5.0)


async def test_trouble_postpones_the_look_and_loses_nothing(checker: Checker) -> None:
    order_id = await checker.write()
    await checker.house.sandbox.faults(b2b_down=True)
    assert await checker.check() == 5.0
    await checker.house.sandbox.faults(refuse_credentials=["sandbox"])
    with capture_logs() as logs:
        assert await checker.check() is None
    assert [line["event"] for line in logs if line["log_level"] != "debug"] == ["credentials_refused", "order_parked"]
    assert await checker.left() == ([], [])
    assert await checker.check() == 60.0

    await checker.house.sandbox.faults()
    assert await checker.resources.breaker.release("sandbox") == 1
    assert (await checker.check_until_ended(order_id)).status is Status.CREATED
    assert await checker.house.writes(order_id) == (1, 0)


async def test_an_order_that_ended_while_it_waited_needs_no_first_look(checker: Checker) -> None:
    order_id = await checker.write()
    entry = await checker.entry(order_id)
    entry.status = Finished(Status.CREATED).status
    await checker.house.transitions.finish(entry)

    await checker.resources.redis.zadd(verify_key("sandbox"), {str(order_id): 0})  # as an older version left it

    await checker.check()

    assert await checker.left() == ([], [])


async def test_the_orders_of_a_store_that_is_gone_wait_in_recovery_until_it_is_back(checker: Checker) -> None:
    verified = await checker.write()
    await checker.check()
    order_id = await checker.write(po_number="A-2")
    checker.house.clock.tick(40)
    before, checker.resources.configuration = checker.resources.configuration, Configuration(Endpoints(), {}, ())
    calls = await checker.calls()

    assert await checker.check() is None
    assert await checker.reverify() is None
    assert await checker.left() == ([], [])
    assert (await checker.entry(verified)).status is Status.CREATED
    assert (await checker.entry(order_id)).status is Status.QUEUED
    assert await checker.calls() == calls

    checker.resources.configuration = before
    entry = await checker.check_until_ended(order_id)
    assert (entry.status, entry.verified) == (Status.CREATED, True)
    assert await checker.house.writes(order_id) == (1, 0)
