"""Who an order's buyer is: a Company's, or nobody's that is known.

A 404 of the Users API alone says nothing: Super Admins order for Companies without being users of one. Only a customer
who is in neither book is skipped, and that is a verdict for now: see ``skipped_buyers``.
"""

import re
from collections.abc import Callable
from contextlib import suppress
from enum import Enum

import structlog

from service.bigcommerce import StoreApi
from service.bigcommerce.models import Record, to_int
from service.errors import NotFound, Refused
from service.logs import Event
from service.orders.document.cache import Cache
from service.orders.document.loading import Document, NoCompanyUser, read_people, read_user
from service.orders.state.order_entry import Entry
from service.orders.state.per_store.super_admins import SuperAdminBook, SuperAdmins
from service.orders.state.worklists.skipped_orders import COMPANY_USER, SkippedOrders
from service.redis.client import TRANSIENT_ERRORS
from service.rules import Needs

log = structlog.get_logger()

# How Create an Order is refused because of the customer. Not documented: seen as 404, and as 400 with such a message.
_ABOUT_CUSTOMER = re.compile(r"\b(customer|buyer|user)\b", re.IGNORECASE)


class Standing(Enum):
    """What is known of a buyer."""

    COMPANY = "a Company user or a Super Admin, or the record shows a Company"
    UNKNOWN = "no Company user; who is a Super Admin is not known now"
    NOBODY = "in neither book"


class Buyer:
    """The buyer of one order, for one attempt. Upstream errors are raised; they say nothing about the buyer."""

    def __init__(
        self,
        entry: Entry,
        needs: Needs,
        api: StoreApi,
        cache: Cache,
        super_admins: SuperAdminBook,
        skipped: SkippedOrders,
        *,
        follow_s: float,
        clock: Callable[[], float],
    ) -> None:
        """``follow_s``: so long an order that was skipped for its buyer is taken up again once that was wrong."""
        self._entry = entry
        self._needs = needs
        self._api = api
        self._cache = cache
        self._super_admins = super_admins
        self._skipped = skipped
        self._follow_s = follow_s
        self._clock = clock
        self._asked_at: float | None = None
        self._nobody_at: float | None = None
        self._standing: Standing | None = None
        self._user_company_id: int | None = None
        self._is_user = False

    @property
    def _customer_id(self) -> int:
        return self._entry.customer_id or 0

    @property
    def _names_people(self) -> bool:
        return self._needs.user or self._needs.company

    @property
    def company_id(self) -> int | None:
        """The Company that the values of ``people`` came from, if a rule names it: the record's, else the user's."""
        return (self._entry.record_company_id or self._user_company_id) if self._needs.company else None

    @property
    def is_company_open(self) -> bool:
        """Whether only the record can tell which Company the order is for: the buyer is no user of one."""
        return self._standing is not None and not self._is_user and not self._entry.record_company_id

    @property
    def is_unknown(self) -> bool:
        """Whether the buyer may be a Super Admin or a shopper of no Company."""
        return self._standing is Standing.UNKNOWN

    @property
    def is_tried_again(self) -> bool:
        """Whether the order was skipped before, and is tried once more because its buyer is a Company user now.

        B2B Edition does not give such a buyer's earlier orders to the Company: without its record they are skipped.
        """
        return self._entry.source == COMPANY_USER and not self._entry.record_company_id

    async def is_remembered_as_nobody(self) -> bool:
        """Whether an order of the last minutes has shown that the customer is in neither book."""
        if self._entry.record_company_id:
            return False
        self._nobody_at = await self._cache.no_company_user_at(self._customer_id)
        if self._nobody_at is None or not await self._cache.is_no_company_user(self._customer_id):
            return False
        book = await self._book()
        if self._customer_id in book:
            return False
        # Where nobody is asked beforehand, B2B Edition itself has refused the customer's Create.
        return book.is_current(self._clock()) or not self._names_people

    async def people(self) -> Document:
        """The customer, the Company user and the Company that the order is for, as far as the rules name them.

        Raises NoCompanyUser only for a customer in neither book. A Super Admin is no user, and the Company is unknown
        until the record shows it.
        """
        company_id = self._entry.record_company_id
        self._asked_at = self._clock()
        try:
            people = await read_people(self._api, self._cache, self._customer_id, self._needs, company_id=company_id)
        except NoCompanyUser:
            if await self._standing_of_no_user() is Standing.NOBODY:
                raise
            return await read_people(
                self._api, self._cache, self._customer_id, self._needs, company_id=company_id, has_user=False
            )
        if people["user"]:
            self._user_company_id = to_int(people["user"].get("companyId"))
            await self._note_buyer(is_user=True)
        return people

    async def standing(self) -> Standing:
        """Who the buyer is, by the Users API and the book of Super Admins."""
        if self._entry.record_company_id:
            return Standing.COMPANY
        self._asked_at = self._clock()
        try:
            await read_user(self._api, self._cache, self._customer_id)
        except NoCompanyUser:
            return await self._standing_of_no_user()
        await self._note_buyer(is_user=True)
        return Standing.COMPANY

    async def may_be_super_admin(self) -> bool:
        """Whether the customer is a Super Admin, or who is one is not known now."""
        book = await self._book()
        return self._customer_id in book or not book.is_current(self._clock())

    async def remember_as_nobody(self) -> None:
        """Save the calls of the customer's next orders, unless this attempt found out otherwise."""
        if self._standing is not Standing.COMPANY:
            asked_at, keep_s = self._asked_at, self._follow_s
            await self._cache.remember_no_company_user(self._customer_id, asked_at=asked_at, keep_s=keep_s)

    def note_record(self, record: Record) -> bool:
        """Note which Company the record shows; returns whether the values came from another one, or from none."""
        if record.company_id:
            self._entry.record_company_id = record.company_id
        is_other = is_of_other_company(self._entry, record, self._needs)
        if is_other and self._entry.sent is not None:
            log.info(Event.OTHER_COMPANY, company_id=record.company_id, values_of=self._entry.company_id)
        return is_other

    async def _standing_of_no_user(self) -> Standing:
        if self._entry.record_company_id:
            return Standing.COMPANY
        book = await self._book()
        if self._customer_id in book:
            await self._note_buyer(is_user=False)
        else:
            self._standing = Standing.NOBODY if book.is_current(self._clock()) else Standing.UNKNOWN
        assert self._standing is not None
        return self._standing

    async def _book(self) -> SuperAdmins:
        try:
            return await self._super_admins.read(self._entry.store)
        except TRANSIENT_ERRORS:
            return self._super_admins.nobody  # unknown: nobody is skipped

    async def _note_buyer(self, *, is_user: bool) -> None:
        """A customer whose orders were skipped lately is a Company's buyer now: have them tried again."""
        self._standing, self._is_user = Standing.COMPANY, is_user
        if self._nobody_at is None:
            return
        with suppress(*TRANSIENT_ERRORS):  # the next order does it
            await self._skipped.people_changed(self._entry.store, self._customer_id)
            await self._cache.forget_no_company_user(self._customer_id)


def is_of_other_company(entry: Entry, record: Record, needs: Needs) -> bool:
    """Whether the record shows another Company than the one that the order's values came from.

    ``company`` is the record's Company: a user orders for a subsidiary, a Super Admin for any Company.
    """
    return needs.company and bool(record.company_id) and record.company_id != entry.company_id


def says_no_company_user(refused: Refused) -> bool:
    """Whether B2B Edition refuses a write because of the customer, and not because of a value."""
    return isinstance(refused, NotFound) or _ABOUT_CUSTOMER.search(refused.message) is not None
