"""``python -m tests.chaos.storms.storm_worker``: a worker that waits less, so that a storm is over soon after its end.

What it does, and how often, is as in production. Only the longest waits are shorter: between retries, until
re-verification, and until refused credentials are tried again.
"""

import uvloop

from service.startup import start
from tests.fakes.processes.quick_worker import INTERVALS
from workers import backoff
from workers.orders import attempts, completion, verification
from workers.worker_process import work

MAX_BACKOFF_S = 8.0
REVERIFY_AFTER_S = 10.0
REVERIFY_AHEAD_S = 4.0
CREDENTIALS_RETRY_S = 4.0


def shorten_waits() -> None:
    """Replace the constants of the workers, wherever they are imported."""
    for module, name, seconds in (
        (attempts, "MAX_BACKOFF_S", MAX_BACKOFF_S),
        (attempts, "LONGEST_PROBE_S", MAX_BACKOFF_S),
        (completion, "REVERIFY_AFTER_S", REVERIFY_AFTER_S),
        (verification, "REVERIFY_AHEAD_S", REVERIFY_AHEAD_S),
        (verification, "CREDENTIALS_RETRY_S", CREDENTIALS_RETRY_S),
    ):
        assert hasattr(module, name)
        setattr(module, name, seconds)
    backoff.exponential_backoff.__kwdefaults__ = {"longest_s": MAX_BACKOFF_S}


def main() -> None:
    shorten_waits()
    _, redis_url, live = start()
    uvloop.run(work(live, redis_url, intervals=INTERVALS))


if __name__ == "__main__":
    main()
