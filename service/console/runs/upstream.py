"""The console's calls to BigCommerce: at the lowest priority of the quota, so that orders go first."""

from collections.abc import Callable
from dataclasses import dataclass, field

import httpx
from redis.asyncio import Redis

from service.bigcommerce import Account, Budget, Priority, QuotaWaitingApi, Transport
from service.bigcommerce.transport import OnCall
from service.configuration import ConfiguredStore
from service.console.runs.runs import Run
from service.stores import Endpoints

TIMEOUT_S = 15.0
"""Of one call: no order's window depends on it."""

MAX_WAIT_S = 65.0
"""A person waits, but the lowest priority may need a whole window of B2B Edition's quota (60 s)."""

MAX_WAITS = 60
"""Several people may ask at the same time, and each turn goes to one of them."""


def _open_http() -> httpx.AsyncBaseTransport:
    from service.bigcommerce.connection_pool import http_client  # 8 MB, for a console that may never make a call

    return http_client()


@dataclass(slots=True)
class Upstream:
    """Opens its connections when the first call is made. ``open_http`` makes the HTTP transport."""

    redis: Redis
    open_http: Callable[[], httpx.AsyncBaseTransport] = _open_http
    _http: httpx.AsyncBaseTransport | None = field(default=None, init=False)
    _budget: Budget | None = field(default=None, init=False)

    def transport(self, endpoints: Endpoints, on_call: OnCall | None = None) -> Transport:
        """The transport for one run; its calls count against the stores' shared budgets."""
        self._http = self._http or self.open_http()
        self._budget = self._budget or Budget(self.redis)
        return Transport(
            self._http,
            core_url=endpoints.api_url,
            b2b_url=endpoints.b2b_api_url,
            budget=self._budget,
            on_call=on_call,
        )

    def api(self, endpoints: Endpoints, configured: ConfiguredStore, run: Run | None = None) -> QuotaWaitingApi:
        """The APIs of a store. The ``run`` notes each wait for the quota."""
        store = configured.store
        account = Account(store.hash, store.access_tokens)
        api = QuotaWaitingApi(self.transport(endpoints), account, timeout_s=TIMEOUT_S, priority=Priority.BACKGROUND)
        api.max_wait_s, api.max_waits, api.on_wait = MAX_WAIT_S, MAX_WAITS, run.waits if run else None
        return api

    async def close(self) -> None:
        """Close all connections."""
        if self._http is not None:
            await self._http.aclose()
