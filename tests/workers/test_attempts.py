"""The jobs of one order: where it is after each of them, and that it always ends."""

from collections import Counter

import httpx
import pytest
from redis.exceptions import TimeoutError as RedisTimeoutError
from structlog.testing import capture_logs

from service.orders.state.breaker import LONGEST_PROBE_S
from service.orders.state.entry import Entry, Stage, Status
from service.orders.state.jobs import RECOVERY, WINDOW
from service.orders.state.keys import checks_key, parked_key, waiting_key
from service.orders.state.queue import Accepted
from tests.fakes.job_stack import ACCOUNT, ORDER, RECORD, Workshop, failure
from tests.fakes.upstream import STORE_HASH
from workers.attempts import GIVE_UP_AFTER_S
from workers.lifecycle import Life

WAIT = 'incomplete_orders = "wait"'


async def test_an_order_is_created_verified_and_looked_at_once_more(workshop: Workshop) -> None:
    await workshop.webhook()

    entry = await workshop.ended()

    assert (entry.status, entry.verified, entry.attempts) == (Status.CREATED, True, 1)
    assert await workshop.queued() == [f"second_look:{STORE_HASH}"]
    await workshop.turn()
    assert await workshop.queued() == []
    assert await workshop.redis.exists(checks_key(STORE_HASH)) == 0


async def test_an_order_that_is_too_late_goes_to_recovery_without_a_call(workshop: Workshop) -> None:
    await workshop.webhook()
    workshop.record.make()
    workshop.clock.tick(11.0)

    await workshop.turn()

    assert workshop.upstream.asked == []
    assert await workshop.queued() == [RECOVERY.id(STORE_HASH, ORDER)]
    assert (await workshop.ended()).status is Status.UPDATED


async def test_whatever_happens_an_order_has_one_job(workshop: Workshop) -> None:
    workshop.upstream.on("POST /api/v3/io/orders", 503)
    workshop.upstream.on(f"GET {RECORD}", 503)
    await workshop.webhook()

    for _ in range(12):
        await workshop.turn()
        assert len(await workshop.queued()) == 1


async def test_a_store_that_was_removed_gives_its_orders_two_days(workshop: Workshop) -> None:
    await workshop.resources.queue.tell("gone", 1, source="reconcile")
    began = workshop.clock()

    while await workshop.queued():
        await workshop.turn()

    entry = await workshop.resources.ledger.get("gone", 1)
    assert entry is not None
    assert (entry.status, entry.reason) == (Status.FAILED, "the store is not in the stores file")
    assert GIVE_UP_AFTER_S <= workshop.clock() - began < GIVE_UP_AFTER_S + 1000
    assert await workshop.queued() == []
    assert workshop.upstream.asked == []


async def test_trouble_that_does_not_end_fails_the_order_after_two_days_with_what_it_was(workshop: Workshop) -> None:
    workshop.upstream.on("GET /v2/orders/1", failure(503, "Down for maintenance."))
    await workshop.webhook()

    entry = await workshop.ended(most=1000)

    assert entry.status is Status.FAILED
    assert entry.reason is not None
    assert "Down for maintenance." in entry.reason


async def test_a_look_that_was_voided_by_a_beginning_that_came_late_is_made_again(workshop: Workshop) -> None:
    """The network held it back, until long after the worker that sent it had lost the order to this one."""
    places, note = workshop.resources.places, workshop.resources.places.note

    async def note_too_late(entry: Entry) -> None:
        places.note = note  # type: ignore[method-assign]
        await places.begin(STORE_HASH, ORDER)
        await note(entry)

    places.note = note_too_late  # type: ignore[method-assign]
    await workshop.webhook()

    await workshop.turn()

    assert await workshop.queued() == [WINDOW.id(STORE_HASH, ORDER)]
    assert (await workshop.ended()).status is Status.CREATED


# ── waiting ─────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_a_waiting_order_that_is_paid_days_later_is_enriched(workshop: Workshop) -> None:
    workshop.configure(keys=WAIT)
    workshop.order["status_id"] = 0
    await workshop.webhook()
    await workshop.turn()
    assert (await workshop.entry()).status is Status.WAITING
    assert await workshop.queued() == []

    workshop.clock.tick(3 * 86_400)
    workshop.record.make()
    workshop.order["status_id"] = 11
    await workshop.webhook(status=True)

    assert (await workshop.ended()).status is Status.UPDATED


