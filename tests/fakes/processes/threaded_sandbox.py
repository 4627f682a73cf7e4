"""A sandbox in another thread, for tests of commands, which run their own event loop."""

import asyncio
import threading
from collections.abc import Coroutine, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, TypeVar

from service.sandbox.demo import DEMO_STORE
from tests.fakes.sandbox import RunningSandbox, running_sandbox

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class ServedSandbox:
    """``sandbox`` belongs to the other thread: call it only through ``run``."""

    sandbox: RunningSandbox
    loop: asyncio.AbstractEventLoop

    @property
    def url(self) -> str:
        return self.sandbox.url

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(work, self.loop).result(30)

    def reset(self) -> None:
        """Forget all orders, calls and faults."""
        self.run(self.sandbox.delete_store())
        self.run(self.sandbox.put_store(**DEMO_STORE.model_dump(mode="json")))
        self.run(self.sandbox.faults())

    def place(self, customer_id: int = 101, **fields: Any) -> int:
        """Place an order and return its id."""
        order_id: int = self.run(self.sandbox.place_order(customer_id=customer_id, **fields))["id"]
        return order_id

    def calls(self) -> dict[str, int]:
        """How often each operation was called, with any answer."""
        calls = self.run(self.sandbox.calls())
        return {operation: sum(counts.values()) for api in ("core", "b2b") for operation, counts in calls[api].items()}


@contextmanager
def served_sandbox(**options: Any) -> Iterator[ServedSandbox]:
    """A sandbox with these options (see ``service.sandbox.options.Options``) as a real server."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    try:
        running = running_sandbox(**options)
        sandbox = asyncio.run_coroutine_threadsafe(running.__aenter__(), loop).result(30)
        try:
            yield ServedSandbox(sandbox, loop)
        finally:
            asyncio.run_coroutine_threadsafe(running.__aexit__(None, None, None), loop).result(30)
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()
