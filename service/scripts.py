"""The steps that must happen in Redis as one: Lua scripts, each of which says at its top what it promises."""

from importlib.resources import files

from redis.asyncio import Redis
from redis.commands.core import AsyncScript


def load(redis: Redis, package: str, name: str) -> AsyncScript:
    """The script ``lua/<name>.lua`` of a package, to be called with ``keys`` and ``args``."""
    return redis.register_script(files(package).joinpath("lua", f"{name}.lua").read_text())