async def test_a_waiting_order_is_asked_for_ever_more_seldom_and_for_a_week(workshop: Workshop) -> None:
    workshop.configure(keys=WAIT)
    workshop.order["status_id"] = 0
    await workshop.webhook()
    began, asked_after = workshop.clock.now, []
    while True:
        await workshop.turn()
        if not (due := await workshop.redis.zrange(waiting_key(STORE_HASH), 0, -1, withscores=True)):
            break
        workshop.clock.now = due[0][1] / 1000
        asked_after.append(round((workshop.clock.now - began) / 3600, 1))
        assert await workshop.resources.queue.ask_again(STORE_HASH, ORDER) is Accepted.QUEUED

    assert asked_after[:8] == [0.2, 0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 28.0]
    assert 7 * 24 <= asked_after[-1] <= 7.5 * 24
    assert (await workshop.entry()).status is Status.WAITING


async def test_a_waiting_order_whose_change_nobody_told_of_is_enriched_when_it_is_asked_for(workshop: Workshop) -> None:
    workshop.configure(keys=WAIT)
    workshop.order["status_id"] = 0
    workshop.record.make()
    await workshop.webhook()
    await workshop.turn()
    workshop.order["status_id"] = 11
    workshop.clock.tick(900.0)
    assert await workshop.resources.queue.ask_again(STORE_HASH, ORDER) is Accepted.QUEUED

    assert (await workshop.ended()).status is Status.UPDATED


async def test_patience_with_a_waiting_order_starts_anew_when_its_status_changes(workshop: Workshop) -> None:
    workshop.configure(keys=WAIT)
    workshop.order["status_id"] = 0
    workshop.upstream.on("GET /v2/orders/1", *[failure(503, "Down.")] * 40, lambda _: workshop.order)
    await workshop.webhook()
    while (await workshop.entry()).status is not Status.WAITING:
        await workshop.turn()
    assert workshop.clock() > (await workshop.entry()).times[Stage.QUEUED] + 60, "it came by way of recovery"

    workshop.clock.tick(3 * 86_400)
    workshop.order["status_id"] = 11
    workshop.record.make()
    workshop.upstream.on(f"GET {RECORD}", 503, workshop.record.read)
    await workshop.webhook(status=True)

    assert (await workshop.ended()).status is Status.UPDATED


async def test_a_status_that_changes_while_the_order_is_looked_at_is_not_lost(workshop: Workshop) -> None:
    """The order was read as incomplete; before it waits, the shopper pays."""
    workshop.configure(keys=WAIT)
    workshop.order["status_id"] = 0
    pays = workshop.resources.places.wait

    async def wait(entry: Entry, *, ask_in: float | None = None) -> bool:
        workshop.order["status_id"] = 11
        await workshop.webhook(status=True)
        return await pays(entry, ask_in=ask_in)

    workshop.resources.places.wait = wait  # type: ignore[method-assign]
    await workshop.webhook()

    assert (await workshop.ended()).status is Status.CREATED


async def test_a_status_that_changes_before_the_job_is_closed_is_not_lost(workshop: Workshop) -> None:
    """In the second of the order's creation: the new job looks like the old one."""
    workshop.configure(keys=WAIT)
    workshop.order["status_id"] = 0
    waits = workshop.resources.places.wait

    async def wait(entry: Entry, *, ask_in: float | None = None) -> bool:
        waiting = await waits(entry, ask_in=ask_in)
        if workshop.order["status_id"] == 0:
            workshop.order["status_id"] = 11
            await workshop.webhook(status=True)
        return waiting

    workshop.resources.places.wait = wait  # type: ignore[method-assign]
    await workshop.webhook()

    await workshop.turn()

    assert await workshop.queued() == [WINDOW.id(STORE_HASH, ORDER)]
    assert (await workshop.ended()).status is Status.CREATED


# ── its end ─────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_an_end_whose_answer_is_lost_is_told_all_the_same(workshop: Workshop) -> None:
    places, end = workshop.resources.places, workshop.resources.places.end

    async def lost(entry: Entry, *, look_again_in: float | None = None) -> None:
        await end(entry, look_again_in=look_again_in)
        places.end = end  # type: ignore[method-assign]
        raise RedisTimeoutError("lost")

    places.end = lost  # type: ignore[method-assign]
    workshop.order["customer_id"] = 0
    await workshop.webhook()
    with capture_logs() as logs:
        await workshop.ended()
        while await workshop.queued():
            await workshop.turn()

    assert [line["reason"] for line in logs if line["event"] == "order_skipped"] == ["guest"]


async def test_a_webhook_for_an_order_that_has_ended_makes_no_call(workshop: Workshop) -> None:
    await workshop.webhook()
    await workshop.ended()
    calls = len(workshop.upstream.asked)

    await workshop.webhook()
    await workshop.redis.set(WINDOW.key(STORE_HASH, ORDER), WINDOW.body(STORE_HASH, ORDER, now=workshop.clock()))
    await workshop.redis.zadd(WINDOW.queue, {WINDOW.id(STORE_HASH, ORDER): 1})  # a job that came back from the dead
    assert await workshop.turn() == WINDOW.id(STORE_HASH, ORDER)

    assert len(workshop.upstream.asked) == calls
    assert WINDOW.id(STORE_HASH, ORDER) not in await workshop.queued()


