"""Parts of a view that may be missing: what an answer does not show is unknown, not empty."""

from collections.abc import Awaitable
from dataclasses import dataclass
from math import ceil
from typing import TypeAlias, TypeVar

from service.errors import BuyerRefused, CredentialsRefused, NotFound, Refused, TryAgain, UpstreamError, WaitUntil

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class NotShown:
    """BigCommerce did not answer, or its answer was incomplete: what it would show is unknown. ``reason`` says why."""

    reason: str


@dataclass(frozen=True, slots=True)
class Absent:
    """BigCommerce's own answer: it is not there, or not for this buyer."""

    reason: str


Shown: TypeAlias = T | NotShown | Absent


async def shown(call: Awaitable[T]) -> Shown[T]:
    """The result of a call, or why there is none. Never raises an UpstreamError."""
    try:
        return await call
    except NotFound as error:
        return Absent(str(error))
    except UpstreamError as error:
        return NotShown(_reason(error))


def _reason(error: UpstreamError) -> str:
    text = str(error).removesuffix(".")
    match error:
        case BuyerRefused(status=403):
            return f"{text}. The buyer's role may lack the permission to see orders."
        case BuyerRefused():
            return f"{text}. BigCommerce does not accept this customer on the storefront."
        case CredentialsRefused():
            return f"{text}. Run `enrich check` to see what is wrong with the store's access token."
        case WaitUntil():
            return f"{text}. Try again in {ceil(error.seconds)} s."
        case TryAgain():
            return f"{text}. Try again in a minute."
        case Refused():
            return f"{text}."
        case _:
            return text
