"""``python -m tests.fakes.processes.quick_worker``: a worker whose periodic tasks run often enough for tests.

``TEST_RECONCILE_S`` in the environment sets how often it reconciles, in seconds.
"""

import os

import uvloop

from service.notify.notifier import Timing
from service.startup import start
from workers.periodic.periodic_task import Intervals
from workers.worker_process import work

RECONCILE_S = float(os.environ.get("TEST_RECONCILE_S", "5.0"))
INTERVALS = Intervals(reconcile_s=RECONCILE_S, polling_s=0.5, hooks_s=1.0, hooks_problem_s=1.0, tokens_s=1.0)
NOTIFY = Timing(watch_s=0.2, deliver_s=0.1, watch_lease_s=1.5, send_lease_s=1.5)


def main() -> None:
    _, redis_url, live = start()
    uvloop.run(work(live, redis_url, intervals=INTERVALS, notify_timing=NOTIFY))


if __name__ == "__main__":
    main()
