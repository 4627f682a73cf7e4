"""Which API the Create of an order goes over: B2B Edition's own, or the storefront API, as the order's buyer.

The storefront API has a quota of its own. So it takes the Creates that B2B Edition's quota has no room for before
their window closes (``overflow``), and those that keep an order's comment (``order_comment``). It needs a token of the
buyer, and only one that is held counts: fetching one costs the very call that is missing.

A storefront Create that was refused, or never sent, takes the ordinary way in the same attempt. One that is unsure is
read back first, like any other. Both an unsure one and one that could not be sent close the storefront's way for all
orders (``storefront_breaker``): each would cost a read-back of the quota that is short. The others take the ordinary
way. Those that it has no room for wait until the storefront is tried again. If too little of their window is left then,
they go over it all the same, once, as their last chance: after the window their record must be read anyway, so the
read-back costs nothing.
"""

import asyncio
from contextlib import suppress
from typing import Literal, NoReturn

import structlog
from pydantic import SecretStr

from service.bigcommerce import Api, Priority, StoreApi
from service.bigcommerce.models import Record, Values
from service.errors import AlreadyExists, CredentialsRefused, EnrichError, Refused, TryAgain, Unsure, WaitUntil
from service.logs import Event
from service.orders.state.keys import paused_key
from service.orders.state.order_entry import Entry
from service.orders.state.per_store.storefront.storefront_breaker import (
    ASK_AGAIN_S,
    OVER_QUOTA_S,
    Permission,
    StorefrontBreaker,
)
from service.orders.state.per_store.storefront.storefront_tokens import StorefrontTokens
from service.stores import Store
from workers.orders.buyers.buyer import Buyer
from workers.orders.window_retry import MAX_QUOTA_WAIT_S, WindowRetry

log = structlog.get_logger()

ROOM_NEEDS_S = 3.0
"""So much of the window must be left when the quota resets: orders that have waited for it go out one after the other,
and one that gets no call even then still needs time for the other way."""

LAST_CHANCE_NEEDS_S = 5.0
"""So much of the window must be left when an order is sent as its last chance: a storefront that does not answer in
time may only be slow, and do the work all the same."""

SENDING_NEEDS_S = 0.5
"""So much must be left when an order tries again whose own Create has just failed: nothing is lost by that."""


class OrdinaryWay(EnrichError):
    """The storefront API has not taken the Create: nothing was done, and it goes over B2B Edition's own API."""


