"""Every write asks here first whether it may be sent, and is saved before it is.

If the worker dies then, the next attempt knows that the values may be on the record already.
"""

from collections.abc import Awaitable, Callable
from itertools import count
from typing import Literal, TypeVar

from service.bigcommerce.models import Values
from service.errors import EnrichError
from service.orders.state.order_entry import Entry, Stage, Via
from service.orders.state.transitions import Transitions
from service.stores import Store
from workers.orders.entry_notes import copy_of_sent, note_restoring, note_sending, restore_sent
from workers.orders.result_types import AwaitingWrites
from workers.orders.steps.draft import Draft
from workers.orders.steps.missing_record import note_late_create

T = TypeVar("T")


class WritesPaused(EnrichError):
    """A person has paused writing for the store while a write was being retried. Nothing of it was sent."""


class WriteGuard:
    """Checks and saves the writes of one attempt."""

    def __init__(
        self, entry: Entry, store: Store, draft: Draft, transitions: Transitions, clock: Callable[[], float]
    ) -> None:
        self._entry = entry
        self._store = store
        self._draft = draft
        self._transitions = transitions
        self._clock = clock
        self._sent_before = copy_of_sent(entry)

    async def save_create(self, values: Values, *, via: Via, is_late: bool) -> AwaitingWrites | None:
        """Save the values of a Create that is about to be sent. The result says that nothing may be written."""
        return await self._save("create", values, via, is_late=is_late)

    async def save_update(self, values: Values) -> AwaitingWrites | None:
        """The same of an Update."""
        return await self._save("update", values, "b2b")

    def guarded(self, write: Callable[[], Awaitable[T]]) -> Callable[[], Awaitable[T]]:
        """The write, which notes when it is sent. Before it is retried it asks again whether it may be sent.

        Raises WritesPaused if not.
        """
        tries = count()

        async def send() -> T:
            if next(tries) and await self._transitions.is_paused(self._entry.store):
                raise WritesPaused("writing was paused meanwhile")
            self._entry.times[Stage.SENT] = self._clock()
            return await write()

        return send

    def hold(self) -> AwaitingWrites:
        """Nothing was sent: a value that was never sent must not count as ours, wherever it is found later."""
        restore_sent(self._entry, self._sent_before)
        return AwaitingWrites(writes_off=False)

    async def _save(
        self, by: Literal["create", "update"], values: Values, via: Via, *, is_late: bool = False
    ) -> AwaitingWrites | None:
        if self._store.writes == "off":
            return AwaitingWrites(writes_off=True)
        self._sent_before = copy_of_sent(self._entry)
        if by == "update":
            note_restoring(self._entry, values)
        note_sending(self._entry, by, values, self._draft.names, via=via)
        if is_late:
            note_late_create(self._entry, now=self._clock())
        return None if await self._transitions.save_before_write(self._entry) else self.hold()
