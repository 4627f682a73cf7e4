"""``enrich console link``: make a link that signs in once."""

import asyncio
import re
from typing import Annotated

import typer

from service.cli.common.options import choose_store, find_redis
from service.cli.common.output import print_json
from service.cli.console.links import make_link_url, system_user
from service.configuration import load_configuration
from service.console.address import ConsoleAddress
from service.console.people.access import Role
from service.console.people.sessions import CODE_VALID_S, SESSION_S_MAX, Grant
from service.errors import ConfigError, Problem
from service.settings import Settings

_UNITS_S = {"m": 60, "h": 3600, "d": 86_400}


def make_link(
    role: Annotated[
        Role, typer.Option(help="viewer reads; operator also retries and sets values; admin also edits rules.")
    ] = Role.VIEWER,
    stores: Annotated[
        list[str] | None,
        typer.Option("--store", metavar="HASH", help="Only this store; may be repeated. Default: all."),
    ] = None,
    length: Annotated[
        str, typer.Option("--for", metavar="TIME", help="How long the session lasts: 30m, 8h or 7d; 30 days at most.")
    ] = "8h",
    name: Annotated[
        str | None,
        typer.Option(
            "--name", metavar="TEXT", help="Who it is for: stands in the log with what they do. Default: you."
        ),
    ] = None,
    port: Annotated[
        int, typer.Option(min=1, max=65535, help="The console's port, if ENRICH_CONSOLE_URL is not set.")
    ] = 8100,
    as_json: Annotated[bool, typer.Option("--json", help="Print a JSON object instead of the link.")] = False,
) -> None:
    """Make a link that signs in once.

    The link works for 15 minutes and for one person. Opening it only shows a button, so a chat program that looks at
    links does not use it up. The code at its end can also be typed into the sign-in page.

    Example: enrich console link --role operator --store abc123 --for 8h --name ana
    """
    settings = Settings.load()
    redis_url = find_redis(settings)
    configured = list(load_configuration(settings.enrich_config).stores)
    chosen = None if not stores else frozenset(choose_store(store, configured) for store in stores)
    who = system_user() if name is None else name.strip()
    if not who:
        raise ConfigError(Problem("--name", "is empty.", "Write who the link is for, or leave the option out."))
    address = ConsoleAddress.of(settings.enrich_console_url, port=port)
    grant = Grant(who, role, chosen, _session_s(length))
    link = asyncio.run(make_link_url(redis_url, address, grant))
    if as_json:
        print_json(
            {
                "link": link,
                "who": who,
                "role": role.value,
                "stores": None if chosen is None else sorted(chosen),
                "session_s": grant.session_s,
                "valid_s": CODE_VALID_S,
            }
        )
    else:
        typer.echo(link)


def _session_s(length: str) -> int:
    found = re.fullmatch(r"([1-9]\d{0,5})([mhd])", length)
    seconds = int(found[1]) * _UNITS_S[found[2]] if found else 0
    if not 0 < seconds <= SESSION_S_MAX:
        raise ConfigError(Problem(f"--for {length}", "is not a valid length.", "Write 30m, 8h or 7d; 30d at most."))
    return seconds