class CreateRoute:
    """Chooses the API for the Creates of one attempt, and sends them.

    Whatever closes the storefront's way closes it for the rest of the attempt, so an attempt cannot go back and forth.
    """

    def __init__(
        self,
        entry: Entry,
        store: Store,
        api: StoreApi,
        retry: WindowRetry,
        tokens: StorefrontTokens,
        breaker: StorefrontBreaker,
        buyer: Buyer,
    ) -> None:
        self._entry = entry
        self._store = store
        self._api = api
        self._retry = retry
        self._tokens = tokens
        self._breaker = breaker
        self._buyer = buyer
        self._token: SecretStr | None = None
        self._permission = Permission()
        self._held: SecretStr | None = None
        self._is_closed = False
        self._is_last_chance = False
        self._is_b2b_full = False

    @property
    def via(self) -> Literal["b2b", "storefront"]:
        """The API that was chosen last."""
        return "b2b" if self._token is None else "storefront"

    async def choose(self, *, is_late: bool) -> None:
        """Choose the API for the next Create; may take its call off B2B Edition's quota already.

        ``is_late``: it is sent after the window, where nothing is urgent and the storefront takes none.
        """
        self._token = None
        if self._is_last_chance:
            self._is_last_chance = False
            self._token, self._permission = self._held, self._permission.of_last_chance()
            return
        if is_late or self._is_closed or not self._store.creates_as_buyer:
            return
        self._permission = Permission()
        if self._store.order_comment or (self._store.overflow == "storefront" and not await self._has_room()):
            self._token = await self._held_token()

    async def take_call(self, *, is_late: bool) -> None:
        """Take the call of the next Create off its quota ahead, if it may be sent.

        If no call is left, ``create`` raises what follows from that.
        """
        if self._token is None and not is_late and self._store.writes != "off":
            self._api.priority = self._retry.priority
            paused = paused_key(self._entry.store)
            with suppress(WaitUntil):
                await self._api.spend_ahead(Api.B2B, 1, operation="Create an Order", unless=paused)

    async def create(self, order_id: int, customer_id: int, values: Values) -> Record:
        """Create the record. Raises OrdinaryWay when the storefront API has not taken it."""
        if self._token is None:
            try:
                return await self._api.b2b.create_order(order_id, customer_id, values)
            except WaitUntil as full:
                raise self._wait_for_either(full) from full
        keep_comment = self._store.order_comment
        try:
            await self._api.storefront.create_order(self._token, order_id, values, keep_comment=keep_comment)
        except AlreadyExists:
            await self._note_working()
            raise  # so would B2B Edition answer
        except Unsure as error:
            await self._note_failure(error)
            self._is_closed = True
            raise
        except (CredentialsRefused, Refused, WaitUntil, TryAgain) as error:
            await self._after(error)
        await self._note_working()
        return Record(order_id=order_id)

    def may_go_elsewhere(self, error: TryAgain | WaitUntil) -> bool:
        """Whether a Create that B2B Edition has no call for may be tried over the storefront API.

        True at most twice in an attempt: while that way is open, and as the order's last chance while it fails.
        """
        is_open = self._store.overflow == "storefront" and not self._is_closed
        if not is_open or not isinstance(error, WaitUntil) or not self._retry.can_create():
            return False
        if self._permission.is_denied_for_failures:
            self._is_last_chance = error.seconds > self._retry.window_left()
            return self._is_last_chance
        if self._is_b2b_full:
            return False
        self._is_b2b_full = not self._is_in_time(error.seconds)
        return self._is_b2b_full

    async def _has_room(self) -> bool:
        """Whether B2B Edition's quota has room for the Create before its window closes.

        What is left last is kept for orders whose buyers have no token: they have no other way.
        """
        if self._is_b2b_full:
            return False

        async def spend() -> None:
            self._api.priority = Priority.CREATE_ELSEWHERE
            await self._api.spend_ahead(Api.B2B, 1, operation="Create an Order")

        try:
            await self._retry.call(spend)
        except WaitUntil:
            quota = await self._api.transport.quota_left(self._entry.store, Api.B2B)
            return quota is not None and self._is_in_time(quota.resets_in_s)
        return True

    def _is_in_time(self, seconds: float) -> bool:
        return seconds + ROOM_NEEDS_S <= self._retry.window_left()

    async def _held_token(self) -> SecretStr | None:
        """The buyer's token, if a Create may go over the storefront API now.

        None for whoever may be a Super Admin, for whom it would mean nobody's Company.
        """
        if await self._buyer.may_be_super_admin():
            return None
        # At the same time, so that they share one exchange with Redis.
        token, state = await asyncio.gather(
            self._tokens.get(self._entry.customer_id or 0, self._entry.channel_id), self._breaker.state()
        )
        self._held = token
        if token is None:
            return None
        self._permission = await self._breaker.acquire(state)
        return token if self._permission.is_granted else None

    def _wait_for_either(self, full: WaitUntil) -> WaitUntil:
        """How long to wait when B2B Edition's quota is spent: for its reset, or for the storefront if it opens earlier.

        Only where there is a use in it: the buyer has a token, and enough of the window is left then.
        """
        # Longer than an attempt waits by itself: only the next one asks again whether the storefront is open.
        seconds = max(self._permission.retry_in_s, MAX_QUOTA_WAIT_S)
        needs_s = SENDING_NEEDS_S if self._is_closed else LAST_CHANCE_NEEDS_S
        is_in_time = seconds + needs_s <= self._retry.window_left()
        if self._permission.is_granted or seconds >= full.seconds or not is_in_time:
            return full
        message = f"{full.message}, and the storefront API takes no Create now"
        return WaitUntil(full.operation, message, seconds=seconds, status=full.status)

    async def _note_working(self) -> None:
        if await self._breaker.succeeded(self._permission):
            log.warning(Event.STOREFRONT_REOPENED)

    async def _note_failure(self, error: TryAgain) -> None:
        """Close the storefront's way: it does not answer, or only with errors."""
        failure = await self._breaker.failed(self._permission, str(error))
        self._permission = Permission(failure.closed_s or ASK_AGAIN_S)
        if failure.is_news:
            log.warning(Event.STOREFRONT_CLOSED, trouble=str(error), seconds=round(failure.closed_s))
        elif failure.is_counted:
            log.debug(Event.STOREFRONT_CLOSED, trouble=str(error), seconds=round(failure.closed_s))

    async def _after(self, error: CredentialsRefused | Refused | WaitUntil | TryAgain) -> NoReturn:
        """The storefront API has not taken the Create, and nothing was done."""
        if error.status == 429:
            if await self._breaker.over_quota(self._permission):
                log.warning(Event.STOREFRONT_CLOSED, trouble=str(error), seconds=round(OVER_QUOTA_S))
        elif isinstance(error, TryAgain):
            await self._note_failure(error)
        else:
            await self._breaker.release(self._permission)
            if error.status == 401:
                await self._tokens.drop(self._entry.customer_id or 0, self._entry.channel_id)
        self._is_closed = True
        log.info(Event.STOREFRONT_REFUSED, trouble=str(error))
        raise OrdinaryWay(str(error)) from error
