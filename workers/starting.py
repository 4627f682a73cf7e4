"""How a worker process starts: its environment, its logs, the stores file."""

import sys

import uvloop

from service import logs
from service.errors import ConfigError
from service.hangup import Hangup
from service.memory import settle
from service.parent import end_with_parent
from service.reloading import LiveConfiguration
from service.settings import Settings
from workers.main import work


def main() -> int:
    """Run the workers until they are told to stop; the process's exit code, 2 for an error of the user's."""
    try:
        hangup = Hangup()
        end_with_parent()
        settings = Settings.load()
        logs.configure(settings.enrich_log_format, settings.enrich_log_level)
        redis_url = settings.require_redis_url()
        live = LiveConfiguration(settings.enrich_config)
        hangup.tell = live.ask
        metrics_at = settings.enrich_metrics_host, settings.enrich_metrics_port
        settle()
        uvloop.run(work(live, redis_url, metrics_at=metrics_at))
    except ConfigError as error:
        print(error, file=sys.stderr)  # noqa: T201 - the user's own mistake belongs on the terminal, not in the log
        return 2
    return 0
