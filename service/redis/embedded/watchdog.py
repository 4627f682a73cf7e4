"""Ends the embedded Redis when all processes that use it are gone, however they ended.

A shell waits at the read end of a pipe. The write end is held by the process that started Redis, and by the children
that it passes it to: when the last of them has ended, also by kill -9, the shell reads the end of the pipe. This works
on every Unix, and costs a megabyte of memory.
"""

import os
import subprocess
from pathlib import Path

# $1: the server's lock file, whose first word is the process that holds it now; $2: the process to end. The two differ
# once another `enrich` has taken the folder over.
_SCRIPT = 'read -r _; read -r pid _ <"$1"; [ "$pid" = "$2" ] && kill "$2"'


class Watchdog:
    """Sends SIGTERM to the server that it watches once nobody holds ``fd`` anymore; Redis then ends cleanly.

    Only this process holds ``fd``, and the children that it passes it to.
    """

    def __init__(self) -> None:
        self._read_end, self.fd = os.pipe()
        self._shell: subprocess.Popen[bytes] | None = None

    def watch(self, pid: int, lock: Path) -> None:
        """Watch this server, instead of the one before; ``lock`` is its lock file."""
        self.pause()
        self._shell = subprocess.Popen(  # noqa: S603
            ["/bin/sh", "-c", _SCRIPT, "sh", str(lock), str(pid)],
            stdin=self._read_end,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            cwd="/",
            start_new_session=True,  # neither Ctrl-C nor a closed terminal ends it
        )

    def close(self) -> None:
        """Stop watching; the server keeps running."""
        self.pause()
        os.close(self._read_end)
        os.close(self.fd)

    def pause(self) -> None:
        """Watch nothing for now, because the server has ended."""
        if self._shell:
            self._shell.kill()
            self._shell.wait()
            self._shell = None
