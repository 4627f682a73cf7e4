"""The APIs of each store for the rules editor, at the lowest priority of the store's quota."""

from service.bigcommerce import QuotaWaitingApi
from service.configuration import ConfiguredStore
from service.configuration.reloading import LiveConfiguration
from service.console.runs.upstream import Upstream


class StoreApis:
    """The APIs of each store, over the console's connections."""

    def __init__(self, live: LiveConfiguration, upstream: Upstream) -> None:
        self._live = live
        self._upstream = upstream

    def of(self, configured: ConfiguredStore) -> QuotaWaitingApi:
        """The store's APIs, for one unit of work."""
        return self._upstream.api(self._live.current.endpoints, configured)
