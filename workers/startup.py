"""How a worker process starts and ends."""

import sys

import uvloop

from service.errors import ConfigError
from service.process.gc_tuning import freeze_gc
from service.process.loops import LoopFailed
from service.startup import start
from workers.main import work


def main() -> int:
    """Run the workers until they are told to stop; the process's exit code.

    2 is for an error of the user's, 1 for a loop that fails again and again: whoever started the process restarts it.
    """
    try:
        settings, redis_url, live = start()
        metrics_at = settings.enrich_metrics_host, settings.enrich_metrics_port
        freeze_gc()
        uvloop.run(work(live, redis_url, metrics_at=metrics_at))
    except ConfigError as error:
        print(error, file=sys.stderr)  # noqa: T201 - the user's own mistake belongs on the terminal, not in the log
        return 2
    except LoopFailed:  # it is in the log
        return 1
    return 0
