"""What a Redis was asked, by script or command: from its slow log, which then notes everything.

Commands inside a script are left out: the script's own time includes theirs.
"""

import asyncio
import importlib
import pkgutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from redis.asyncio import Redis

import service
import workers
from service.redis.scripts import Script

_MOST = 1_000_000
IDLE_S = 2.0

# The address of the client that runs a script's commands. EXEC itself is never in the slow log.
_SCRIPT = b"?:0"


@dataclass(slots=True)
class Exchanges:
    """How often each script or command came, and the microseconds that Redis took for it."""

    calls: dict[str, float] = field(default_factory=dict)
    us: dict[str, float] = field(default_factory=dict)

    def without(self, idle: "Exchanges", seconds: float) -> "Exchanges":
        """These without what comes by itself: ``idle`` is what a second without orders has."""
        names = [name for name, count in self.calls.items() if count > idle.calls.get(name, 0.0) * seconds]
        return Exchanges(
            {name: self.calls[name] - idle.calls.get(name, 0.0) * seconds for name in names},
            {name: max(0.0, self.us[name] - idle.us.get(name, 0.0) * seconds) for name in names},
        )

    def per(self, orders: int) -> "Exchanges":
        """Those of one order."""
        return Exchanges(
            {name: count / orders for name, count in self.calls.items()},
            {name: us / orders for name, us in self.us.items()},
        )


@asynccontextmanager
async def noted(redis: Redis) -> AsyncIterator[Exchanges]:
    """Note all exchanges of the context; they are there when it ends."""
    exchanges = Exchanges()
    await redis.config_set("slowlog-max-len", _MOST)
    await redis.slowlog_reset()
    await redis.config_set("slowlog-log-slower-than", 0)
    try:
        yield exchanges
    finally:
        await redis.config_set("slowlog-log-slower-than", -1)
        names = script_names()
        for entry in await redis.slowlog_get(_MOST):
            if entry["client_address"] == _SCRIPT:
                continue
            words = entry["command"].split(b" ", 2)
            name = words[0].decode().upper()
            if name == "EVALSHA":
                name = names.get(words[1].decode(), name)
            if name not in ("CONFIG", "SLOWLOG"):
                exchanges.calls[name] = exchanges.calls.get(name, 0.0) + 1
                exchanges.us[name] = exchanges.us.get(name, 0.0) + entry["duration"]
        if transactions := exchanges.calls.get("MULTI"):
            exchanges.calls["EXEC"], exchanges.us["EXEC"] = transactions, 0.0
        await redis.slowlog_reset()


async def of_idle(redis: Redis, idle_s: float = IDLE_S) -> Exchanges:
    """What a second without orders asks."""
    async with noted(redis) as exchanges:
        await asyncio.sleep(idle_s)
    return Exchanges(
        {name: count / idle_s for name, count in exchanges.calls.items()},
        {name: us / idle_s for name, us in exchanges.us.items()},
    )


def script_names() -> dict[str, str]:
    """All scripts of the product by their SHA-1: ``script <name>``."""
    modules = [
        importlib.import_module(each.name)
        for package in (service, workers)
        for each in pkgutil.walk_packages(package.__path__, f"{package.__name__}.")
        if each.name.endswith(".lua")
    ]
    scripts = [value for module in modules for value in vars(module).values() if isinstance(value, Script)]
    return {script.sha: f"script {script.name}" for script in scripts}
