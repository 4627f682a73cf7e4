"""Repairing a damaged append-only file of the embedded Redis: what cannot be read is cut out, and a copy is kept.

Redis's own tool cuts the file at the damage, and so loses all that came after it. Here the commands after the damage
are kept, too; only a transaction that is not complete is cut out as a whole. That is safe for what the service stores:
each order has its own keys, and an order that lost a change is found by reconciling or backfill.
"""

import mmap
import re
import subprocess
import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from service.errors import ConfigError, Problem
from service.redis.embedded.lock_file import LockFile, open_private
from service.redis.embedded.server_binary import find_server

# What redis-check-aof says of a snapshot at the beginning of the file, where the commands begin after it, and of a file
# in which Redis can read everything.
_SNAPSHOT_DAMAGED = b"preamble of AOF file is not sane"
_SNAPSHOT_END = re.compile(rb"\[offset (\d+)\] Checksum OK")
_ANALYZED = re.compile(rb"size=(\d+), ok_up_to=(\d+)")
_CHECK_TIMEOUT_S = 600.0

# A command in the file: its number of words, then each with its length in bytes.
_COUNT = re.compile(rb"\*([1-9]\d{0,6})\r\n")
_LENGTH = re.compile(rb"\$(\d{1,9})\r\n")
# The commands that Redis writes into the file for what the service does. Any other name is damage.
_NAMES = frozenset(
    b"SELECT MULTI EXEC SET SETEX PSETEX INCR INCRBY DEL UNLINK EXPIRE PEXPIRE EXPIREAT PEXPIREAT PERSIST"
    b" HSET HMSET HSETNX HDEL HINCRBY ZADD ZINCRBY ZREM ZREMRANGEBYSCORE ZPOPMIN SADD SREM RPUSH LPUSH LPOP LTRIM"
    b" SCRIPT EVAL EVALSHA".split()
)


@dataclass(frozen=True, slots=True)
class Repaired:
    """A file that was repaired: how many of its bytes could not be read, and where its copy is."""

    file: Path
    copy: Path
    size: int
    removed: int


def repair(data_dir: Path) -> list[Repaired]:
    """Repair the append-only files in the folder. Returns those that were damaged.

    Raises ConfigError when there are none, when they are in use, and when a file is beyond repair.
    """
    folder = data_dir.absolute()
    files = _append_only_files(folder)
    if not files:
        raise ConfigError(
            Problem(str(folder), "has no append-only file.", "Set ENRICH_DATA_DIR to the folder of `enrich up`.")
        )
    with ExitStack() as stack:
        for name in ("enrich.lock", "redis.lock"):
            lock = LockFile(folder / name)
            stack.callback(lock.close)
            if not lock.acquire():
                raise ConfigError(Problem(str(folder), "is in use.", "Stop `enrich up` first."))
        return [repaired for file in files if (repaired := _repair(file))]


def _append_only_files(folder: Path) -> list[Path]:
    """One file up to Redis 6; later a base, which Redis writes in one go, and the changes since."""
    single = folder / "appendonly.aof"
    return [single] if single.exists() else sorted((folder / "appendonlydir").glob("*.incr.aof"))


def _repair(file: Path) -> Repaired | None:
    checked = _check(file)
    if _SNAPSHOT_DAMAGED in checked:
        raise _beyond_repair(file)
    snapshot = _SNAPSHOT_END.search(checked)
    begin, size = int(snapshot[1]) if snapshot else 0, file.stat().st_size
    if begin == size:
        return None
    whole = file.with_name(f"{file.name}.repaired")
    with file.open("rb") as damaged, mmap.mmap(damaged.fileno(), 0, access=mmap.ACCESS_READ) as data:
        parts = [(0, begin), *_readable_parts(data, begin)]
        removed = size - sum(end - start for start, end in parts)
        if not removed:
            return None
        with open(whole, "wb", opener=open_private) as out:
            out.writelines(data[start:end] for start, end in parts)
    analyzed = _ANALYZED.search(_check(whole))
    if not analyzed or analyzed[1] != analyzed[2]:
        whole.unlink()
        raise _beyond_repair(file)
    copy = file.with_name(f"{file.name}.{time.strftime('%Y%m%d-%H%M%S')}.damaged")
    file.rename(copy)
    whole.rename(file)
    return Repaired(file, copy, size, removed)


class _Parts:
    """The parts to keep: commands that can be read, and are in no transaction that is not complete."""

    def __init__(self) -> None:
        self.kept: list[tuple[int, int]] = []
        self._pending: list[tuple[int, int]] = []
        self._in_transaction = self._after_damage = False

    def command(self, start: int, end: int, name: bytes) -> None:
        """Add a command."""
        if name == b"MULTI":
            self.close()
            self._in_transaction = True
        self._pending.append((start, end))
        if name == b"EXEC":
            if not self._in_transaction:  # its beginning was in the damage
                self._pending.clear()
            self._in_transaction = self._after_damage = False
        if not self._in_transaction and not self._after_damage:
            self.close()

    def damage(self) -> None:
        """Skip something that cannot be read. What follows may belong to a transaction, until EXEC or MULTI tells."""
        self.close()
        self._after_damage = True

    def close(self) -> None:
        """Keep the commands so far, unless they are of a transaction without its end."""
        if self._in_transaction:
            self._pending.clear()
        for start, end in self._pending:
            if self.kept and self.kept[-1][1] == start:
                start = self.kept.pop()[0]
            self.kept.append((start, end))
        self._pending.clear()
        self._in_transaction = self._after_damage = False


def _readable_parts(data: mmap.mmap, begin: int) -> list[tuple[int, int]]:
    parts = _Parts()
    for start, end, name in _commands(data, begin):
        if name is None:
            parts.damage()
        else:
            parts.command(start, end, name)
    parts.close()
    return parts.kept


def _commands(data: mmap.mmap, position: int) -> Iterator[tuple[int, int, bytes | None]]:
    """Begin, end and name of each command; the name is None for a damage."""
    while position < len(data):
        end, name = _command(data, position)
        if name is None:
            end = position + 1
            while (end := data.find(b"*", end)) >= 0 and _command(data, end)[1] is None:
                end += 1
            end = len(data) if end < 0 else end
        yield position, end, name
        position = end


def _command(data: mmap.mmap, position: int) -> tuple[int, bytes | None]:
    """The end and the name of the command at this position; no name when there is no whole command."""
    count = _COUNT.match(data, position)
    if not count:
        return position, None
    words, position = int(count[1]), count.end()
    name = b""
    for _ in range(words):
        length = _LENGTH.match(data, position)
        if not length:
            return position, None
        position = length.end() + int(length[1]) + 2
        if data[position - 2 : position] != b"\r\n":
            return position, None
        name = name or data[length.end() : position - 2].upper()
        if name not in _NAMES:
            return position, None
    return position, name


def _check(file: Path) -> bytes:
    """What redis-check-aof says of the file."""
    # redis-server is redis-check-aof when it is called by that name.
    return subprocess.run(  # noqa: S603
        ["redis-check-aof", str(file)],  # noqa: S607
        executable=find_server(),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        timeout=_CHECK_TIMEOUT_S,
        check=False,
    ).stdout


def _beyond_repair(file: Path) -> ConfigError:
    folder = file.parent.parent if file.parent.name == "appendonlydir" else file.parent
    return ConfigError(
        Problem(
            str(file),
            "cannot be repaired: its beginning, a snapshot, is damaged.",
            f"Restore {folder} from a backup. Without one, rename {folder}, start `enrich up`, and run"
            " `enrich backfill --since` with a date before the oldest order in progress.",
        )
    )
