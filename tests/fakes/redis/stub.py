"""A server that answers like a Redis of another version, or like no Redis at all."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager


def hello(server: str, version: str) -> bytes:
    """The answer to HELLO of a server of this version."""
    words = ["server", server, "version", version, "proto", "2", "mode", "standalone"]
    return f"*{len(words)}\r\n".encode() + b"".join(bulk(word) for word in words)


def bulk(text: str) -> bytes:
    return f"${len(text.encode())}\r\n{text}\r\n".encode()


@asynccontextmanager
async def stub_redis(answers: Mapping[str, bytes]) -> AsyncIterator[str]:
    """The URL of a server that gives these answers by command, answers PING, and an error for every other command."""
    known = {"PING": b"+PONG\r\n", **answers}

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while count := await reader.readline():
            words = []
            for _ in range(int(count[1:])):
                length = int((await reader.readline())[1:])
                words.append((await reader.readexactly(length + 2))[:-2].decode())
            writer.write(known.get(words[0].upper(), f"-ERR unknown command '{words[0]}'\r\n".encode()))
            await writer.drain()
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield f"redis://127.0.0.1:{server.sockets[0].getsockname()[1]}/0"
    finally:
        server.close()


def web_server() -> AbstractAsyncContextManager[str]:
    """The URL, as of a Redis, of a web server."""
    return answering(b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n")


@asynccontextmanager
async def answering(answer: bytes) -> AsyncIterator[str]:
    """The URL, as of a Redis, of a server that gives this answer to anything and closes the connection."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1000)
        writer.write(answer)
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield f"redis://127.0.0.1:{server.sockets[0].getsockname()[1]}/0"
    finally:
        server.close()
