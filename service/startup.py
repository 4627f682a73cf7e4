"""What a process that serves for months begins with."""

from service import logs
from service.configuration.reloading import LiveConfiguration
from service.process.parent_death import terminate_with_parent
from service.process.sighup import SighupHandler
from service.settings import Settings


def start() -> tuple[Settings, str, LiveConfiguration]:
    """Read the environment and the stores file, write logs as they say, heed SIGHUP; the Redis's URL with them.

    Raises ConfigError.
    """
    hangup = SighupHandler()
    terminate_with_parent()
    settings = Settings.load()
    logs.configure(settings.enrich_log_format, settings.enrich_log_level)
    redis_url = settings.require_redis_url()
    live = LiveConfiguration(settings.enrich_config)
    hangup.tell = live.ask
    return settings, redis_url, live
