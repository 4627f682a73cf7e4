"""Handles SIGHUP as servers do: as a request to reload the configuration."""

import os
import signal
from collections.abc import Callable


class SighupHandler:
    """Installs a handler that calls ``on_sighup`` on SIGHUP, which does nothing until it is set.

    When SIGHUP comes because the terminal was closed, it is not a reload: the process terminates as by SIGTERM, unless
    it was started to ignore SIGHUP (``nohup``).
    """

    def __init__(self) -> None:
        # A process that is still starting will read the files anyway.
        self.on_sighup: Callable[[], None] = lambda: None
        self._ends_with_terminal = _has_terminal() and signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN
        signal.signal(signal.SIGHUP, self._handle)
        # The parent may have blocked it until now.
        signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGHUP])

    def _handle(self, *_: object) -> None:
        if self._ends_with_terminal and not _has_terminal():
            os.kill(os.getpid(), signal.SIGTERM)
        else:
            self.on_sighup()


def _has_terminal() -> bool:
    """Whether this process has a controlling terminal that has not been closed."""
    try:
        os.close(os.open("/dev/tty", os.O_RDONLY | os.O_NOCTTY))
    except OSError:
        return False
    return True
