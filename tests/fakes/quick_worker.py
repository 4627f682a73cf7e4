"""``python -m tests.fakes.quick_worker``: a worker that does its chores often enough for a test to see them.

The environment may say how often it is to reconcile: ``TEST_RECONCILE_S``.
"""

import os

import uvloop

from service.startup import start
from workers.main import work
from workers.periodic.task import Intervals

RECONCILE_S = float(os.environ.get("TEST_RECONCILE_S", "5.0"))
INTERVALS = Intervals(reconcile_s=RECONCILE_S, watch_s=0.5, guard_s=1.0, trouble_s=1.0)


def main() -> None:
    _, redis_url, live = start()
    uvloop.run(work(live, redis_url, intervals=INTERVALS))


if __name__ == "__main__":
    main()
