"""SIGHUP: by the custom of servers, a request to read the configuration again."""

import os
import signal
from collections.abc import Callable


class SighupHandler:
    """From now on SIGHUP does not end this process but calls ``tell``, by default for nothing.

    When it was our terminal that hung up, nobody asks for anything: the process ends as by SIGTERM, as it would have
    by SIGHUP. Unless it was started to ignore that (``nohup``).
    """

    def __init__(self) -> None:
        # While a process starts there is nobody to tell: it will read the files anyway.
        self.tell: Callable[[], None] = lambda: None
        self._ends_with_terminal = _has_terminal() and signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN
        signal.signal(signal.SIGHUP, self._handle)
        # Whoever started us may have held it back until now.
        signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGHUP])

    def _handle(self, *_: object) -> None:
        if self._ends_with_terminal and not _has_terminal():
            os.kill(os.getpid(), signal.SIGTERM)
        else:
            self.tell()


def _has_terminal() -> bool:
    """Whether this process has a terminal that controls it; one that hung up does so no more."""
    try:
        os.close(os.open("/dev/tty", os.O_RDONLY | os.O_NOCTTY))
    except OSError:
        return False
    return True
