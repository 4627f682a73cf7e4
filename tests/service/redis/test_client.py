"""Connecting to Redis: directly, over TLS or a socket, and through Sentinels."""

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

from service.redis.client import TRANSIENT_ERRORS, connect
from service.redis.embedded.server_binary import find_server
from tests.fakes.redis.server import running_redis


@pytest.mark.parametrize("url", ["redis://h", "rediss://h", "unix:///s", "redis+sentinel://h?master=m"])
def test_every_connection_has_timeouts_and_no_retries(url: str) -> None:
    connection: Any = connect(url, socket_timeout=0.25).connection_pool.make_connection()  # type: ignore[no-untyped-call]
    assert connection.socket_timeout == 0.25
    assert connection.socket_connect_timeout == 1.0
    assert connection.retry._retries == 0
    assert connection.health_check_interval > 0


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


@pytest.mark.integration
async def test_a_command_to_a_hung_redis_times_out() -> None:
    async with running_redis() as server, connect(server.url, socket_timeout=0.1) as redis:
        await redis.ping()
        server.pause()
        async with asyncio.timeout(30):
            with pytest.raises(RedisTimeoutError):
                await redis.ping()
        server.resume()
        assert await redis.ping()


@pytest.mark.integration
async def test_commands_fail_with_transient_errors_and_work_again_after_a_restart() -> None:
    async with running_redis() as server, connect(server.url) as redis:
        await asyncio.gather(*(redis.ping() for _ in range(20)))
        server.kill()
        errors = await asyncio.gather(*(redis.ping() for _ in range(20)), return_exceptions=True)
        assert all(isinstance(error, TRANSIENT_ERRORS) for error in errors), errors
        await server.restart()
        assert await asyncio.gather(*(redis.ping() for _ in range(20))) == [True] * 20


async def test_an_unreachable_host_is_a_transient_error() -> None:
    with socket.create_server(("127.0.0.1", 0)) as unused:
        port = unused.getsockname()[1]
    async with connect(f"redis://127.0.0.1:{port}") as redis:
        with pytest.raises(TRANSIENT_ERRORS):
            await redis.ping()


async def test_unreachable_sentinels_are_a_transient_error() -> None:
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
        find_server(), *arguments, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True
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
async def test_sentinels_name_the_master(tmp_path: Path) -> None:
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
