"""The session of a command that calls BigCommerce: the stores, both APIs, and Redis if there is one."""

import sys
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass

from arq import ArqRedis

from service import logs
from service.bigcommerce import Account, Budget, Priority, QuotaWaitingApi, Transport
from service.cli.common.options import choose_store, find_redis
from service.configuration import Configuration, ConfiguredStore, load_configuration
from service.orders.state.job_kinds import from_json, to_json
from service.redis.client import connect
from service.redis.embedded.server import running_url
from service.settings import Settings

# Of one call; longer than the workers' timeouts, as no order's window depends on a command.
TIMEOUT_S = 15.0


@dataclass(frozen=True, slots=True)
class Session:
    """What a command works with. ``redis`` is None if there is none and the command does not need it."""

    settings: Settings
    configuration: Configuration
    transport: Transport
    redis: ArqRedis | None

    def store(self, wanted: str | None) -> ConfiguredStore:
        """The store that ``--store`` selects. Raises ConfigError."""
        return self.configuration.stores[choose_store(wanted, list(self.configuration.stores))]

    def api(self, store: ConfiguredStore) -> QuotaWaitingApi:
        """Both APIs of the store, at the lowest priority of its quota: orders go first."""
        account = Account(store.store.hash, store.store.access_tokens)
        return QuotaWaitingApi(self.transport, account, timeout_s=TIMEOUT_S, priority=Priority.BACKGROUND)


@asynccontextmanager
async def open_session(*, needs_redis: bool = False) -> AsyncIterator[Session]:
    """Read the environment and the stores file, and connect. Raises ConfigError.

    With Redis (REDIS_URL, or an ``enrich up`` on this machine), calls count against the stores' shared budgets.
    """
    # Imported here: a sixth of a command's start is aiohttp, and most commands that share this module make no call.
    from service.bigcommerce.connection_pool import http_client

    settings = Settings.load()
    quiet_logs(settings)
    configuration = load_configuration(settings.enrich_config)
    redis_url = find_redis(settings) if needs_redis else _redis_if_any(settings)
    async with AsyncExitStack() as stack:
        redis = budget = None
        if redis_url:
            redis = await stack.enter_async_context(connect(redis_url, serializer=to_json, deserializer=from_json))
            budget = Budget(redis)
        http = await stack.enter_async_context(http_client())
        endpoints = configuration.endpoints
        transport = Transport(http, core_url=endpoints.api_url, b2b_url=endpoints.b2b_api_url, budget=budget)
        yield Session(settings, configuration, transport, redis)


def quiet_logs(settings: Settings) -> None:
    """Send logs to stderr, and only if ENRICH_LOG_LEVEL is set: stdout is for the command's output."""
    level = settings.enrich_log_level if "enrich_log_level" in settings.model_fields_set else "CRITICAL"
    logs.configure(settings.enrich_log_format, level, stream=sys.stderr)


def _redis_if_any(settings: Settings) -> str | None:
    if settings.redis_url is not None:
        return settings.require_redis_url()
    return running_url(settings.enrich_data_dir)
