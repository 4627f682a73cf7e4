"""Calls of the console to BigCommerce: for people, so at the lowest priority of a store's quota."""

import httpx
from redis.asyncio import Redis

from service.bigcommerce import Account, Budget, Priority, QuotaWaitingApi, Transport
from service.bigcommerce.connection_pool import http_client
from service.configuration import ConfiguredStore
from service.configuration.reloading import LiveConfiguration

# Of one call. No order's window depends on it.
_TIMEOUT_S = 15.0

# A person waits, but many calls may need a whole window of B2B Edition's quota (60 s).
_QUOTA_WAIT_S = 65.0


class StoreApis:
    """The APIs of each store over one connection pool, which opens connections when it is used first."""

    def __init__(self, live: LiveConfiguration, redis: Redis, *, http: httpx.AsyncBaseTransport | None = None) -> None:
        self._http = http or http_client()
        endpoints = live.current.endpoints
        self._transport = Transport(
            self._http, core_url=endpoints.api_url, b2b_url=endpoints.b2b_api_url, budget=Budget(redis)
        )

    def of(self, configured: ConfiguredStore) -> QuotaWaitingApi:
        """The store's APIs, for one unit of work."""
        account = Account(configured.store.hash, configured.store.access_tokens)
        api = QuotaWaitingApi(self._transport, account, timeout_s=_TIMEOUT_S, priority=Priority.BACKGROUND)
        api.max_wait_s = _QUOTA_WAIT_S
        return api

    async def close(self) -> None:
        """Close the connections."""
        await self._http.aclose()
