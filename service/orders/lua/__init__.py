"""The steps that must happen in Redis as one: each script says at its top what it promises."""

from importlib.resources import files

from redis.asyncio import Redis
from redis.commands.core import AsyncScript


def load(redis: Redis, name: str) -> AsyncScript:
    """The script ``<name>.lua``, to be called with ``keys`` and ``args``."""
    return redis.register_script(files(__name__).joinpath(f"{name}.lua").read_text())
