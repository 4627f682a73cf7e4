"""Records what a process does as spans: a name, a begin and an end, and the span that it belongs to.

Nothing in the product knows of it. A wrapped entry point replaces functions by ones that record, and context
variables say to which span a call belongs, also across tasks.
"""

import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import astuple, dataclass
from functools import wraps
from itertools import count
from pathlib import Path
from typing import Any

Naming = Callable[..., str]
"""Names a call from its arguments."""


@dataclass(slots=True)
class Span:
    """One call. Times are of ``time.monotonic``, which all processes of a machine share; 0 is "not ended"."""

    id: int
    parent: int
    name: str
    began: float
    ended: float = 0.0
    order: str = ""
    """``<store>:<order>``; only the outermost span of an order has it."""


spans: list[Span] = []
current: ContextVar[Span | None] = ContextVar("current", default=None)

_ids = count(1)


def start(name: str, *, order: str = "", outermost: bool = False) -> Span:
    """Begin a span inside the current one."""
    parent = None if outermost else current.get()
    span = Span(next(_ids), parent.id if parent else 0, name, time.monotonic(), order=order)
    spans.append(span)
    return span


@contextmanager
def span(name: str, *, order: str = "", outermost: bool = False) -> Iterator[Span]:
    """A span around the context, which is the current one meanwhile."""
    begun = start(name, order=order, outermost=outermost)
    token = current.set(begun)
    try:
        yield begun
    finally:
        begun.ended = time.monotonic()
        current.reset(token)


def record(owner: Any, name: str, naming: str | Naming) -> None:
    """Replace a coroutine function of a class or module by one that records a span for each call.

    Outside of an order's span, nothing is recorded. Raises AttributeError when there is no such function.
    """
    original = getattr(owner, name)

    @wraps(original)
    async def recorded(*args: Any, **named: Any) -> Any:
        if current.get() is None:
            return await original(*args, **named)
        with span(naming if isinstance(naming, str) else naming(*args, **named)):
            return await original(*args, **named)

    setattr(owner, name, recorded)


def record_sync(owner: Any, name: str, title: str) -> None:
    """The same for a plain function."""
    original = getattr(owner, name)

    @wraps(original)
    def recorded(*args: Any, **named: Any) -> Any:
        if current.get() is None:
            return original(*args, **named)
        with span(title):
            return original(*args, **named)

    setattr(owner, name, recorded)


def write(path: Path) -> None:
    """Write all spans, one JSON array a line."""
    path.write_text("".join(f"{json.dumps(astuple(each))}\n" for each in spans))


def read(path: Path) -> list[Span]:
    """The spans that a process has written."""
    return [Span(*json.loads(line)) for line in path.read_text().splitlines()]
