"""Writes log lines from a thread of its own, so that logging never stops or changes the work.

A log that nobody reads (``| less``, Ctrl-S, a stalled log driver) blocks whoever writes to it, and a full disk makes
every write fail. Here only the thread waits or fails. Lines wait in a bounded buffer; what does not fit or cannot be
written is dropped and counted. Canonical lines are dropped last.
"""

import os
import select
import threading
import time
from collections import deque
from itertools import count
from queue import SimpleQueue
from typing import NamedTuple

import structlog

from service.logs.events import Event

log = structlog.get_logger()

# Some 10,000 lines of the usual 400 bytes: a busy worker's for a minute.
BUFFER_BYTES = 4 * 1024 * 1024
# A pipe takes so much in one piece, so lines of several processes that share one never mix.
BATCH_BYTES = select.PIPE_BUF
# After a write the thread looks once more before it has to be woken: for a busy process waking costs more than writing.
LINGER_S = 0.02
# After a write that failed, as on a full disk.
RETRY_INTERVAL_S = 1.0
# How often a full non-blocking pipe is checked for a process that wants to exit.
POLL_INTERVAL_S = 0.5
# A process that exits waits no longer for somebody to read its last lines.
FLUSH_TIMEOUT_S = 2.0

NOT_READ = "stdout was not read in time"


class _Line(NamedTuple):
    number: int
    data: bytes
    canonical: bool


class LogWriter:
    """Writes lines to a file descriptor in the background. Safe to call from any thread; never blocks or raises."""

    def __init__(self, fd: int, *, buffer_bytes: int = BUFFER_BYTES, dropped: int = 0) -> None:
        """``fd`` is duplicated, so it may be closed. ``dropped`` is where the count of dropped lines begins."""
        self.dropped = dropped
        self._reported = dropped
        self._fd = os.dup(fd)
        self._buffer_bytes = buffer_bytes
        self._numbers = count()
        self._ordinary = deque[_Line]()
        self._canonical = deque[_Line]()
        self._bytes = 0
        # Reentrant: a signal handler or a finalizer may log in the middle of a call.
        self._lock = threading.RLock()
        self._idle = False
        self._wake = SimpleQueue[None]()
        self._closing = threading.Event()
        self._error = NOT_READ
        self._mid_line = False
        self._gave_up = False
        self._thread = threading.Thread(target=self._run, daemon=True, name="log-writer")
        self._thread.start()

    def write(self, line: str, *, canonical: bool = False) -> None:
        """Queue a line. When the buffer is full, the oldest line that is not canonical is dropped."""
        new = _Line(next(self._numbers), f"{line}\n".encode("utf-8", "backslashreplace"), canonical)
        size = len(new.data)
        with self._lock:
            (self._canonical if canonical else self._ordinary).append(new)
            self._bytes += size
            while self._bytes > self._buffer_bytes:
                self._pop(self._ordinary or self._canonical)
                self.dropped += 1
            wake, self._idle = self._idle, False
        if wake:
            self._wake.put(None)

    def close(self, timeout_s: float = FLUSH_TIMEOUT_S) -> None:
        """Write what is in the buffer, as far as that is possible in this time, and end the thread."""
        self._closing.set()
        self._wake.put(None)
        self._thread.join(timeout_s)

    def _pop(self, lines: deque[_Line]) -> _Line:
        line = lines.popleft()
        self._bytes -= len(line.data)
        return line

    def _run(self) -> None:
        lingering = False
        while not self._gave_up:
            try:
                if batch := self._take_batch(then_idle=not lingering):
                    self._write_batch(batch)
                    lingering = True
                elif self.dropped > self._reported:
                    self._report()
                elif self._closing.is_set():
                    break
                elif lingering:
                    time.sleep(LINGER_S)
                    lingering = False
                else:
                    self._wake.get()
            except Exception:  # the thread must not end while the process lives
                self._closing.wait(RETRY_INTERVAL_S)
        os.close(self._fd)

    def _take_batch(self, *, then_idle: bool) -> list[_Line]:
        """The oldest lines, as many as fit into one write, at least one if there is any.

        With ``then_idle``, the next line wakes the thread if there is none now.
        """
        batch: list[_Line] = []
        size = 0
        with self._lock:
            while waiting := [lines for lines in (self._ordinary, self._canonical) if lines]:
                oldest = min(waiting, key=lambda lines: lines[0].number)
                size += len(oldest[0].data)
                if batch and size > BATCH_BYTES:
                    break
                batch.append(self._pop(oldest))
            self._idle = then_idle and not batch
        return batch

    def _write_batch(self, batch: list[_Line]) -> None:
        data = memoryview(b"".join([b"\n" * self._mid_line, *(line.data for line in batch)]))
        written = 0
        while written < len(data):
            try:
                written += os.write(self._fd, data[written:])
            except BlockingIOError:
                self._wait_until_writable()
            except OSError as error:  # a reader that went away (``| head``) among others
                self._fail(batch, written - self._mid_line, error)
                return
        self._mid_line = False

    def _wait_until_writable(self) -> None:
        poll = select.poll()
        poll.register(self._fd, select.POLLOUT)
        poll.poll(POLL_INTERVAL_S * 1000)
        self._closing.wait(0.01)  # there may be room, but not for the whole line

    def _fail(self, batch: list[_Line], written: int, error: OSError) -> None:
        """Drop the ordinary lines that were not written, keep the canonical ones, and pause."""
        while batch and len(batch[0].data) <= written:
            written -= len(batch.pop(0).data)
        self._mid_line = written != 0
        with self._lock:
            for line in reversed(batch):
                if line.canonical:
                    self._canonical.appendleft(line)
                    self._bytes += len(line.data)
                else:
                    self.dropped += 1
        self._error = error.strerror or str(error)
        self._gave_up = self._closing.is_set()
        self._closing.wait(RETRY_INTERVAL_S)

    def _report(self) -> None:
        lines, self._reported = self.dropped - self._reported, self.dropped
        error, self._error = self._error, NOT_READ
        log.warning(Event.LOG_LINES_DROPPED, lines=lines, error=error)
