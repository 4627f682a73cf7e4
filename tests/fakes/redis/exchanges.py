"""Counts exchanges with Redis: what is sent together, a command or a whole pipeline, is one."""

from asyncio import StreamWriter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from unittest.mock import patch


@dataclass(slots=True)
class Exchanges:
    """How many there were so far, and the bytes that were sent."""

    number: int = 0
    sent: int = 0


@contextmanager
def counted_exchanges() -> Iterator[Exchanges]:
    """Count the exchanges of all clients of this process. Below them, so that open connections count, too."""
    counted, write = Exchanges(), StreamWriter.writelines

    def count(writer: StreamWriter, data: Iterable[bytes]) -> None:
        chunks = list(data)
        counted.number += 1
        counted.sent += sum(map(len, chunks))
        write(writer, chunks)

    with patch.object(StreamWriter, "writelines", count):
        yield counted
    assert counted.number, "no exchange was seen: redis-py writes in another way now"
