"""Turn exceptions into messages for the user, one line for each problem."""

from redis.exceptions import InvalidResponse, ResponseError
from typer.exceptions import TyperException

from service.cli.common.output import sanitize, with_cure
from service.errors import EnrichError
from service.redis.errors import TRANSIENT_ERRORS, diagnose


def user_message(error: Exception) -> str | None:
    """Return the message for a terminal, or None when the error is a bug of ours."""
    match error:
        case TyperException():
            message = _usage(error)
        case EnrichError():
            message = with_cure(error)
        case _ if isinstance(error, (*TRANSIENT_ERRORS, InvalidResponse, ResponseError)):
            message = f"REDIS_URL: {diagnose(error)}"
        case _:
            return None
    return sanitize(message)


def _usage(error: TyperException) -> str:
    message = error.format_message()
    context = getattr(error, "ctx", None)
    if context is None or message.startswith("Usage:"):  # a group without a command shows its help
        return message
    message = message.replace("Value error, ", "").replace("Input should be", "must be")
    message = " ".join(message.split())
    stop = "" if message.endswith((".", "?")) else "."
    return f"{context.command_path}: {message}{stop} See `{context.command_path} --help`."
