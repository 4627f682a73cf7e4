"""Startup of the long-running processes: the receiver, the workers and the console."""

import asyncio
from collections.abc import Callable

from service import logs
from service.configuration.reloading import LiveConfiguration
from service.process.parent_death import terminate_with_parent
from service.process.sighup import SighupHandler
from service.redis.requirements import require_usable_redis
from service.settings import Settings


def start(
    redis_url_of: Callable[[Settings], str] = Settings.require_redis_url,
) -> tuple[Settings, str, LiveConfiguration]:
    """Load the settings and the stores file, set up logging, check Redis, and reload the stores file on SIGHUP.

    Returns the settings, the URL of Redis and the configuration. Raises ConfigError, also for a Redis that cannot be
    used; one that does not answer is waited for later. ``redis_url_of`` finds the URL.
    """
    sighup = SighupHandler()
    terminate_with_parent()
    settings = Settings.load()
    logs.configure(settings.enrich_log_format, settings.enrich_log_level)
    redis_url = redis_url_of(settings)
    asyncio.run(require_usable_redis(redis_url))
    live = LiveConfiguration(settings.enrich_config)
    sighup.on_sighup = live.request_reload
    return settings, redis_url, live
