"""Options that several commands share, and the parsing of their values."""

import re
import sys
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Annotated

import typer

from service.errors import ConfigError, Problem
from service.redis.embedded.server import running_url
from service.settings import Settings
from service.stores import nearest

StoreOption = Annotated[
    str | None,
    typer.Option("--store", metavar="HASH", help="The store's hash. Not needed if only one store is configured."),
]

AnyStoreOption = Annotated[
    str | None, typer.Option("--store", metavar="HASH", help="Only this store. Default: all stores.")
]

HostOption = Annotated[str, typer.Option(help="The address to listen on.")]
PortOption = Annotated[int, typer.Option(min=1, max=65535, help="The port to listen on.")]

DryRunOption = Annotated[bool, typer.Option("--dry-run", help="Show what would be done, without doing it.")]
YesOption = Annotated[
    bool, typer.Option("--yes", help="Do not ask for confirmation. Required without a terminal, such as in a script.")
]

JsonArrayOption = Annotated[bool, typer.Option("--json", help="Print a JSON array instead of a table.")]
CsvOption = Annotated[bool, typer.Option("--csv", help="Print the table as CSV, for a spreadsheet.")]

_UNITS = {"m": "minutes", "h": "hours", "d": "days"}


def choose_store(wanted: str | None, stores: Sequence[str]) -> str:
    """The store that ``--store`` selects. Raises ConfigError when it is unknown, or missing with several stores."""
    if wanted is None:
        if len(stores) == 1:
            return stores[0]
        raise ConfigError(Problem("--store", f"is required: {len(stores)} stores are configured.", _names(stores)))
    if wanted in stores:
        return wanted
    near = nearest(wanted, stores)
    cure = f"Did you mean {near}?" if near else _names(stores)
    raise ConfigError(Problem(f"--store {wanted}", "is not in the stores file.", cure))


def choose_stores(wanted: str | None, stores: Sequence[str]) -> Sequence[str]:
    """The store that ``--store`` selects, or all of them without it. Raises ConfigError when it is not configured."""
    return stores if wanted is None else [choose_store(wanted, stores)]


def parse_since(text: str, *, now: datetime | None = None, option: str = "--since") -> datetime:
    """Parse a time, in UTC: ``2026-01-31``, ``2026-01-31T12:00`` (UTC unless it has an offset), ``30m``, ``7d``."""
    try:
        if ago := re.fullmatch(r"(\d{1,6})([mhd])", text):
            return (now or datetime.now(UTC)) - timedelta(**{_UNITS[ago[2]]: int(ago[1])})
        moment = datetime.fromisoformat(text)
        return moment.astimezone(UTC) if moment.tzinfo else moment.replace(tzinfo=UTC)
    except (ValueError, OverflowError):
        raise ConfigError(
            Problem(f"{option} {text}", "is not a valid time.", "Write 2026-01-31, 2026-01-31T12:00, 30m, 12h or 7d.")
        ) from None


def parse_span(
    since: str | None, until: str | None, *, now: datetime | None = None
) -> tuple[datetime | None, datetime | None]:
    """Parse ``--since`` and ``--until``, in UTC. Raises ConfigError, also when nothing lies between them."""
    begin = parse_since(since, now=now) if since else None
    end = parse_since(until, now=now, option="--until") if until else None
    if begin and end and begin >= end:
        raise ConfigError(Problem(f"--since {since}", f"must be before --until {until}.", "Exchange them?"))
    return begin, end


def one_format(*, as_json: bool, as_csv: bool) -> None:
    """Refuse ``--json`` together with ``--csv``. Raises ConfigError."""
    if as_json and as_csv:
        raise ConfigError(Problem("--json and --csv", "cannot be combined.", "Use one of them."))


def confirm(question: str, *, yes: bool) -> None:
    """Ask for confirmation on the terminal, unless ``--yes`` is given. Not to be called inside a running event loop.

    Raises ConfigError without a terminal, Exit when the answer is no, and Abort on Ctrl-C.
    """
    if yes:
        return
    if not sys.stdin.isatty():
        raise ConfigError(Problem("--yes", "is required without a terminal.", f"The question was: {question}"))
    if not typer.confirm(question, err=True):
        typer.echo("Nothing was done.", err=True)
        raise typer.Exit(1)


def find_redis(settings: Settings) -> str:
    """REDIS_URL, or the Redis of an ``enrich up`` that runs on this machine. Raises ConfigError without either."""
    if settings.redis_url is None and (url := running_url(settings.enrich_data_dir)):
        return url
    return settings.require_redis_url()


def _names(stores: Sequence[str]) -> str:
    shown = ", ".join(stores[:10])
    return f"One of: {shown}, …" if len(stores) > 10 else f"One of: {shown}."
