"""The embedded Redis's log: appended to across starts, and bounded."""

import os
import re
import shutil
from pathlib import Path

from service.redis.embedded.lock_file import open_private

# With what was moved aside, at most twice this much. Redis logs warnings only, so it is many weeks.
MAX_LOG_BYTES = 1_000_000

# "4711:M 28 Nov 2026 12:30:35.668 # " at the beginning of a line of Redis.
_PREFIX = re.compile(r"^\d+:\w \d+ \w+ \d+ [\d:.]+ [*#.-] ")


class LogFile:
    """A log that another process appends to."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._start = 0

    def open(self) -> int:
        """A file descriptor to append to, for a server that starts now."""
        self.trim()
        fd = open_private(str(self.path), os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC)
        self._start = os.fstat(fd).st_size
        return fd

    def trim(self) -> None:
        """Move what is there to ``<name>.1`` when it is too much. The server goes on writing to the same file."""
        if not self.path.exists() or self.path.stat().st_size <= MAX_LOG_BYTES:
            return
        # Copied and emptied, as the server keeps the file open, and appends.
        with open(self.path.with_suffix(".log.1"), "wb", opener=open_private) as old, self.path.open("rb") as log:
            shutil.copyfileobj(log, old)
        os.truncate(self.path, 0)
        self._start = 0

    def lines(self) -> list[str]:
        """The lines since the last ``open``, without time and process."""
        with self.path.open("rb") as log:
            log.seek(self._start)
            text = log.read(MAX_LOG_BYTES).decode(errors="replace")
        return [_PREFIX.sub("", line) for line in text.splitlines() if line.strip()]
