"""A damaged append-only file: one sentence with a cure, and the cure keeps the data. With a real server."""

import mmap
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from redis import Redis

from service.errors import ConfigError
from service.redis.embedded import log_file
from service.redis.embedded.repair import _readable_parts, repair
from service.redis.embedded.server import EmbeddedRedis
from service.redis.requirements import rights_tried

pytestmark = pytest.mark.integration

READS = {"PING", "TIME", "SCAN", "GET", "MGET", "EXISTS", "PTTL", "HGET", "HMGET", "HGETALL", "HEXISTS", "HLEN"} | {
    *("ZCARD", "ZSCORE", "ZMSCORE", "ZRANGE", "ZRANGEBYSCORE", "ZREVRANGE", "ZREVRANGEBYSCORE", "SMEMBERS", "LRANGE")
}
"""What Redis does not write into the file."""

KEYS = [f"order:{number}" for number in range(200)]


@contextmanager
def running(folder: Path) -> Iterator[Any]:
    with EmbeddedRedis(folder) as server, Redis.from_url(server.url, decode_responses=True) as redis:
        yield redis


def changes(folder: Path) -> Path:
    """The file that the changes are in."""
    single = folder / "appendonly.aof"
    return single if single.exists() else next((folder / "appendonlydir").glob("*.incr.aof"))


@pytest.fixture
def file(tmp_path: Path) -> Path:
    with running(tmp_path) as redis:
        for key in KEYS:
            redis.set(key, "with some\r\n*1\r\n$4\r\ntext")
    return changes(tmp_path)


def damage(file: Path, begin: int, length: int, garbage: bytes = b"X") -> None:
    with file.open("r+b") as damaged:
        damaged.seek(begin)
        damaged.write(garbage * length)


def kept(folder: Path) -> list[str]:
    with running(folder) as redis:
        return sorted(redis.keys(), key=lambda key: int(key.partition(":")[2]))


