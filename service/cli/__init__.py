"""The command ``enrich``: one file a group of commands, each a thin face on what the rest of the house does."""

import io
import sys
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from service.cli.common.lazy import LazyCommand


class Commands(TyperGroup):
    """All commands, in the order of the help."""

    def __init__(self, **settings: Any) -> None:
        super().__init__(**settings)
        for name, purpose, place in (
            ("demo", "See it work on this machine, with no account and no Redis.", "demo:demo"),
            ("check", "Find what keeps orders from being enriched, and say what to do.", "check:check"),
            ("init", "Write a stores file with comments, for one store.", "init:init"),
            ("up", "Run receiver and workers together on this machine.", "up:up"),
            ("web", "Run the webhook receiver alone.", "web:web"),
            ("worker", "Run the workers alone.", "worker:worker"),
            ("backfill", "Enrich orders that are already there.", "backfill.command:backfill"),
            ("sandbox", "Run a local stand-in for BigCommerce.", "sandbox:sandbox"),
            ("preview", "Show what would be sent for a real order, and why.", "preview.command:show_preview"),
            ("hooks", "The stores' webhooks: through them BigCommerce tells of orders.", "hooks.commands:app"),
            ("orders", "What happened to each order, and what can be done about it.", "orders:app"),
            ("redis", "The Redis that `enrich up` brings: repair its data.", "embedded_redis:app"),
        ):
            self.add_command(LazyCommand(name, purpose, f"service.cli.{place}"))


app = typer.Typer(
    name="enrich",
    cls=Commands,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _tell_version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version

        typer.echo(f"enrich {version('b2b-order-enrichment')}")
        raise typer.Exit


@app.callback()
def enrich(
    _: Annotated[
        bool, typer.Option("--version", help="Show the version and exit.", callback=_tell_version, is_eager=True)
    ] = False,
) -> None:
    """Puts purchase-order numbers and extra fields onto BigCommerce B2B Edition orders, every time.

    Example: enrich demo
    """


def main() -> None:
    """Run the command; what the user or the network did wrong is one line on stderr and exit code 2, Ctrl-C is 130."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        # What a terminal's encoding lacks is written as an escape.
        sys.stdout.reconfigure(errors="backslashreplace")
    try:
        # Typer's own way would be a box of several lines for a mistyped option.
        sys.exit(app(prog_name="enrich", standalone_mode=False))
    except KeyboardInterrupt:
        sys.exit(130)
    except typer.Abort:  # Ctrl-C, or the end of the input, where something was asked
        typer.echo(err=True)
        sys.exit(130)
    except Exception as error:
        # Here, as it loads the libraries whose errors it knows.
        from service.cli.common.error_messages import in_words

        words = in_words(error)
        if words is None:
            raise
        typer.echo(words, err=True)
        sys.exit(2)
