"""The command line interface ``enrich``: one file per command group, a thin layer over the other packages."""

import io
import sys
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from service.cli.common.lazy_commands import LazyCommand


class Commands(TyperGroup):
    """All commands, in the order in which ``--help`` lists them."""

    def __init__(self, **settings: Any) -> None:
        super().__init__(**settings)
        for name, summary, target in (
            ("demo", "Try the service on this machine, without an account or Redis.", "demo:demo"),
            ("check", "Check the set-up, and say how to fix each problem.", "check:check"),
            ("init", "Write a commented stores file for one store.", "init.command:init"),
            ("up", "Run receiver, workers and console together on this machine.", "up:up"),
            ("web", "Run only the webhook receiver.", "web:web"),
            ("worker", "Run only the workers.", "worker:worker"),
            ("console", "Run the console, the web page for people.", "console:app"),
            ("backfill", "Enrich existing orders.", "backfill.command:backfill"),
            ("rehearse", "Measure on a test store what is not documented.", "rehearse.command:rehearse"),
            ("sandbox", "Run a local stand-in for BigCommerce.", "sandbox:sandbox"),
            ("preview", "Show what would be sent for a real order, and why.", "preview.command:show_preview"),
            ("hooks", "Show, register, repair and remove the stores' webhooks.", "hooks.commands:app"),
            ("orders", "Show what happened to each order, and retry orders.", "orders:app"),
            ("report", "Show how the orders went, by store and day.", "report.command:report"),
            ("stores", "Show the stores, and stop or resume writing.", "stores.commands:app"),
            ("notify", "Send a test message to each channel of [notify].", "notify:app"),
            ("redis", "Repair the data of the Redis that `enrich up` brings.", "embedded_redis:app"),
        ):
            self.add_command(LazyCommand(name, summary, f"service.cli.{target}"))


app = typer.Typer(
    name="enrich",
    cls=Commands,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _print_version(is_requested: bool) -> None:
    if is_requested:
        from importlib.metadata import version

        typer.echo(f"enrich {version('b2b-order-enrichment')}")
        raise typer.Exit


@app.callback()
def enrich(
    _: Annotated[
        bool, typer.Option("--version", help="Show the version and exit.", callback=_print_version, is_eager=True)
    ] = False,
) -> None:
    """Put purchase-order numbers and extra fields onto BigCommerce B2B Edition orders.

    Example: enrich demo
    """


def main() -> None:
    """Run the command. An error of the user or the network is one line on stderr with exit code 2; Ctrl-C exits 130."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        # Characters that the terminal's encoding lacks are written as escapes.
        sys.stdout.reconfigure(errors="backslashreplace")
    try:
        # Typer by itself would print a box of several lines for a mistyped option.
        sys.exit(app(prog_name="enrich", standalone_mode=False))
    except KeyboardInterrupt:
        sys.exit(130)
    except typer.Abort:  # Ctrl-C or end of input at a prompt
        typer.echo(err=True)
        sys.exit(130)
    except Exception as error:
        # Imported here because it loads the libraries whose errors it knows.
        from service.cli.common.error_messages import user_message

        message = user_message(error)
        if message is None:
            raise
        typer.echo(message, err=True)
        sys.exit(2)
