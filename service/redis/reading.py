"""Reads much of little in one answer: many answers of a pipeline cost a client in Python several times as much."""

from collections.abc import Sequence
from typing import Any

from redis.asyncio import Redis

from service.redis import lua

# Redis answers nobody else meanwhile: about half a millisecond. Lua can pass on some 8,000 words at once.
_AT_ONCE = 400


async def read_together(redis: Redis, commands: Sequence[Sequence[str | int]]) -> list[Any]:
    """The answers to short commands that write nothing, as Lua has them; errors are Redis's own.

    Texts are ``str``, lists are tuples, and so is a hash: its names and values in turn.
    """
    answers: list[Any] = []
    for begin in range(0, len(commands), _AT_ONCE):
        words = [word for command in commands[begin : begin + _AT_ONCE] for word in (len(command), *command)]
        answers += await lua.read_together(redis, words=words)
    return answers


def pairs(answer: Sequence[str]) -> dict[str, str]:
    """The hash that HGETALL has answered."""
    return dict(zip(answer[::2], answer[1::2], strict=True))