# ── retries ─────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_a_retry_sees_what_the_admin_has_mended(workshop: Workshop) -> None:
    workshop.configure(fields=ACCOUNT.replace("'company", "{ from = 'company").replace("'\n", "', required = true }\n"))
    workshop.company_has({})
    await workshop.webhook()
    assert ((await workshop.ended()).status, (await workshop.entry()).reason) == (Status.FAILED, "Acc")

    workshop.company_has({"ERP": "E1"})
    workshop.record.make()
    workshop.clock.tick(30.0)  # what was read is in the cache still
    await workshop.retry()

    assert (await workshop.ended()).status is Status.UPDATED
    assert workshop.record.fields == {"F": "fv", "Acc": "E1"}


async def test_what_a_retry_has_read_is_there_for_its_next_look(workshop: Workshop) -> None:
    workshop.configure(fields=ACCOUNT)
    workshop.record.make(Acc="E1", F="fv", po_number="PO1")
    await workshop.webhook()
    assert (await workshop.ended()).status is Status.UNCHANGED

    workshop.clock.tick(30.0)
    asked_before = len(workshop.upstream.asked)
    workshop.upstream.on(f"GET {RECORD}", (503, {}), (503, {}), workshop.record.read)
    await workshop.retry()
    workshop.clock.tick(0.01)
    assert (await workshop.ended()).status is Status.UNCHANGED

    asked = Counter(workshop.upstream.asked[asked_before:])
    assert asked[f"GET {RECORD}"] == 3
    assert asked["GET /api/v3/io/users/customer/7"] == asked["GET /api/v3/io/companies/12"] == 1


async def test_a_retry_asks_again_who_the_customer_is(workshop: Workshop) -> None:
    await workshop.cache.remember_no_company_user(workshop.order["customer_id"])
    await workshop.webhook()
    assert (await workshop.ended()).reason == "not_a_company_user"

    workshop.record.make()
    await workshop.retry()

    assert (await workshop.ended()).status is Status.UPDATED


async def test_a_retry_starts_with_fresh_checks(workshop: Workshop) -> None:
    workshop.record.make()
    workshop.upstream.on(f"PUT {RECORD}", {"code": 200, "data": {}})  # says yes, and does nothing
    workshop.clock.tick(60)
    await workshop.webhook()
    assert (await workshop.ended()).reason == "not_persisted"

    workshop.upstream.on(f"PUT {RECORD}", workshop.record.update)
    await workshop.retry()
    entry = await workshop.ended()

    assert (entry.status, entry.verified, entry.checks, entry.repaired) == (Status.UPDATED, True, 0, False)


async def test_a_field_that_was_left_out_is_forgotten_on_a_retry(workshop: Workshop) -> None:
    configs = {"code": 200, "data": [{"fieldName": "Other"}], "meta": {}}
    workshop.upstream.on("GET /api/v3/io/orders/extra-fields", configs)
    await workshop.webhook()
    assert set((await workshop.ended()).dropped) == {"F"}

    configs["data"] = [{"fieldName": "F"}]
    await workshop.retry()

    entry = await workshop.ended()
    assert (entry.status, entry.dropped, workshop.record.fields) == (Status.UPDATED, {}, {"F": "fv"})


async def test_a_retry_tells_its_own_times(workshop: Workshop) -> None:
    await workshop.webhook()
    await workshop.ended()
    workshop.clock.tick(3600)
    await workshop.retry()
    with capture_logs() as logs:
        await workshop.ended()

    (line,) = [line for line in logs if line["event"] == "order_enriched"]
    assert 0 <= line["queue_ms"] < 1000
    assert 0 <= line["duration_ms"] < 10_000


async def test_a_retry_before_the_second_look_is_not_ended_by_it(workshop: Workshop) -> None:
    await workshop.webhook()
    await workshop.ended()
    workshop.order["customer_message"] = "PO2"
    workshop.clock.tick(20.0)
    await workshop.retry()
    workshop.upstream.on("GET /v2/orders/1", *[503] * 5, lambda _: workshop.order)

    entry = await workshop.ended()

    assert (entry.status, workshop.record.po_number) == (Status.UPDATED, "PO2")


# ── the breaker ─────────────────────────────────────────────────────────────────────────────────────────────────


