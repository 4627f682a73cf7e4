"""No write is sent that may not be, or that was not saved; what was not sent does not count as ours."""

from dataclasses import dataclass, field, replace
from typing import Any, cast

import pytest

from service.bigcommerce.models import Values
from service.orders.state.order_entry import Entry, Stage
from service.orders.state.transitions import Transitions
from service.stores import Store
from tests.fakes.upstream import STORE_HASH
from workers.orders.result_types import AwaitingWrites
from workers.orders.steps.draft import Draft
from workers.orders.steps.write_guard import WriteGuard, WritesPaused

VALUES = Values("PO1", {"F": "fv"})


@dataclass
class Pauses:
    """Stands in for Redis: whether a person has paused writing for the store, and what was saved."""

    are_writes_paused: bool = False
    saved: list[Any] = field(default_factory=list)

    async def save_before_write(self, entry: Entry) -> bool:
        if not self.are_writes_paused:
            self.saved.append(entry.sent)
        return not self.are_writes_paused

    async def is_paused(self, _: str) -> bool:
        return self.are_writes_paused


def guard(entry: Entry, pauses: Pauses, *, writes: str = "on") -> WriteGuard:
    store = Store.model_construct(hash=STORE_HASH, writes=writes)
    return WriteGuard(entry, store, Draft(), cast("Transitions", pauses), lambda: 7.0)


def order() -> Entry:
    return Entry(STORE_HASH, 1)


async def test_values_are_saved_before_they_may_be_sent() -> None:
    entry, pauses = order(), Pauses()
    assert await guard(entry, pauses).save_create(VALUES, via="storefront", is_late=False) is None
    (saved,) = pauses.saved
    assert (saved.by, saved.po_number, saved.extra_fields, saved.via) == ("create", "PO1", {"F": "fv"}, "storefront")
    assert entry.late_creates == 0


async def test_a_late_create_is_counted() -> None:
    entry = order()
    await guard(entry, Pauses()).save_create(VALUES, via="b2b", is_late=True)
    assert (entry.late_creates, entry.late_create_at) == (1, 7.0)


@pytest.mark.parametrize("by", ["create", "update"])
@pytest.mark.parametrize(("writes", "is_paused"), [("off", False), ("on", True)])
async def test_what_may_not_be_written_does_not_count_as_ours(by: str, writes: str, is_paused: bool) -> None:
    entry, pauses = order(), Pauses(is_paused)
    guarding = guard(entry, pauses, writes=writes)
    if by == "create":
        held = await guarding.save_create(VALUES, via="b2b", is_late=True)
    else:
        held = await guarding.save_update(VALUES)
    assert held == AwaitingWrites(writes_off=writes == "off")
    assert entry == order()
    assert pauses.saved == []


async def test_a_write_notes_when_it_is_sent_and_is_not_retried_in_a_pause() -> None:
    entry, pauses, sent = order(), Pauses(), list[int]()
    guarding = guard(entry, pauses)

    async def write() -> int:
        sent.append(1)
        return len(sent)

    guarded = guarding.guarded(write)
    pauses.are_writes_paused = True  # the save before the write has found no pause: it is sent
    assert await guarded() == 1
    assert entry.times[Stage.SENT] == 7.0
    with pytest.raises(WritesPaused):
        await guarded()
    assert sent == [1]


async def test_a_hold_restores_what_was_sent_before() -> None:
    entry, pauses = order(), Pauses()
    guarding = guard(entry, pauses)
    await guarding.save_update(VALUES)
    first = entry.sent
    await guarding.save_update(replace(VALUES, po_number="PO2"))
    assert guarding.hold() == AwaitingWrites(writes_off=False)
    assert entry.sent == first
    assert entry.written == {"po_number": ["PO1"], "F": ["fv"]}
