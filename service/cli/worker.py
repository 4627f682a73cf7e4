"""``enrich worker``: the workers without the receiver."""

import os
import sys


def worker() -> None:
    """Run only the workers.

    Needs REDIS_URL and the stores file (ENRICH_CONFIG, default stores.toml). Run as many workers as you like, on any
    machine that can reach Redis. On SIGTERM a worker first finishes the orders in progress. Reloads the stores file
    within two seconds after it changes, and on SIGHUP. If the new file has errors, the log shows them and the old
    configuration stays in use.

    Example: REDIS_URL=redis://localhost:6379/0 enrich worker
    """
    # Replaces this process, so that signals reach the worker directly. `service` never imports `workers`.
    os.execv(sys.executable, [sys.executable, "-P", "-m", "workers"])  # noqa: S606
