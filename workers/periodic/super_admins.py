"""Keeps the book of each store's Super Admins: who of the customers orders for Companies without being a user of one.

The list shows only their own ids. The customer id of each is asked for once, and kept.
"""

import time
from collections.abc import Callable

from service.bigcommerce import Account, Priority, QuotaWaitingApi
from service.errors import CredentialsRefused, NotFound, Refused
from service.orders.state.per_store.super_admins import SuperAdmins
from service.stores import Store
from workers.periodic.periodic_task import PeriodicTask
from workers.resources import Resources

TIMEOUT_S = 15.0

REFUSED_RETRY_S = 300.0
"""Without the book, a Create is sent for shoppers of no Company too: a mended token should be noticed soon."""


class SuperAdminReader(PeriodicTask):
    """The periodic task that reads a store's Super Admins, in the lowest class of the quota."""

    name = "super_admins"

    def __init__(
        self, resources: Resources, *, every_s: float = 3600.0, clock: Callable[[], float] = time.time
    ) -> None:
        super().__init__(resources, every_s=every_s, clock=clock)

    async def run_once(self, store: Store) -> float:
        """Read the list to its end, and the customer ids of those that are new in it."""
        began, book = self._clock(), self._resources.super_admins
        api = QuotaWaitingApi(
            self._resources.transport,
            Account(store.hash, store.access_tokens),
            timeout_s=TIMEOUT_S,
            priority=Priority.BACKGROUND,
        )
        known = await book.read(store.hash)
        listed = await api.b2b.super_admin_ids()
        customers = {admin: customer for admin, customer in known.customers.items() if admin in listed}
        for super_admin_id in sorted(listed - known.customers.keys()):
            try:
                customers[super_admin_id] = await api.b2b.super_admin_customer(super_admin_id)
            except NotFound:
                continue  # deleted since the list was read
            # Orders that were skipped while this was not known are tried again, some seconds from now.
            await self._resources.skipped.people_changed(store.hash, customers[super_admin_id])
            # What was asked is kept even if the next call fails. The list counts as read only after the last one.
            found = known.customers | customers
            await book.write(store.hash, SuperAdmins(read_at=known.read_at, customers=found))
        await book.write(store.hash, SuperAdmins(read_at=began, customers=customers))
        return self._every_s

    def _delay_after(self, error: Exception, failures: int) -> float:
        delay = super()._delay_after(error, failures)
        return min(delay, REFUSED_RETRY_S) if isinstance(error, CredentialsRefused | Refused) else delay
