"""Workers' notifiers on one real Redis, one after another or side by side, and a clock that the test moves."""

from dataclasses import dataclass, field
from pathlib import Path

from arq import ArqRedis

from service.configuration import Configuration, load_configuration
from service.notify.notifier import Notifier, Timing
from service.orders.state.keys import failed_key
from service.orders.state.order_entry import Entry, Status
from service.orders.state.queue import Queue
from service.orders.state.transitions import Transitions
from tests.fakes.notify.http_receiver import HttpReceiver

STORE = """
[stores.{store}]
access_token = "token"
client_secret = "secret"
po_number = "order.customer_message"
{keys}
"""

BEGAN = "WARNING: Failed orders wait for a person: abc123"
ENDED = "OVER: No failed orders wait any more: abc123"

FAILED_FOR_S = 300.0
"""For so long an order must have failed."""


def configuration(notify: str, *stores: str, keys: str = "") -> Configuration:
    """A stores file with this table ``[notify]`` and these stores."""
    tables = [STORE.format(store=store, keys=keys) for store in stores or ("abc123",)]
    return load_configuration(
        Path("stores.toml"), {}, text="\n".join([f"[notify]\n{notify}" if notify else "", *tables])
    )


@dataclass
class NotifyStack:
    """``counted`` are the results that the notifiers counted."""

    redis: ArqRedis
    receiver: HttpReceiver
    now: float = 1_768_078_800.0
    counted: list[tuple[str, str]] = field(default_factory=list)
    configuration: Configuration = field(init=False)

    def __post_init__(self) -> None:
        self.configuration = configuration(f'slack = "{self.receiver.url}/slack"')

    def notifier(self, timing: Timing | None = None) -> Notifier:
        """The notifier of one more worker."""
        return Notifier(
            self.redis,
            lambda: self.configuration,
            count=lambda kind, result: self.counted.append((kind, result)),
            timing=timing,
            clock=lambda: self.now,
        )

    async def heartbeat(self) -> None:
        """A worker is alive for the next ten seconds of real time."""
        await Queue(self.redis).heartbeat("here:1", 0)

    async def fail(self, order_id: int, reason: str = "po_number", *, store: str = "abc123") -> None:
        """An order fails now."""
        await Transitions(self.redis, clock=lambda: self.now).finish(Entry(store, order_id, Status.FAILED, reason))

    async def repair(self, order_id: int, *, store: str = "abc123") -> None:
        """The order ends well now."""
        await Transitions(self.redis, clock=lambda: self.now).finish(Entry(store, order_id, Status.UPDATED))
        await self.redis.zrem(failed_key(store), order_id)

    async def pass_time(self, seconds: float, notifier: Notifier, *, step: float = 15.0) -> None:
        """Let this time pass, in which the notifier looks at the alerts every ``step`` seconds."""
        end = self.now + seconds
        while self.now < end:
            self.now = min(self.now + step, end)
            await self.heartbeat()
            await notifier.watch_once()

    async def begin_alert(self, notifier: Notifier | None = None) -> Notifier:
        """Let an order fail and its alert begin; nothing is delivered yet."""
        notifier = notifier or self.notifier()
        await self.fail(1)
        await notifier.watch_once()
        await self.pass_time(FAILED_FOR_S, notifier, step=100)
        return notifier

    @property
    def headlines(self) -> list[str]:
        """The headlines that arrived."""
        return [request.json["text"] for request in self.receiver.requests]
