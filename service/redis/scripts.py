"""The steps that must happen in Redis as one: Lua scripts, each of which says at its top what it promises."""

import re
from collections.abc import Awaitable, Callable, Sequence
from importlib.resources import files
from typing import Any, Protocol

from redis import exceptions
from redis.asyncio import Redis
from redis.commands.core import AsyncScript

# Redis 6 wraps an error of a command inside a script: "Error running script …: -READONLY You can't write …".
_WRAPPED = re.compile(r"-([A-Z]+) ")
_PASSING: dict[str, type[exceptions.RedisError]] = {
    "READONLY": exceptions.ReadOnlyError,
    "OOM": exceptions.OutOfMemoryError,
    "MASTERDOWN": exceptions.MasterDownError,
    "LOADING": exceptions.BusyLoadingError,
    # These have no type of their own: the disk is full, or too few replicas are there.
    "MISCONF": exceptions.ReadOnlyError,
    "NOREPLICAS": exceptions.ReadOnlyError,
}


class Script(Protocol):
    """A loaded script."""

    def __call__(self, keys: Sequence[Any] = (), args: Sequence[Any] = ()) -> Awaitable[Any]: ...


def load(redis: Redis, package: str, name: str) -> Script:
    """The script ``lua/<name>.lua`` of a package. Its errors are Redis's own, of the type that says what is wrong."""
    script: AsyncScript = redis.register_script(files(package).joinpath("lua", f"{name}.lua").read_text())
    run: Callable[..., Awaitable[Any]] = script

    async def call(keys: Sequence[Any] = (), args: Sequence[Any] = ()) -> Any:
        try:
            try:
                # What redis-py's own way looks at before it does the same is as much work again.
                return await redis.evalsha(script.sha, len(keys), *keys, *args)  # type: ignore[misc]
            except exceptions.NoScriptError:
                return await run(keys=list(keys), args=list(args))
        except exceptions.ResponseError as error:
            wrapped = _WRAPPED.search(str(error)) or re.match(r"([A-Z]+) ", str(error))
            if wrapped and (kind := _PASSING.get(wrapped[1])):
                raise kind(str(error)) from error
            raise

    return call
