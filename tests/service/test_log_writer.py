"""The thread that writes log lines: a reader that stalls, a full disk, a full buffer, the end of the process."""

import errno
import fcntl
import os
import time
from collections.abc import Callable, Iterator
from contextlib import suppress

import pytest
from structlog.testing import capture_logs

from service.logs import writer as log_writer
from service.logs.writer import NOT_READ, LogWriter


@pytest.fixture(autouse=True)
def short_retries(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(log_writer, "RETRY_INTERVAL_S", 0.02)


@pytest.fixture
def pipe() -> Iterator["Pipe"]:
    pipe = Pipe()
    yield pipe
    pipe.close()


class Pipe:
    """A pipe that nobody reads until ``read``."""

    def __init__(self) -> None:
        self.reader, self.writer = os.pipe()
        fcntl.fcntl(self.writer, fcntl.F_SETPIPE_SZ, 4096)
        os.set_blocking(self.reader, False)

    def fill(self) -> int:
        """Write to the pipe until it is full; how many bytes."""
        os.set_blocking(self.writer, False)
        written = 0
        with suppress(BlockingIOError):
            while True:
                written += os.write(self.writer, b"." * 1024)
        os.set_blocking(self.writer, True)
        return written

    def read(self, count: int) -> list[str]:
        """Read so many lines."""
        text, deadline = b"", time.monotonic() + 30
        while text.count(b"\n") < count:
            assert time.monotonic() < deadline, text
            with suppress(BlockingIOError):
                text += os.read(self.reader, 65536)
            time.sleep(0.001)
        return text.decode().splitlines()

    def close(self) -> None:
        for fd in (self.reader, self.writer):
            with suppress(OSError):
                os.close(fd)


def until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.005)


