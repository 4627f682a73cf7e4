"""A client that pipelines by itself: commands of the same moment share one round trip."""

import asyncio
from dataclasses import dataclass
from typing import Any

from arq.connections import ArqRedis
from redis import exceptions

# Answers are read one after the other: a pipeline must not become so long that the first waits for the last.
_MAX_COMMANDS = 100


@dataclass(slots=True)
class _Command:
    """A command, and the future of the task that waits for its answer."""

    words: tuple[Any, ...]
    options: dict[str, Any]
    answer: asyncio.Future[Any]

    def resolve(self, answer: Any) -> None:
        if self.answer.done():  # the waiting task was cancelled
            return
        if isinstance(answer, BaseException):
            self.answer.set_exception(answer)
        else:
            self.answer.set_result(answer)


class PipeliningRedis(ArqRedis):
    """Sends the commands of one pass of the event loop, or of ``passes`` in a row, in one pipeline.

    A round trip costs a client in Python several times what a command in it does, and with many orders in progress
    there is hardly a moment with one command only. A command that fails does so for its caller alone; a connection
    that breaks does so for all callers that share it.
    """

    def __init__(self, *args: Any, passes: int = 1, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._passes = passes
        self._pending: list[_Command] = []
        self._sending: set[asyncio.Task[None]] = set()

    async def execute_command(self, *args: Any, **options: Any) -> Any:
        loop = asyncio.get_running_loop()
        command = _Command(args, options, loop.create_future())
        self._pending.append(command)
        if len(self._pending) == 1:
            self._flush_after(self._passes)
        return await command.answer

    def _flush_after(self, passes: int) -> None:
        loop = asyncio.get_running_loop()
        if passes > 1:
            loop.call_soon(self._flush_after, passes - 1)
        else:
            loop.call_soon(self._flush)

    def _flush(self) -> None:
        pending, self._pending = [command for command in self._pending if not command.answer.done()], []
        for start in range(0, len(pending), _MAX_COMMANDS):
            sending = asyncio.create_task(self._send(pending[start : start + _MAX_COMMANDS]))
            self._sending.add(sending)
            sending.add_done_callback(self._sending.discard)

    async def _send(self, commands: list[_Command]) -> None:
        try:
            if len(commands) == 1:
                only = commands[0]
                answers = [await super().execute_command(*only.words, **only.options)]  # type: ignore[no-untyped-call]
            else:
                async with self.pipeline(transaction=False) as pipe:
                    for command in commands:
                        pipe.execute_command(*command.words, **command.options)
                    answers = await pipe.execute(raise_on_error=False)
        except (exceptions.DataError, UnicodeEncodeError) as error:
            if len(commands) > 1:
                # One of them cannot be encoded, so nothing was sent: send each by itself.
                await asyncio.gather(*(self._send([command]) for command in commands))
                return
            answers = [error]
        except BaseException as error:
            answers = [error] * len(commands)
        for command, answer in zip(commands, answers, strict=True):
            command.resolve(answer)

    async def aclose(self, close_connection_pool: bool | None = None) -> None:
        self._flush()
        await asyncio.gather(*self._sending)
        await super().aclose(close_connection_pool)
