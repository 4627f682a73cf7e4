"""``enrich notify``: send a test message to each channel of ``[notify]``."""

import asyncio
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Annotated

import httpx
import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from service.bigcommerce.connection_pool import http_client
from service.cli.common.output import open_console, print_json
from service.cli.common.session import quiet_logs
from service.configuration import load_configuration
from service.errors import ConfigError, Problem
from service.notify.channels import channels_of
from service.notify.channels.channel import SEND_TIMEOUT_S, Channel, NotDelivered
from service.notify.messages import Message, a_test_message
from service.settings import Settings

app = typer.Typer(no_args_is_help=True)


@app.callback()
def notify() -> None:
    """Send a test message to each channel of [notify].

    The workers send a message by themselves when something begins that needs a person, and when it is over.

    Example: enrich notify test
    """


@dataclass(frozen=True, slots=True)
class TestResult:
    """What came back from one channel; ``answer`` is its answer, or why there is none."""

    channel: str
    host: str
    delivered: bool
    answer: str
    ms: int


@app.command("test")
def send_test(
    channel: Annotated[
        str | None,
        typer.Option(
            "--channel", metavar="NAME", help="Only this one: webhook, slack, teams, mail, or such as 'slack 2'."
        ),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print a JSON array instead of a table.")] = False,
) -> None:
    """Send a test message to each channel of [notify], and show what came back.

    Needs only the stores file (ENRICH_CONFIG, default stores.toml) and its secrets, no Redis and no worker. Each
    message is sent once; "delivered" means that the other side has taken it. Look whether it is shown where you
    expect it.

    Exit code 0: all were delivered. 1: at least one was not. 2: wrong usage, or no [notify] in the stores file.

    \b
    Example: enrich notify test
             enrich notify test --channel slack
    """
    settings = Settings.load()
    quiet_logs(settings)
    table = load_configuration(settings.enrich_config).notify
    if table is None:
        cure = 'Add one, such as: slack = "env:SLACK_WEBHOOK".'
        raise ConfigError(Problem(str(settings.enrich_config), "there is no table [notify].", cure))
    channels = _choose(channel, channels_of(table))
    results = asyncio.run(_send_all(channels, a_test_message(table, now=time.time())))
    if as_json:
        print_json([asdict(result) for result in results])
    else:
        open_console().print(_table(results))
    if not all(result.delivered for result in results):
        raise typer.Exit(1)


def _choose(wanted: str | None, channels: Sequence[Channel]) -> Sequence[Channel]:
    chosen = [channel for channel in channels if wanted in (None, channel.name, channel.kind)]
    if not chosen:
        names = ", ".join(channel.name for channel in channels)
        raise ConfigError(Problem(f"--channel {wanted}", "is not a channel of [notify].", f"One of: {names}."))
    return chosen


async def _send_all(channels: Sequence[Channel], message: Message) -> list[TestResult]:
    console = Console(stderr=True)
    async with httpx.AsyncClient(transport=http_client(), trust_env=False) as http:
        sending = asyncio.gather(*(_send(channel, message, http) for channel in channels))
        if not console.is_terminal:
            return await sending
        with console.status(f"Sending {len(channels)} messages, for up to {SEND_TIMEOUT_S:.0f} s …"):
            return await sending


async def _send(channel: Channel, message: Message, http: httpx.AsyncClient) -> TestResult:
    began = time.monotonic()
    try:
        answer, delivered = await channel.send(message, http), True
    except NotDelivered as error:
        answer, delivered = str(error), False
    return TestResult(channel.name, channel.host, delivered, answer, round((time.monotonic() - began) * 1000))


def _table(results: Sequence[TestResult]) -> Table:
    table = Table(box=None, padding=(0, 2, 0, 0))
    for column in ("CHANNEL", "HOST", "RESULT", "ANSWER"):
        table.add_column(column, overflow="fold")
    for result in results:
        outcome = Text("delivered", "green") if result.delivered else Text("not delivered", "red")
        table.add_row(result.channel, Text(result.host), outcome, Text(result.answer))
    return table
