"""The way to Redis."""

import asyncio
import json
import socket
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from redis.asyncio.sentinel import MasterNotFoundError
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import TimeoutError as RedisTimeoutError

from service.errors import ConfigError
from service.redis import client as redisdb
from service.redis.client import TRANSIENT_ERRORS, connect
from service.redis.embedded import _find_server
from tests.fakes.redis_server import running_redis


def settings(url: str) -> dict[str, Any]:
    return connect(url).connection_pool.connection_kwargs


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("redis://", {"host": "localhost", "port": 6379, "db": 0, "username": None, "password": None}),
        ("redis:///2", {"host": "localhost", "port": 6379, "db": 2}),
        ("redis://redis.internal:6380/3", {"host": "redis.internal", "port": 6380, "db": 3}),
        ("redis://redis.internal?db=4", {"db": 4}),
        ("redis://:s3%2Fcr%40t@h", {"username": None, "password": "s3/cr@t"}),
        ("redis://app:pw@[::1]:7000", {"host": "::1", "port": 7000, "username": "app", "password": "pw"}),
        ("rediss://h", {"ssl_check_hostname": True}),
        ("rediss://h?ssl_ca_certs=/ca.pem&ssl_check_hostname=false", {"ssl_ca_certs": "/ca.pem"}),
        ("unix:///run/redis%20a.sock?db=1&password=pw", {"path": "/run/redis a.sock", "db": 1, "password": "pw"}),
    ],
)
def test_url_says_where_redis_is(url: str, expected: dict[str, Any]) -> None:
    assert settings(url).items() >= expected.items()


@pytest.mark.parametrize("url", ["redis://h", "rediss://h", "unix:///s", "redis+sentinel://h?master=m"])
def test_every_way_has_time_outs_and_no_retries(url: str) -> None:
    connection: Any = connect(url, socket_timeout=0.25).connection_pool.make_connection()  # type: ignore[no-untyped-call]
    assert connection.socket_timeout == 0.25
    assert connection.socket_connect_timeout == 1.0
    assert connection.retry._retries == 0
    assert connection.health_check_interval > 0


def test_sentinel_url_names_sentinels_and_master() -> None:
    redis = connect("redis+sentinel://u:p@a:1,b,[::1]:3/5?master=mymaster&sentinel_password=s")
    pool = redis.connection_pool
    assert isinstance(pool, redisdb._SentinelPool)
    assert pool.service_name == "mymaster"
    kwargs = [sentinel.connection_pool.connection_kwargs for sentinel in pool.sentinel_manager.sentinels]
    assert [(k["host"], k["port"]) for k in kwargs] == [("a", 1), ("b", 26379), ("::1", 3)]
    assert {(k["password"], k["username"], k["db"], k["socket_timeout"]) for k in kwargs} == {("s", None, 0, 0.5)}
    assert pool.connection_kwargs.items() >= {"username": "u", "password": "p", "db": 5}.items()


@pytest.mark.parametrize(
    ("url", "wrong"),
    [
        ("http://h", "begins with none of redis://, rediss://, unix://, redis+sentinel://"),
        ("", "begins with none of"),
        ("redis://h:port", "host or port that cannot be read"),
        ("redis://h:99999", "host or port that cannot be read"),
        ("redis://[::1", "a host that cannot be read"),
        ("redis://h/first", "a path that is not a database number"),
        ("redis://h/-1", "a negative database number"),
        ("redis://h?db=x", "cannot be used for the option db"),
        ("redis://h?decode_responses=true", "an option that is not one of db"),
        ("rediss://h?ssl_check_hostname=maybe", "cannot be used for the option ssl_check_hostname"),
        ("unix://relative/path", "needs the absolute path of a socket"),
        ("unix://", "needs the absolute path of a socket"),
        ("redis+sentinel://a,b/0", "lacks ?master="),
        ("redis+sentinel://a,,b/0?master=m", "lacks a Sentinel's host"),
        ("redis://u:hunter2/x@h", "%2F"),
        ("redis://u:12/hunter2@h", "%2F"),
        ("redis://u:hunter2#x@h", "%23"),
        ("redis://u:12#hunter2@h", "%23"),
        ("redis://u:12?hunter2=1@h", "%3F"),
        ("redis://u:hunter2?x@h", "%3F"),
    ],
)
def test_unusable_url_is_explained_without_its_password(url: str, wrong: str) -> None:
    with pytest.raises(ConfigError) as refused:
        connect(url)
    (problem,) = refused.value.problems
    assert problem.place == "REDIS_URL"
    assert wrong in problem.message
    assert "hunter2" not in str(refused.value)


async def test_jobs_go_through_the_given_serializers(redis_url: str) -> None:
    def serialize(job: dict[str, Any]) -> bytes:
        return json.dumps(job).encode()

    async with connect(redis_url, serializer=serialize, deserializer=json.loads) as redis:
        job = await redis.enqueue_job("enrich", "abc123", 250)
        assert job is not None
        raw = await redis.get(f"arq:job:{job.job_id}")
        assert raw is not None
        assert json.loads(raw)["a"] == ["abc123", 250]
        info = await job.info()
        assert info is not None
        assert info.function == "enrich"


