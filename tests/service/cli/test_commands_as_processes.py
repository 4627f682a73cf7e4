"""Commands as real processes: signals, exit codes, pipes."""

import json
import os
import re
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest
from redis import Redis

from service.orders.state.order_entry import Entry, Status
from service.redis.embedded.server import EmbeddedRedis
from tests.fakes.cli import COMMAND, Keep
from tests.fakes.redis.failover import redis_on_tcp

pytestmark = [pytest.mark.integration, pytest.mark.usefixtures("folder")]

NO_SCRIPTS = "REDIS_URL: the Redis user may not run scripts (EVAL), "
NO_ZADD = "REDIS_URL: the Redis user may not use ZADD. Allow it +zadd."


@contextmanager
def running(*words: str) -> Iterator["subprocess.Popen[str]"]:
    with subprocess.Popen(
        [*COMMAND, *words], stdout=subprocess.PIPE, stderr=subprocess.PIPE, encoding="utf-8"
    ) as process:
        try:
            yield process
        finally:
            process.kill()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_sandbox_answers_until_a_signal_stops_it(number: signal.Signals) -> None:
    with running("sandbox", "--port", "0") as process:
        assert process.stdout
        started = json.loads(process.stdout.readline())
        health = httpx.get(f"{started['url']}/sandbox/health", timeout=30, trust_env=False)
        process.send_signal(number)
        _, errors = process.communicate(timeout=50)

    assert (started["level"], started["event"], started["store"]) == ("info", "sandbox_started", "sandbox")
    assert health.json() == {"status": "ok", "stores": ["sandbox"]}
    assert (process.returncode, errors) == (0, "")


@pytest.mark.parametrize("words", [("worker",), ("orders", "list")], ids=" ".join)
def test_a_command_without_redis_url_ends_with_one_line(words: tuple[str, ...]) -> None:
    with running(*words) as process:
        out, errors = process.communicate(timeout=50)

    assert (process.returncode, out) == (2, "")
    assert errors.startswith("REDIS_URL: is not set. ")
    assert errors.count("\n") == 1


@pytest.mark.parametrize(
    ("words", "rights", "expected"),
    [
        (("worker",), ("-@scripting",), NO_SCRIPTS),
        (("web",), ("-zadd",), NO_ZADD),
        pytest.param(("web",), ("-@scripting",), NO_SCRIPTS, marks=pytest.mark.chaos),
        pytest.param(("worker",), ("-zadd",), NO_ZADD, marks=pytest.mark.chaos),
    ],
)
def test_a_process_ends_at_the_start_with_one_line_when_redis_cannot_be_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: tuple[str, ...], rights: tuple[str, ...], expected: str
) -> None:
    with redis_on_tcp(tmp_path / "redis") as port:
        with Redis(port=port) as admin:
            admin.execute_command("ACL", "SETUSER", "shop", "on", ">secret", "~*", "&*", "+@all", *rights)
        monkeypatch.setenv("REDIS_URL", f"redis://shop:secret@127.0.0.1:{port}/0")
        with running(*words) as process:
            out, errors = process.communicate(timeout=50)

    assert (process.returncode, out) == (2, "")
    assert errors.startswith(expected)
    assert errors.count("\n") == 1


def test_redis_repair_makes_up_start_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data = tmp_path / "data"
    monkeypatch.setenv("ENRICH_DATA_DIR", str(data))
    with EmbeddedRedis(data) as server, Redis.from_url(server.url) as redis:
        redis.set("order", "250")
        redis.set("lost", "1")
        redis.set("kept", "1")
    file = next(path for path in data.rglob("*.aof") if b"lost" in path.read_bytes())
    file.write_bytes(file.read_bytes().replace(b"$4\r\nlost", b"$4XXlost"))

    with running("up", "--console-port", "0") as process:
        out, errors = process.communicate(timeout=50)
    assert (process.returncode, out) == (2, "")
    assert errors.startswith(f"{data}: the append-only file of Redis is damaged. Run `enrich redis repair`: ")
    assert errors.count("\n") == 1

    with running("redis", "repair") as process:
        out, errors = process.communicate(timeout=50)
    assert (process.returncode, errors) == (0, "")
    assert re.match(rf"{file}: \d+ of \d+ bytes could not be read and were cut out\. A copy .* is {file}\.", out)
    with EmbeddedRedis(data) as server, Redis.from_url(server.url) as redis:
        assert sorted(redis.keys()) == [b"kept", b"order"]
    with running("redis", "repair", "--json") as process:
        out, errors = process.communicate(timeout=50)
    assert (process.returncode, json.loads(out), errors) == (0, [], "")


def test_worker_shows_all_problems_of_a_stores_file(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REDIS_URL", "redis://127.0.0.1:1/0")
    (folder / "stores.toml").write_text("[stores.abc123]\npo_number = 'order.customer_message'\n")
    with running("worker") as process:
        out, errors = process.communicate(timeout=50)

    assert (process.returncode, out) == (2, "")
    assert [line.split()[:3] for line in errors.splitlines()] == [
        ["stores.toml:", "[stores.abc123]", "access_token:"],
        ["stores.toml:", "[stores.abc123]", "client_secret:"],
    ]


@pytest.mark.parametrize("words", [(), ("--json",)], ids=["table", "json"])
def test_a_closed_pipe_is_no_error(keep: Keep, words: tuple[str, ...]) -> None:
    keep(Entry("abc123", 250, status=Status.CREATED))
    # The reader closes the pipe before anything is written.
    reading, writing = os.pipe()
    os.close(reading)
    with os.fdopen(writing, "wb") as pipe:
        done = subprocess.run([*COMMAND, "orders", "list", *words], stdout=pipe, stderr=subprocess.PIPE, timeout=50)

    assert (done.returncode, done.stderr) == (1, b"")
