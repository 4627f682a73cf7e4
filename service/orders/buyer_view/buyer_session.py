"""Calls of the storefront API as one buyer, with a token that is held or fetched."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

from pydantic import SecretStr

from service.bigcommerce import StoreApi
from service.errors import BuyerRefused, CredentialsRefused, UpstreamError
from service.orders.state.per_store.storefront.storefront_tokens import StorefrontTokens

T = TypeVar("T")


class BuyerSession:
    """One buyer on one channel. A token that the storefront API refuses is fetched anew, once in a session.

    Fetching one costs a call of B2B Edition's quota, at the priority of ``api``, as does each call
    (``quota_budget.quota_of``).
    """

    def __init__(self, api: StoreApi, tokens: StorefrontTokens, customer_id: int, channel_id: int) -> None:
        self._api = api
        self._tokens = tokens
        self.customer_id = customer_id
        self.channel_id = channel_id
        self._token: SecretStr | None = None
        self._is_renewed = False
        self._failure: UpstreamError | None = None
        self._lock = asyncio.Lock()

    async def read(self, call: Callable[[SecretStr], Awaitable[T]]) -> T:
        """Make a call with the buyer's token. Raises BuyerRefused where a new token does not help.

        Other errors are those of the call, and of fetching the token: CredentialsRefused concerns the store's own.
        """
        token = await self._get_token()
        try:
            return await call(token)
        except CredentialsRefused as refused:
            if refused.status != 401:
                raise _for_the_buyer(refused) from refused
            renewed = await self._renew(token)
            if renewed is None:
                raise _for_the_buyer(refused) from refused
        try:
            return await call(renewed)
        except CredentialsRefused as refused:
            raise _for_the_buyer(refused) from refused

    async def _get_token(self) -> SecretStr:
        async with self._lock:
            if self._token is None:
                held = await self._tokens.get(self.customer_id, self.channel_id)
                self._token = held or await self._fetch()
            return self._token

    async def _renew(self, refused: SecretStr) -> SecretStr | None:
        """A token other than the refused one; None when that is a new one already."""
        async with self._lock:
            if self._token == refused:
                if self._is_renewed:
                    return None
                self._token = await self._fetch()
                self._is_renewed = True
            return self._token

    async def _fetch(self) -> SecretStr:
        """Fetch a token. After an error no other call of the session tries again: each try costs quota."""
        if self._failure:
            raise self._failure
        try:
            token = await self._api.storefront.storefront_token(self.customer_id, self.channel_id)
        except UpstreamError as error:
            self._failure = error
            raise
        await self._tokens.put(self.customer_id, self.channel_id, token)
        return token


def _for_the_buyer(refused: CredentialsRefused) -> BuyerRefused:
    return BuyerRefused(refused.operation, refused.message, status=refused.status)
