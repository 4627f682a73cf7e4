"""The entry point of a worker process."""

import sys

import uvloop

from service.errors import ConfigError
from service.process.background_loops import LoopFailed
from service.process.gc_tuning import tune_gc
from service.startup import start
from workers.worker_process import work


def main() -> int:
    """Run the workers until SIGTERM or SIGINT; returns the exit code.

    2 stands for a configuration error, 1 for a loop that keeps failing: a supervisor starts the process again.
    """
    try:
        settings, redis_url, live = start()
        metrics_at = settings.enrich_metrics_host, settings.enrich_metrics_port
        tune_gc()
        uvloop.run(work(live, redis_url, metrics_at=metrics_at))
    except ConfigError as error:
        print(error, file=sys.stderr)  # noqa: T201 - a configuration error belongs on the terminal, not in the log
        return 2
    except LoopFailed:  # it is in the log
        return 1
    return 0
