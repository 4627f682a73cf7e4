"""``enrich console sessions``: list the sessions, and end them."""

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Annotated, Any

import typer
from redis.asyncio import Redis
from rich.table import Table
from rich.text import Text

from service.cli.common.options import find_redis
from service.cli.common.output import open_console, print_json
from service.console.people.sessions import Session, Sessions
from service.errors import ConfigError, Problem
from service.redis.client import connect
from service.settings import Settings

# Of an id, in the table and for --end: enough to tell sessions apart.
_SHOWN = 12


def list_sessions(
    end: Annotated[
        list[str] | None, typer.Option("--end", metavar="ID", help="End this session at once; may be repeated.")
    ] = None,
    end_all: Annotated[bool, typer.Option("--end-all", help="End all sessions at once.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print a JSON array instead of a table.")] = False,
) -> None:
    """List who is signed in to the console, and end sessions.

    Those who come through a sign-in proxy have no session here: remove them from [console.people].

    Example: enrich console sessions --end 3f9a1c20b7d4
    """
    sessions = asyncio.run(_list_and_end(find_redis(Settings.load()), end or [], end_all))
    if as_json:
        print_json([_as_dict(session) for session in sessions])
    elif not sessions:
        typer.echo("Nobody is signed in.")
    else:
        open_console().print(_as_table(sessions))


async def _list_and_end(redis_url: str, wanted: Sequence[str], end_all: bool) -> list[Session]:
    """End those that are wanted; returns those that are left."""
    async with connect(redis_url) as redis:
        found = await _find(redis)
        doomed = list(found) if end_all else _chosen(wanted, found)
        ended = await Sessions(redis).end(doomed)
        if doomed:
            typer.echo(f"Ended {ended} sessions." if ended != 1 else "Ended 1 session.", err=True)
        return [session for session in found.values() if session.id not in doomed]


async def _find(redis: Redis) -> dict[str, Session]:
    return {session.id: session for session in await Sessions(redis).list()}


def _chosen(wanted: Sequence[str], found: dict[str, Session]) -> list[str]:
    """The ids that begin with what was written. Raises ConfigError with all that name no session, or several."""
    problems, chosen = [], []
    for written in wanted:
        matching = [session_id for session_id in found if written and session_id.startswith(written)]
        if len(matching) == 1:
            chosen += matching
        else:
            message = "names several sessions." if matching else "names no session."
            cure = "Write more of the ID." if matching else "Run `enrich console sessions` to see them."
            problems.append(Problem(f"--end {written}", message, cure))
    if problems:
        raise ConfigError(*problems)
    return chosen


def _as_dict(session: Session) -> dict[str, Any]:
    grant = session.grant
    return {
        "id": session.id[:_SHOWN],
        "who": grant.who,
        "role": grant.role.value,
        "stores": None if grant.stores is None else sorted(grant.stores),
        "began_at": _time(session.began_at),
        "until": _time(session.until),
    }


def _as_table(sessions: Sequence[Session]) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in ("ID", "WHO", "ROLE", "STORES", "BEGAN (UTC)", "UNTIL (UTC)"):
        table.add_column(column, overflow="fold")
    for session in sessions:
        row = _as_dict(session)
        stores = "all" if row["stores"] is None else ", ".join(row["stores"])
        times = (row["began_at"], row["until"])
        table.add_row(
            row["id"], Text(row["who"]), row["role"], stores, *(time[:19].replace("T", " ") for time in times)
        )
    return table


def _time(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
