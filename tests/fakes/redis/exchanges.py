"""Counts exchanges with Redis: what is sent together, a command or a whole pipeline, is one."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from unittest.mock import patch

from redis.asyncio.connection import AbstractConnection


@dataclass(slots=True)
class Exchanges:
    """How many there were so far, and the bytes that were sent."""

    number: int = 0
    sent: int = 0


@contextmanager
def counted_exchanges() -> Iterator[Exchanges]:
    """Count the exchanges of all clients of this process."""
    counted, send = Exchanges(), AbstractConnection.send_packed_command

    async def count(connection: AbstractConnection, command: Any, *args: Any, **options: Any) -> None:
        counted.number += 1
        counted.sent += len(command) if isinstance(command, bytes) else sum(map(len, command))
        await send(connection, command, *args, **options)

    with patch.object(AbstractConnection, "send_packed_command", count):
        yield counted
