"""The connection pool: every task gets its turn, and no connection is lost."""

import asyncio
import socket
import struct

import pytest
import uvloop
from redis.exceptions import ConnectionError as RedisConnectionError

from service.redis import pool
from service.redis.client import TRANSIENT_ERRORS, connect


async def test_a_burst_waits_for_a_free_connection(redis_url: str) -> None:
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


async def test_a_full_pool_is_a_transient_error_after_a_while(redis_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pool, "_POOL_WAIT_S", 0.01)
    async with connect(redis_url, max_connections=1) as redis:
        held = await redis.connection_pool.get_connection()
        with pytest.raises(TRANSIENT_ERRORS, match="no connection became free"):
            await redis.ping()
        await redis.connection_pool.release(held)
        assert await redis.ping()


async def test_cancelled_commands_give_their_connections_back(redis_url: str) -> None:
    async with connect(redis_url, max_connections=3) as redis:
        for steps in range(40):  # cancelled a little later each time, at every point where a command can wait
            tasks = [asyncio.ensure_future(redis.ping()) for _ in range(9)]
            for _ in range(steps):
                await asyncio.sleep(0)
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
        assert await asyncio.gather(*(redis.ping() for _ in range(9))) == [True] * 9
        assert not redis.connection_pool._in_use_connections


def test_a_connection_that_was_reset_is_a_lost_connection_on_uvloop_too() -> None:
    """Receivers and workers run on uvloop, where a write on a closed connection is a RuntimeError."""

    async def reset(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        writer.transport.abort()

    async def send_after_the_reset() -> None:
        server = await asyncio.start_server(reset, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        async with server, connect(f"redis://127.0.0.1:{port}/0") as redis:
            connection = await redis.connection_pool.get_connection()
            assert connection._reader is not None
            with pytest.raises(ConnectionResetError):
                await connection._reader.read()
            with pytest.raises(RedisConnectionError):
                await connection.send_command("PING")

    uvloop.run(send_after_the_reset())


async def test_after_one_command_without_an_answer_no_other_waits_for_a_dead_connection() -> None:
    """What drops one connection without a word has mostly dropped the others."""
    dead: set[asyncio.StreamWriter] = set()
    alive: set[asyncio.StreamWriter] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        alive.add(writer)
        while data := await reader.read(1000):
            if writer not in dead:
                writer.write(b"+PONG\r\n" * data.count(b"PING"))
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    async with server, connect(f"redis://127.0.0.1:{port}/0", socket_timeout=0.2) as redis:
        held = [await redis.connection_pool.get_connection() for _ in range(5)]
        for connection in held:
            await redis.connection_pool.release(connection)
        dead |= alive
        with pytest.raises(TRANSIENT_ERRORS):
            await redis.ping()
        busy = await redis.connection_pool.get_connection()  # the one that had no answer, opened again
        assert await redis.ping()
        await redis.connection_pool.release(busy)
