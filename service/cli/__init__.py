"""The command ``enrich``: one file a group of commands, each a thin face on what the rest of the house does."""

import sys

import typer

from service.cli import demo, orders, sandbox, serve
from service.errors import ConfigError, EnrichError
from service.redisdb import PASSING

app = typer.Typer(
    name="enrich",
    help="Puts purchase-order numbers and extra fields onto BigCommerce B2B Edition orders, every time.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.command("demo")(demo.demo)
app.command("up")(serve.up)
app.command("web")(serve.web)
app.command("worker")(serve.worker)
app.command("sandbox")(sandbox.sandbox)
app.add_typer(orders.app, name="orders")


def main() -> None:
    """Run the command; what the user or the network did wrong is one line on stderr and exit code 2."""
    try:
        app()
    except ConfigError as error:
        sys.exit(_say(str(error)))
    except EnrichError as error:
        sys.exit(_say(str(error)))
    except PASSING as error:
        sys.exit(
            _say(f"REDIS_URL: Redis does not answer ({type(error).__name__}). Is it running, and is this its URL?")
        )


def _say(message: str) -> int:
    typer.echo(message, err=True)
    return 2
