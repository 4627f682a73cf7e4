"""A child process that does not outlive the one that started it."""

import os
import signal
import threading
import time
from collections.abc import Mapping

VARIABLE = "ENRICH_PARENT_PID"
_LOOK_EVERY_S = 0.5


def terminate_with_parent(environ: Mapping[str, str] = os.environ) -> None:
    """When this process was started by another of ours that has died, end as SIGTERM does. Else do nothing."""
    if parent := environ.get(VARIABLE):
        threading.Thread(target=_watch, args=(int(parent),), daemon=True, name="parent").start()


def _watch(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(_LOOK_EVERY_S)
    os.kill(os.getpid(), signal.SIGTERM)
