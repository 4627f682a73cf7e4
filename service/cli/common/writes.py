"""Stores for which nothing is written now: what commands say of them, and what they refuse."""

from collections.abc import Sequence
from datetime import UTC, datetime

import typer
from redis.asyncio import Redis

from service.configuration import ConfiguredStore
from service.errors import ConfigError, Problem
from service.orders.state.per_store.pauses import Pause, Pauses


def paused_since(pause: Pause) -> str:
    """Such as ``paused since 2026-01-31 12:00 UTC by ana``."""
    since = datetime.fromtimestamp(pause.since, UTC).strftime(" since %Y-%m-%d %H:%M UTC") if pause.since else ""
    return f"paused{since}" + (f" by {pause.who}" if pause.who else "")


def why_not_written(configured: ConfiguredStore, pause: Pause | None) -> str | None:
    """Why nothing is written for the store, with the cure, as one sentence; None where it is written."""
    name = configured.store.hash
    if pause is not None:
        return f"is {paused_since(pause)}: nothing is written. `enrich stores resume {name}` ends that."
    if configured.store.writes == "off":
        return 'has writes = "off" in the stores file: nothing is written until you change that.'
    return None


async def note_if_not_written(redis: Redis, stores: Sequence[ConfiguredStore]) -> None:
    """Say on stderr for which of the stores nothing is written, and what to do. Errors are Redis's own."""
    pauses = await Pauses(redis).read_all([configured.store.hash for configured in stores])
    for configured in stores:
        if why := why_not_written(configured, pauses[configured.store.hash]):
            typer.echo(f"Store {configured.store.hash} {why}", err=True)


async def require_writes(redis: Redis | None, configured: ConfiguredStore, command: str) -> None:
    """Raise ConfigError where nothing may be written for the store. Errors are Redis's own."""
    name = configured.store.hash
    pause = await Pauses(redis).read(name) if redis else None
    if why := why_not_written(configured, pause):
        raise ConfigError(Problem(f"store {name}", why, f"Then run `{command}` again."))
