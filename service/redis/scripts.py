"""Lua scripts with a typed face: the declaration in Python names what the Lua text uses and what a caller passes.

::

    @redis_script  # the text is begin_attempt.lua, in the folder of the module that declares it
    async def begin_attempt(redis: Redis, *, entry: Key, breaker: Key, now_s: Arg[str]) -> tuple[int, tuple[str, ...]]:
        \"\"\"Begin an attempt at an order.\"\"\"

A caller writes ``await begin_attempt(redis, entry=…, breaker=…, now_s=…)``. The Lua text reads ``entry``, ``breaker``
and ``now_s`` as local variables: they are defined before its first line. Positions in KEYS and ARGV follow the order
of the declaration, and no caller needs to know them.
"""

import re
from collections.abc import Awaitable, Callable, Mapping
from enum import Enum
from hashlib import sha1
from importlib.resources import files
from itertools import chain
from typing import Annotated, Any, Concatenate, Generic, ParamSpec, TypeVar, cast, get_type_hints
from weakref import WeakSet

from redis import exceptions
from redis.asyncio import Redis

P = ParamSpec("P")
T = TypeVar("T")


class _Role(Enum):
    KEY = "key"
    ARGUMENT = "argument"
    REST = "rest"


Key = Annotated[str, _Role.KEY]
"""A key that the script uses."""

OptionalKey = Annotated[str | None, _Role.KEY]
"""The last key of a script that can do without it: nil in Lua when the caller passes None."""

Arg = Annotated[T, _Role.ARGUMENT]
"""One argument, which Lua gets as a string: None as '', True as '1', False as '0'."""

Rest = Annotated[T, _Role.REST]
"""The last argument, of any length, which Lua gets as a table of strings: a sequence, or a mapping as name, value, …"""

# Clients whose user may not call EVALSHA. They send the text of a script each time.
_WITHOUT_EVALSHA = WeakSet[Redis]()


class Script(Generic[P, T]):
    """A declared script. Calling it runs it, in one round trip once Redis knows its text.

    It needs EVAL. With EVALSHA, too, the text is sent only once.

    ``keys`` and ``arguments`` are the declared names in their order. The strings of an answer come as ``str`` and its
    arrays as tuples. Errors are Redis's own, also for a command inside the script.
    """

    def __init__(self, declaration: Callable[Concatenate[Redis, P], Awaitable[T]]) -> None:
        self.name = declaration.__name__
        self.__doc__ = declaration.__doc__
        roles = _roles(declaration)
        self.keys = tuple(name for name, role in roles.items() if role is _Role.KEY)
        self.arguments = tuple(name for name, role in roles.items() if role is not _Role.KEY)
        self._has_rest = _Role.REST in roles.values()
        self._names = roles.keys()
        source = files(declaration.__module__).joinpath(f"{self.name}.lua").read_text(encoding="utf-8")
        # On the same line as the first one of the text, so that the line numbers in Lua's errors stay right.
        self.text = f"{self._locals()} {source}"
        self.sha = sha1(self.text.encode(), usedforsecurity=False).hexdigest()

    def _locals(self) -> str:
        lua = [f"local {name} = KEYS[{position}];" for position, name in enumerate(self.keys, 1)]
        lua += [f"local {name} = ARGV[{position}];" for position, name in enumerate(self.arguments, 1)]
        if self._has_rest:
            lua[-1] = f"local {self.arguments[-1]} = {{unpack(ARGV, {len(self.arguments)})}};"
        return " ".join(lua)

    async def __call__(self, redis: Redis, *_: P.args, **named: P.kwargs) -> T:
        if named.keys() != self._names:
            raise TypeError(f"{self.name} takes {', '.join(self._names)}")
        keys = [named[name] for name in self.keys if named[name] is not None]
        arguments = [_encode(named[name]) for name in self.arguments]
        if self._has_rest:
            arguments[-1:] = _flat(named[self.arguments[-1]])
        return cast("T", _decode(await self._run(redis, len(keys), *keys, *arguments)))

    async def _run(self, redis: Redis, *words: Any) -> Any:
        if redis not in _WITHOUT_EVALSHA:
            try:
                return await redis.evalsha(self.sha, *words)  # type: ignore[misc]
            except exceptions.NoScriptError:
                pass
            except exceptions.ResponseError as error:
                if not _is_refused(error, "evalsha"):
                    raise
                _WITHOUT_EVALSHA.add(redis)
        # Redis keeps the text, so the next EVALSHA finds it. SCRIPT LOAD would be another right that a user needs.
        return await redis.eval(self.text, *words)  # type: ignore[misc]


def redis_script(declaration: Callable[Concatenate[Redis, P], Awaitable[T]]) -> Script[P, T]:
    """Declare the Lua script ``<name of the function>.lua`` of the function's package; the function has no body.

    Each of its keyword-only parameters is a ``Key``, an ``Arg`` or, as the last one, a ``Rest``.
    """
    return Script(declaration)


def _is_refused(error: exceptions.ResponseError, command: str) -> bool:
    """Whether the user may not use the command, or the server does not have it."""
    # "this user has no permissions to run the 'evalsha' command", "unknown command 'EVALSHA', with args …"
    refusal = rf"(permissions to run the|unknown command) ['`]{command}['`]"
    return re.search(refusal, str(error), re.IGNORECASE) is not None


def _roles(declaration: Callable[..., Any]) -> dict[str, _Role]:
    hints = get_type_hints(declaration, include_extras=True)
    annotated = {name: getattr(hint, "__metadata__", ()) for name, hint in hints.items()}
    return {name: metadata[0] for name, metadata in annotated.items() if metadata}


def _encode(value: Any) -> Any:
    if value is None:
        return ""
    return int(value) if isinstance(value, bool) else value


def _flat(rest: Any) -> list[Any]:
    return list(chain.from_iterable(rest.items()) if isinstance(rest, Mapping) else rest)


def _decode(answer: Any) -> Any:
    if isinstance(answer, bytes):
        return answer.decode()
    if isinstance(answer, list):
        # Pages read thousands of texts.
        return tuple(
            [each.decode() if type(each) is bytes else _decode(each) if type(each) is list else each for each in answer]
        )
    return answer