class Disk:
    """Replaces ``os.write``: a disk that is full after so many bytes, until ``free`` is called."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, room: int) -> None:
        self.text = b""
        self.room: float = room
        self.failures = 0
        monkeypatch.setattr("service.logs.writer.os.write", self.write)

    def write(self, _: int, data: bytes) -> int:
        if self.room <= 0:
            self.failures += 1
            raise OSError(errno.ENOSPC, "No space left on device")
        written = bytes(data[: int(min(self.room, len(data)))])
        self.text += written
        self.room -= len(written)
        return len(written)

    def free(self) -> None:
        self.room = float("inf")


@pytest.mark.parametrize("blocking", [True, False])
def test_lines_are_written_in_order_after_a_stall(pipe: Pipe, *, blocking: bool) -> None:
    filled = pipe.fill()
    os.set_blocking(pipe.writer, blocking)
    writer = LogWriter(pipe.writer)
    lines = [f"{number} " + "x" * 200 for number in range(200)]
    started_at = time.monotonic()
    for number, line in enumerate(lines):
        writer.write(line, canonical=number % 3 == 0)
    assert time.monotonic() - started_at < 1.0

    found = pipe.read(len(lines))
    assert found[0] == "." * filled + lines[0]
    assert found[1:] == lines[1:]
    assert writer.dropped == 0
    writer.close()


@pytest.mark.parametrize("blocking", [True, False])
def test_a_line_that_is_longer_than_a_pipe_is_written_whole(pipe: Pipe, *, blocking: bool) -> None:
    os.set_blocking(pipe.writer, blocking)
    writer = LogWriter(pipe.writer)
    long = "x" * 100_000
    writer.write(long)
    writer.write("next")
    assert pipe.read(2) == [long, "next"]
    writer.close()


def test_a_full_buffer_drops_the_oldest_ordinary_lines_and_canonical_ones_last(pipe: Pipe) -> None:
    pipe.fill()
    writer = LogWriter(pipe.writer, buffer_bytes=100)  # ten lines of ten bytes
    writer.write("already taken from the buffer")
    until(lambda: not writer._ordinary)
    for number in range(15):
        writer.write(f"line {number:4}", canonical=number % 2 == 0)  # even numbers: 8 canonical
    assert writer.dropped == 5
    numbers = sorted(int(line.data.split()[1]) for line in [*writer._ordinary, *writer._canonical])
    assert numbers == [0, 2, 4, 6, 8, 10, 11, 12, 13, 14]

    for number in range(100, 109):
        writer.write(f"line {number:4}", canonical=True)
    with capture_logs() as logs:
        found = [line.lstrip(".") for line in pipe.read(11)]
        until(lambda: bool(logs))
    assert found == ["already taken from the buffer", *(f"line {number:4}" for number in (14, *range(100, 109)))]
    assert logs == [{"event": "log_lines_dropped", "log_level": "warning", "lines": 14, "error": NOT_READ}]
    writer.close()


def test_a_full_disk_drops_ordinary_lines_keeps_canonical_ones_and_is_reported_once_it_works(
    pipe: Pipe, monkeypatch: pytest.MonkeyPatch
) -> None:
    disk = Disk(monkeypatch, room=9)
    writer = LogWriter(pipe.writer)
    with capture_logs() as logs:
        writer.write("first")
        until(lambda: disk.text == b"first\n")
        writer.write("second")
        until(lambda: writer.dropped == 1)
        writer.write("canonical", canonical=True)
        writer.write("third")
        until(lambda: writer.dropped == 2)
        assert logs == []
        disk.free()
        until(lambda: bool(logs))
        writer.write("fourth")
        writer.close()

    # What was written of a line before the disk was full stays: the next line begins on a line of its own.
    assert disk.text.decode().splitlines() == ["first", "sec", "canonical", "fourth"]
    assert logs == [
        {"event": "log_lines_dropped", "log_level": "warning", "lines": 2, "error": "No space left on device"}
    ]


def test_a_disk_that_stays_full_is_not_tried_all_the_time(pipe: Pipe, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(log_writer, "RETRY_INTERVAL_S", 0.5)
    disk = Disk(monkeypatch, room=0)
    writer = LogWriter(pipe.writer)
    writer.write("canonical", canonical=True)
    until(lambda: disk.failures == 1)
    for number in range(100):
        writer.write(f"{number}")
    time.sleep(0.1)
    assert disk.failures == 1
    writer.close()


def test_a_reader_that_went_away_is_ignored_and_counted(pipe: Pipe) -> None:
    os.close(pipe.reader)
    writer = LogWriter(pipe.writer)
    with capture_logs() as logs:
        writer.write("line")
        until(lambda: writer.dropped == 1)
    assert logs == []
    writer.close()


def test_close_writes_what_is_left(pipe: Pipe) -> None:
    writer = LogWriter(pipe.writer)
    for number in range(300):
        writer.write(f"{number}")
    writer.close()
    assert pipe.read(300) == [str(number) for number in range(300)]
    assert not writer._thread.is_alive()


def test_close_does_not_wait_for_a_reader_longer_than_it_may(pipe: Pipe) -> None:
    pipe.fill()
    writer = LogWriter(pipe.writer)
    writer.write("line")
    started_at = time.monotonic()
    writer.close(timeout_s=0.2)
    assert time.monotonic() - started_at < 5
    os.read(pipe.reader, 65536)


def test_close_gives_up_at_once_where_writing_fails(pipe: Pipe, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(log_writer, "RETRY_INTERVAL_S", 30)
    disk = Disk(monkeypatch, room=0)
    writer = LogWriter(pipe.writer)
    writer.write("line", canonical=True)
    until(lambda: disk.failures == 1)
    writer.close(timeout_s=30)
    assert not writer._thread.is_alive()
    assert disk.failures == 2  # it tried once more


def test_the_thread_survives_an_error_of_its_own(pipe: Pipe, monkeypatch: pytest.MonkeyPatch) -> None:
    writer = LogWriter(pipe.writer)
    write_batch, failed = writer._write_batch, []

    def fail_once(batch: object) -> None:
        failed.append(batch)
        monkeypatch.setattr(writer, "_write_batch", write_batch)
        raise RuntimeError

    monkeypatch.setattr(writer, "_write_batch", fail_once)
    writer.write("lost")
    until(lambda: bool(failed))
    writer.write("line")
    assert pipe.read(1) == ["line"]
    writer.close()
