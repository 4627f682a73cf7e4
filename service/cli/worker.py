"""``enrich worker``: the workers alone."""

import os
import sys


def worker() -> None:
    """Run the workers alone.

    Needs REDIS_URL and the stores file (ENRICH_CONFIG, default stores.toml). Run as many as you like, anywhere
    that reaches Redis. SIGTERM lets a worker finish the orders in hand. A change of the stores file is taken up
    within two seconds, and on SIGHUP; when something is wrong with it, the log says so and nothing changes.

    Example: REDIS_URL=redis://localhost:6379/0 enrich worker
    """
    # Becomes the other program, which gets the signals directly. `service` never imports `workers`.
    os.execv(sys.executable, [sys.executable, "-P", "-m", "workers"])  # noqa: S606