async def test_burst_waits_for_a_free_connection(redis_url: str) -> None:
    async with connect(redis_url, max_connections=3) as redis:
        assert sorted(await asyncio.gather(*(redis.incr("n") for _ in range(300)))) == list(range(1, 301))
        assert len(redis.connection_pool._available_connections) <= 3


async def test_connections_are_given_out_first_come_first_served(redis_url: str) -> None:
    async with connect(redis_url, max_connections=1) as redis:
        await redis.ping()
        served: list[str] = []

        async def use(name: str, times: int) -> None:
            for _ in range(times):
                await redis.ping()
                served.append(name)

        await asyncio.gather(use("greedy", 10), use("modest", 1))
        assert served.index("modest") <= 1


async def test_full_pool_is_a_passing_error_after_a_while(redis_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(redisdb, "_POOL_WAIT_S", 0.01)
    async with connect(redis_url, max_connections=1) as redis:
        held = await redis.connection_pool.get_connection()
        with pytest.raises(TRANSIENT_ERRORS, match="no connection became free"):
            await redis.ping()
        await redis.connection_pool.release(held)
        assert await redis.ping()


async def test_cancelled_commands_give_their_connections_back(redis_url: str) -> None:
    async with connect(redis_url, max_connections=3) as redis:
        for steps in range(40):  # cancelled a little later each time, at every place where a command can wait
            tasks = [asyncio.ensure_future(redis.ping()) for _ in range(9)]
            for _ in range(steps):
                await asyncio.sleep(0)
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
        assert await asyncio.gather(*(redis.ping() for _ in range(9))) == [True] * 9
        assert not redis.connection_pool._in_use_connections


@pytest.mark.integration
async def test_hung_redis_is_given_up_after_the_time_out() -> None:
    async with running_redis() as server, connect(server.url, socket_timeout=0.1) as redis:
        await redis.ping()
        server.pause()
        async with asyncio.timeout(30):
            with pytest.raises(RedisTimeoutError):
                await redis.ping()
        server.resume()
        assert await redis.ping()


@pytest.mark.integration
async def test_commands_fail_with_passing_errors_and_work_again_after_a_restart() -> None:
    async with running_redis() as server, connect(server.url) as redis:
        await asyncio.gather(*(redis.ping() for _ in range(20)))
        server.kill()
        errors = await asyncio.gather(*(redis.ping() for _ in range(20)), return_exceptions=True)
        assert all(isinstance(error, TRANSIENT_ERRORS) for error in errors), errors
        await server.restart()
        assert await asyncio.gather(*(redis.ping() for _ in range(20))) == [True] * 20


async def test_unreachable_host_is_a_passing_error() -> None:
    with socket.create_server(("127.0.0.1", 0)) as unused:
        port = unused.getsockname()[1]
    async with connect(f"redis://127.0.0.1:{port}") as redis:
        with pytest.raises(TRANSIENT_ERRORS):
            await redis.ping()


async def test_unreachable_sentinels_are_a_passing_error() -> None:
    with socket.create_server(("127.0.0.1", 0)) as unused:
        port = unused.getsockname()[1]
    async with connect(f"redis+sentinel://127.0.0.1:{port}/0?master=m") as redis:
        with pytest.raises(MasterNotFoundError) as raised:
            await redis.ping()
    assert isinstance(raised.value, TRANSIENT_ERRORS)


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as unused:
        return int(unused.getsockname()[1])


@asynccontextmanager
async def server_process(*arguments: str | Path, port: int) -> AsyncIterator[None]:
    """A Redis or Sentinel on TCP, as the embedded one never is."""
    process = await asyncio.create_subprocess_exec(
        _find_server(), *arguments, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True
    )
    try:
        async with asyncio.timeout(30), connect(f"redis://127.0.0.1:{port}") as redis:
            while True:
                try:
                    await redis.ping()
                    break
                except RedisConnectionError:
                    await asyncio.sleep(0.01)
        yield
    finally:
        process.kill()
        await process.wait()


@pytest.mark.integration
async def test_sentinel_leads_to_the_master(tmp_path: Path) -> None:
    master, sentinel, gone = free_port(), free_port(), free_port()
    config = tmp_path / "sentinel.conf"
    config.write_text(f"port {sentinel}\ndir {tmp_path}\nsentinel monitor orders 127.0.0.1 {master} 1\n")
    async with (
        server_process("--port", str(master), "--save", "", port=master),
        server_process(config, "--sentinel", port=sentinel),
        connect(f"redis+sentinel://127.0.0.1:{gone},127.0.0.1:{sentinel}/1?master=orders") as redis,
    ):
        async with connect(f"redis://127.0.0.1:{master}/1") as direct:
            assert await asyncio.gather(*(redis.incr("n") for _ in range(100)))
            assert await direct.get("n") == b"100"
        async with connect(f"redis+sentinel://127.0.0.1:{sentinel}?master=other") as other:
            with pytest.raises(MasterNotFoundError):
                await other.ping()
