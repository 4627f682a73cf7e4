"""Who did what: each command that changes something leaves an action, for the log and for the orders concerned.

A command's own output is no log. So it puts the action into Redis, and one of the workers logs it (event ``action``),
within seconds or when one starts. ``enrich orders show`` shows an order's last actions.
"""

import json
import os
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from typing import Self

import structlog
from redis.asyncio import Redis

from service.logs import Event

log = structlog.get_logger()

KEPT_PER_ORDER = 20
"""An order's last actions that are kept."""

KEEP_S = 90 * 86_400
"""As long as a failed order."""

MAX_UNLOGGED = 10_000
"""While no worker runs: more actions than people and scripts leave in days."""

MAX_ORDERS_LOGGED = 100
"""So many orders one line names; ``orders_count`` says how many there were."""

_UNLOGGED_KEY = "enrich:actions"
_BATCH = 100


class ActionName(StrEnum):
    """What people do, as logs and JSON name it: a command's words, or a name of the console. Scripts go by them."""

    SET_VALUES = "orders set"
    RETRY_COMMAND = "orders retry"
    RETRY = "retry"
    RETRY_GROUP = "retry_group"
    STOP_RETRY = "stop_retry"
    ASSIGN = "orders assign"
    REASSIGN = "orders reassign"
    MUTE_FAILURES = "mute_failures"
    UNMUTE_FAILURES = "unmute_failures"
    LOOK_AS_BUYER = "look as buyer"
    SAVE_RULES = "save_rules"
    TAKE_BACK_RULES = "take_back_rules"
    PAUSE = "stores pause"
    RESUME = "stores resume"
    REGISTER_HOOKS = "hooks register"
    REPAIR_HOOKS = "hooks repair"
    REMOVE_HOOKS = "hooks remove"
    BACKFILL = "backfill"
    REHEARSE = "rehearse"


_WORDS: Mapping[ActionName, str] = {
    ActionName.SET_VALUES: "set values by hand",
    ActionName.RETRY_COMMAND: "retried it",
    ActionName.RETRY: "retried it",
    ActionName.RETRY_GROUP: "retried it with its group",
    ActionName.STOP_RETRY: "stopped a retry of its group",
    ActionName.ASSIGN: "assigned the customer's orders to their Company",
    ActionName.REASSIGN: "moved the customer's orders to another Company",
    ActionName.MUTE_FAILURES: "muted its group of failures",
    ActionName.UNMUTE_FAILURES: "unmuted its group of failures",
    ActionName.LOOK_AS_BUYER: "looked as the buyer",
    ActionName.SAVE_RULES: "saved rules",
    ActionName.TAKE_BACK_RULES: "took back rules",
    ActionName.PAUSE: "paused the store",
    ActionName.RESUME: "resumed the store",
    ActionName.REGISTER_HOOKS: "registered webhooks",
    ActionName.REPAIR_HOOKS: "repaired webhooks",
    ActionName.REMOVE_HOOKS: "removed webhooks",
    ActionName.BACKFILL: "started a backfill",
    ActionName.REHEARSE: "rehearsed",
}


def in_words(action: str) -> str:
    """What somebody did, for people; of a name that another version of this program wrote, the name itself."""
    try:
        return _WORDS[ActionName(action)]
    except ValueError:
        return action.replace("_", " ")


@dataclass(frozen=True, slots=True)
class Action:
    """One action of a person: ``action`` is an ``ActionName``, or one of another version; ``detail`` holds no value.

    ``at`` is in seconds since the epoch. ``store`` is None where it concerns no single store.
    """

    who: str
    action: str
    store: str | None
    orders: Sequence[int] = ()
    detail: str = ""
    at: float = field(default_factory=time.time)

    def to_json(self) -> str:
        """What ``from_json`` reads."""
        return json.dumps({**asdict(self), "orders": list(self.orders)})

    @classmethod
    def from_json(cls, text: str | bytes) -> Self | None:
        """None where another version of this program wrote something else."""
        try:
            return cls(**json.loads(text))
        except (ValueError, TypeError):
            return None


async def record(redis: Redis | None, action: Action) -> None:
    """Record the action on its orders, and have it logged. Errors are Redis's own.

    Without Redis it is logged by this process.
    """
    if redis is None:
        _log(action)
        return
    await record_on_orders(redis, action)
    async with redis.pipeline(transaction=False) as pipe:
        pipe.rpush(_UNLOGGED_KEY, action.to_json())
        pipe.ltrim(_UNLOGGED_KEY, -MAX_UNLOGGED, -1)
        await pipe.execute()


async def record_on_orders(redis: Redis, action: Action) -> None:
    """Record the action on its orders only: for a process that logs it itself. Errors are Redis's own."""
    if action.store is None or not action.orders:
        return
    alone = Action(action.who, action.action, action.store, (), action.detail, action.at).to_json()
    for begin in range(0, len(action.orders), _BATCH):
        async with redis.pipeline(transaction=False) as pipe:
            for order_id in action.orders[begin : begin + _BATCH]:
                key = _order_key(action.store, order_id)
                pipe.lpush(key, alone)
                pipe.ltrim(key, 0, KEPT_PER_ORDER - 1)
                pipe.expire(key, KEEP_S)
            await pipe.execute()


async def actions_of(redis: Redis, store: str, order_id: int) -> list[Action]:
    """The last actions on an order, the newest first. Errors are Redis's own."""
    found = await redis.lrange(_order_key(store, order_id), 0, -1)  # type: ignore[misc]
    return [action for raw in found if (action := Action.from_json(raw)) is not None]


async def log_recorded(redis: Redis) -> None:
    """Log the actions that were recorded since. Each is logged by one process. Errors are Redis's own."""
    while recorded := await redis.lpop(_UNLOGGED_KEY, _BATCH):  # type: ignore[misc]
        for raw in recorded:
            if (action := Action.from_json(raw)) is not None:
                _log(action)


def system_user() -> str:
    """Who runs this process: the user's name on this machine; behind sudo the one who called it, too."""
    user = _name_of(os.getuid())
    called_by = os.environ.get("SUDO_USER")
    return f"{called_by} (sudo {user})" if called_by and called_by != user else user


def _name_of(uid: int) -> str:
    import pwd

    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:  # in a container the user may have no name
        return f"uid {uid}"


def _log(action: Action) -> None:
    log.info(
        Event.ACTION,
        store=action.store,
        who=action.who,
        action=action.action,
        orders=list(action.orders[:MAX_ORDERS_LOGGED]),
        orders_count=len(action.orders),
        detail=action.detail,
        at=datetime.fromtimestamp(action.at, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z"),
    )


def _order_key(store: str, order_id: int) -> str:
    return f"enrich:actions:{store}:{order_id}"