def test_a_damaged_file_is_one_sentence_with_a_cure(tmp_path: Path, file: Path) -> None:
    damage(file, file.stat().st_size // 2, 50)
    with pytest.raises(ConfigError) as refused, EmbeddedRedis(tmp_path):
        pass
    assert str(refused.value).startswith(
        f"{tmp_path}: the append-only file of Redis is damaged. Run `enrich redis repair`: "
    )
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize("where", ["begin", "middle", "end"])
def test_repair_keeps_all_that_can_be_read_and_a_copy(tmp_path: Path, file: Path, where: str) -> None:
    size = file.stat().st_size
    begin = {"begin": 200, "middle": size // 2, "end": size - 60}[where]
    damage(file, begin, 50)
    damaged = file.read_bytes()

    (repaired,) = repair(tmp_path)
    assert repaired.file == file
    assert repaired.copy.read_bytes() == damaged
    assert file.stat().st_size == size - repaired.removed
    assert file.stat().st_mode & 0o077 == 0
    assert repaired.copy.stat().st_mode & 0o077 == 0
    survivors = kept(tmp_path)
    assert set(survivors) <= set(KEYS)
    assert len(survivors) >= len(KEYS) - 4  # 50 bytes are in two or three commands
    assert repair(tmp_path) == []


def test_several_damages_are_repaired_at_once(tmp_path: Path, file: Path) -> None:
    size = file.stat().st_size
    for part in range(1, 5):
        damage(file, part * size // 5, 10, b"\0")
    with file.open("ab") as appended:
        appended.write(b"\0" * 5000)  # as some file systems leave it after a power cut
    (repaired,) = repair(tmp_path)
    assert repaired.removed >= 5000
    assert len(kept(tmp_path)) >= len(KEYS) - 8


@pytest.mark.parametrize("part", ["MULTI", "middle", "EXEC"])
def test_a_transaction_is_kept_as_a_whole_or_not_at_all(tmp_path: Path, part: str) -> None:
    with running(tmp_path) as redis:
        for transaction in ("order:1", "order:2", "order:3"):
            with redis.pipeline(transaction=True) as pipe:
                for number in range(3):
                    pipe.set(f"{transaction}{number}", transaction)
                pipe.execute()
        redis.set("order:4", "plain")
    file = changes(tmp_path)
    begin = file.read_bytes().index({"MULTI": b"MULTI", "middle": b"$8\r\norder:21", "EXEC": b"EXEC"}[part])
    damage(file, begin, 3)
    repair(tmp_path)
    lost = {"MULTI": "order:1", "middle": "order:2", "EXEC": "order:1"}[part]
    whole = [f"order:{transaction}{number}" for transaction in (1, 2, 3) for number in range(3)]
    assert kept(tmp_path) == ["order:4", *(key for key in whole if not key.startswith(lost))]


@pytest.mark.parametrize(
    "words", [each for each in rights_tried("order:3") if each[0] not in READS], ids=lambda words: str(words[0])
)
def test_every_command_of_the_service_is_kept(tmp_path: Path, words: tuple[str | int, ...]) -> None:
    """A name that the repair does not know would count as damage, and so would the transaction around it."""
    file = tmp_path / "appendonly.aof"
    whole = b"".join(map(_logged, [("MULTI",), ("SET", "order:1", 1), words, ("SET", "order:2", 2), ("EXEC",)]))
    file.write_bytes(whole + b"X" * 50 + _logged(("SET", "order:4", 4)))
    with file.open("rb") as opened, mmap.mmap(opened.fileno(), 0, access=mmap.ACCESS_READ) as data:
        parts = _readable_parts(data, 0)
    assert parts[0] == (0, len(whole))


def _logged(words: tuple[str | int, ...]) -> bytes:
    """A command as it stands in the file."""
    texts = [str(word).encode() for word in words]
    return b"*%d\r\n" % len(texts) + b"".join(b"$%d\r\n%s\r\n" % (len(text), text) for text in texts)


def test_a_damaged_name_of_a_command_is_found_too(tmp_path: Path, file: Path) -> None:
    damage(file, file.read_bytes().rindex(b"SET") + 1, 1)
    with pytest.raises(ConfigError, match="append-only file of Redis is damaged"), EmbeddedRedis(tmp_path):
        pass
    repair(tmp_path)
    assert kept(tmp_path) == KEYS[:-1]


def test_commands_after_a_snapshot_are_repaired(tmp_path: Path, file: Path) -> None:
    with running(tmp_path) as redis:
        redis.execute_command("BGREWRITEAOF")
        while redis.info("persistence")["aof_rewrite_in_progress"]:
            pass
        for number in range(200, 210):
            redis.set(f"order:{number}", "later")
    file = changes(tmp_path)
    damage(file, file.read_bytes().index(b"$9\r\norder:205"), 3)
    assert kept_after_repair(tmp_path) == [*KEYS, *(f"order:{number}" for number in range(200, 210) if number != 205)]


def kept_after_repair(folder: Path) -> list[str]:
    repair(folder)
    return kept(folder)


def test_a_cut_off_end_needs_no_repair(tmp_path: Path, file: Path) -> None:
    os.truncate(file, file.stat().st_size - 7)
    assert kept(tmp_path) == KEYS[:-1]


def test_an_undamaged_file_is_left_as_it_is(tmp_path: Path, file: Path) -> None:
    before = file.read_bytes()
    assert repair(tmp_path) == []
    assert file.read_bytes() == before
    assert not list(tmp_path.rglob("*.damaged"))


def test_a_snapshot_at_the_beginning_that_is_damaged_is_beyond_repair(tmp_path: Path, file: Path) -> None:
    with running(tmp_path) as redis:
        redis.execute_command("BGREWRITEAOF")
        while redis.info("persistence")["aof_rewrite_in_progress"]:
            pass
    if file.name != "appendonly.aof":
        pytest.skip("Redis 7 keeps the snapshot in a file of its own")
    damage(file, 40, 20)
    before = file.read_bytes()
    with pytest.raises(ConfigError, match="append-only file of Redis is damaged"), EmbeddedRedis(tmp_path):
        pass
    with pytest.raises(ConfigError, match=r"cannot be repaired: .* Restore .* from a backup"):
        repair(tmp_path)
    assert file.read_bytes() == before


def test_a_file_in_use_is_not_touched(tmp_path: Path, file: Path) -> None:
    with running(tmp_path), pytest.raises(ConfigError, match=r"is in use\. Stop `enrich up` first\."):
        repair(tmp_path)


def test_a_folder_without_data_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=f"^{tmp_path}: has no append-only file"):
        repair(tmp_path)
    assert list(tmp_path.iterdir()) == []


# ── redis.log ───────────────────────────────────────────────────────────────────────────────────────────────────


def test_the_log_of_an_earlier_start_is_kept(tmp_path: Path, file: Path) -> None:
    log = tmp_path / "redis.log"
    log.write_text("what happened yesterday\n")
    damage(file, file.stat().st_size // 2, 50)
    for _ in range(2):
        with pytest.raises(ConfigError), EmbeddedRedis(tmp_path):
            pass
    text = log.read_text()
    assert text.startswith("what happened yesterday\n")
    assert text.count("Bad file format reading the append only file") == 2


def test_the_log_is_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(log_file, "MAX_LOG_BYTES", 1000)
    log = tmp_path / "redis.log"
    log.write_text("x" * 1001)
    with EmbeddedRedis(tmp_path) as server:
        assert (tmp_path / "redis.log.1").read_text() == "x" * 1001
        assert log.stat().st_size < 1000
        with log.open("a") as more:
            more.write("y" * 1001)
        server.trim_log()
        assert log.stat().st_size == 0
        assert (tmp_path / "redis.log.1").read_text().endswith("y")