async def test_refused_credentials_park_orders_and_accepted_ones_release_them(workshop: Workshop) -> None:
    workshop.upstream.on("GET /v2/orders/1", *[401] * 5, lambda _: workshop.order)
    workshop.record.make()
    await workshop.webhook()
    with capture_logs() as logs:
        assert (await workshop.ended()).status is Status.UPDATED

    assert [line["event"] for line in logs].count("credentials_refused") == 1
    assert not await workshop.resources.breaker.is_open(STORE_HASH)


async def test_a_parked_order_makes_no_calls_but_the_probes(workshop: Workshop) -> None:
    workshop.upstream.on("GET /v2/orders/1", 401)
    await workshop.webhook()
    await workshop.turn()
    began, calls = workshop.clock(), len(workshop.upstream.asked)

    while workshop.clock() < began + 3600:
        assert await workshop.turn() == f"probe:{STORE_HASH}"

    assert len(workshop.upstream.asked) - calls <= 3600 / LONGEST_PROBE_S + 8


async def test_a_probe_whose_look_is_voided_is_no_fault_and_comes_again(workshop: Workshop) -> None:
    """A person has the parked order retried in this very moment."""
    places, note = workshop.resources.places, workshop.resources.places.note

    async def note_too_late(entry: Entry) -> None:
        await places.begin(STORE_HASH, ORDER)
        await note(entry)

    workshop.upstream.on("GET /v2/orders/1", 401)
    await workshop.webhook()
    await workshop.turn()
    places.note = note_too_late  # type: ignore[method-assign]
    with capture_logs() as logs:
        assert await workshop.turn() == f"probe:{STORE_HASH}"

    assert await workshop.queued() == [f"probe:{STORE_HASH}"]
    assert "job_crashed" not in {line["event"] for line in logs}


async def test_an_order_that_is_refused_while_a_probe_succeeds_is_released_too(workshop: Workshop) -> None:
    places, breaker = workshop.resources.places, workshop.resources.breaker
    workshop.upstream.on("GET /v2/orders/1", 401, lambda _: workshop.order)
    workshop.record.make()
    await workshop.webhook()
    await workshop.turn()
    release = breaker.release

    async def released(store: str) -> int:
        count = await release(store)
        await breaker.open(store)  # another worker's call was refused a moment ago
        assert await places.park(Entry(STORE_HASH, 2))
        return count

    breaker.release = released  # type: ignore[method-assign]
    assert await workshop.turn() == f"probe:{STORE_HASH}"

    assert f"probe:{STORE_HASH}" in await workshop.queued()
    breaker.release = release  # type: ignore[method-assign]
    workshop.upstream.on("GET /v2/orders/2", {**workshop.order, "id": 2, "customer_id": 0})
    while await workshop.queued():
        await workshop.turn()
    assert await workshop.redis.exists(parked_key(STORE_HASH)) == 0
    assert not await breaker.is_open(STORE_HASH)
    entry = await workshop.resources.ledger.get(STORE_HASH, 2)
    assert entry is not None
    assert entry.reason == "guest"


# ── a poor network ──────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("arrives", [True, False])
async def test_an_update_whose_answer_is_lost_corrects_our_own_old_value(workshop: Workshop, arrives: bool) -> None:
    """Created with one PO; the order was changed since, and a retry's Update is cut off."""
    await workshop.webhook()
    await workshop.ended()
    workshop.order["customer_message"] = "PO2"
    workshop.clock.tick(3600)

    def lost(request: httpx.Request) -> Exception:
        if arrives:
            workshop.record.update(request)
        return httpx.ReadTimeout("lost")

    workshop.upstream.on(f"PUT {RECORD}", lost, workshop.record.update)
    await workshop.retry()
    entry = await workshop.ended()

    assert (entry.status, entry.verified, entry.kept) == (Status.UPDATED, True, [])
    assert workshop.record.po_number == "PO2"
    assert len(workshop.upstream.bodies(f"PUT {RECORD}")) == (1 if arrives else 2)


async def test_a_fault_of_ours_is_retried_for_two_days_and_then_told_to_a_person(
    workshop: Workshop, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def broken(_: Life) -> None:
        raise KeyError("a fault of ours")

    monkeypatch.setattr(Life, "run", broken)
    await workshop.webhook()
    began = workshop.clock()

    with capture_logs() as logs:
        while await workshop.queued():
            await workshop.turn()

    entry = await workshop.resources.ledger.get(STORE_HASH, ORDER)
    assert entry is not None
    assert (entry.status, entry.reason) == (Status.FAILED, "internal error: KeyError")
    assert workshop.clock() - began >= GIVE_UP_AFTER_S
    assert {"job_crashed", "order_failed"} <= {line["event"] for line in logs}
