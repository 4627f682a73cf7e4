"""The command ``enrich``: one file a group of commands, each a thin face on what the rest of the house does."""

import io
import sys
from importlib.metadata import version
from typing import Annotated

import typer
from redis.exceptions import AuthenticationError, InvalidResponse, NoPermissionError, ResponseError
from typer.exceptions import TyperException

from service.cli import backfill, check, demo, hooks, init, orders, preview, sandbox, serve
from service.cli.answers import harmless, with_cure
from service.errors import EnrichError
from service.redisdb import PASSING

app = typer.Typer(
    name="enrich",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.command("demo")(demo.demo)
app.command("check")(check.check)
app.command("init")(init.init)
app.command("up")(serve.up)
app.command("web")(serve.web)
app.command("worker")(serve.worker)
app.command("backfill")(backfill.backfill)
app.command("sandbox")(sandbox.sandbox)
app.add_typer(hooks.app, name="hooks")
app.command("preview")(preview.show_preview)
app.add_typer(orders.app, name="orders")


def _tell_version(wanted: bool) -> None:
    if wanted:
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
    except TyperException as error:
        sys.exit(_say(_usage(error)))
    except EnrichError as error:
        sys.exit(_say(with_cure(error)))
    except (AuthenticationError, NoPermissionError) as error:
        sys.exit(_say(f"REDIS_URL: Redis refuses this user or password ({error})."))
    except PASSING as error:
        sys.exit(
            _say(f"REDIS_URL: Redis does not answer ({type(error).__name__}). Is it running, and is this its URL?")
        )
    except InvalidResponse:
        sys.exit(_say("REDIS_URL: what answers there is not Redis. Is this its URL?"))
    except ResponseError as error:
        sys.exit(_say(f"REDIS_URL: Redis refuses what it is asked ({error})."))


def _usage(error: TyperException) -> str:
    message = error.format_message()
    context = getattr(error, "ctx", None)
    if context is None or message.startswith("Usage:"):  # a group without a command shows its help
        return message
    message = message.replace("Value error, ", "").replace("Input should be", "must be")
    message = " ".join(message.split())
    stop = "" if message.endswith((".", "?")) else "."
    return f"{context.command_path}: {message}{stop} See `{context.command_path} --help`."


def _say(message: str) -> int:
    typer.echo(harmless(message), err=True)
    return 2
