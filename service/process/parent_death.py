"""Terminates a child process when its parent dies."""

import os
import signal
import threading
import time
from collections.abc import Mapping

PARENT_PID_VARIABLE = "ENRICH_PARENT_PID"
_POLL_INTERVAL_S = 0.5


def terminate_with_parent(environ: Mapping[str, str] = os.environ) -> None:
    """Send this process SIGTERM when the process of ours that started it dies. Without such a parent, do nothing."""
    if parent := environ.get(PARENT_PID_VARIABLE):
        threading.Thread(target=_poll_parent, args=(int(parent),), daemon=True, name="parent").start()


def _poll_parent(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(_POLL_INTERVAL_S)
    os.kill(os.getpid(), signal.SIGTERM)
