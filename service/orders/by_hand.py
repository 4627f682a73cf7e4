"""Sets values by hand for one order: they go before the rules, and are written like any others.

For the commands and the console. An order that is not finished takes the values up by itself; a finished one is queued
again. An order whose record holds values of ours gets only these: its other values stay as they are, also if the
store's rules have changed since. Any other order is read again, and the current rules are applied.
"""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from functools import partial

from redis.asyncio import Redis

from service import audit
from service.bigcommerce import StoreApi
from service.bigcommerce.models import ExtraFieldConfig
from service.configuration import ConfiguredStore
from service.errors import ConfigError, Problem, UpstreamError
from service.orders.document.cache import Cache
from service.orders.state.clocks import Clock, redis_time
from service.orders.state.ledger import Ledger
from service.orders.state.order_entry import Entry, Status
from service.orders.state.per_store.rules_archive import RulesArchive
from service.orders.state.set_values import SetValue
from service.orders.state.values_by_hand import ValuesByHand
from service.orders.values.field_names import FieldNames
from service.orders.values.field_validation import validate_fields
from service.orders.values.given_values import given_of
from service.orders.values.merge import PO_NUMBER
from service.orders.values.values_to_send import read_configs, remembered_configs, validate_evaluation
from service.rules import RuleSet, evaluation_of

MAX_TRIES = 10
"""The order may move on between reading its entry and setting its values. So often in a row means a mistake of ours."""

_WRITTEN = (Status.CREATED, Status.UPDATED, Status.UNCHANGED)


class SetResult(StrEnum):
    """What became of the order."""

    QUEUED = "queued"
    IN_PROGRESS = "on_its_way"
    """It is not finished yet, and does not finish without these values."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """``are_checked`` is false where the field settings could not be read: the workers check the values then."""

    result: SetResult
    are_checked: bool


class OrderValues:
    """Sets and clears values by hand of one store's orders. Raises ConfigError, with all problems; and Redis's errors.

    ``record`` records who did what, by default for a worker to log; ``clock`` is for tests.
    """

    def __init__(
        self,
        redis: Redis,
        configured: ConfiguredStore,
        api: StoreApi,
        *,
        record: Callable[[audit.Action], Awaitable[None]] | None = None,
        clock: Clock | None = None,
    ) -> None:
        self._redis = redis
        self._configured = configured
        self._api = api
        self._record = record or partial(audit.record, redis)
        self._clock = clock
        self._cache = Cache(redis, configured.store.hash)

    async def set(self, order_id: int, texts: Mapping[str, str], *, who: str, replace: bool = False) -> Outcome:
        """Set values, by name: ``po_number``, a fieldName or a label. Those set before stay, unless named again.

        ``replace``: the next write may put them in place of somebody else's values, whatever ``existing_values`` says.
        """
        store = self._configured.store.hash
        entry = await self._entry(order_id)
        texts = {name.strip(): text.strip() for name, text in texts.items()}
        configs, are_checked = await self._configs(texts)
        if problems := _problems(texts, configs if are_checked else None):
            raise ConfigError(*problems)
        names = FieldNames.of(configs)
        texts = {_own(name, names): text for name, text in texts.items()}
        now = await self._now()
        for _ in range(MAX_TRIES):
            known = entry.by_hand.values if entry.by_hand else {}
            values = {**known, **{name: SetValue(text, who, now) for name, text in texts.items()}}
            if (result := await self._write(entry, values, configs, tuple(texts) if replace else ())) is not None:
                detail = ", ".join(sorted(texts)) + (", replace" if replace else "")
                await self._record(audit.Action(who, audit.ActionName.SET_VALUES, store, [order_id], detail, now))
                return Outcome(result, are_checked)
            entry = await self._entry(order_id)
        raise RuntimeError(f"order {order_id} of {store} changes all the time")

    async def clear(self, order_id: int, *, who: str) -> Outcome:
        """Forget the values by hand: the rules decide again. What no rule gives stays on the record."""
        store = self._configured.store.hash
        entry = await self._entry(order_id)
        for _ in range(MAX_TRIES):
            if not entry.values_by_hand:
                raise ConfigError(Problem(f"order {order_id}", "has no values set by hand: there is nothing to clear."))
            configs, are_checked = await self._configs(entry.values_by_hand)
            if (result := await self._write(entry, {}, configs, ())) is not None:
                action = audit.Action(who, audit.ActionName.SET_VALUES, store, [order_id], "clear", await self._now())
                await self._record(action)
                return Outcome(result, are_checked)
            entry = await self._entry(order_id)
        raise RuntimeError(f"order {order_id} of {store} changes all the time")

    async def _entry(self, order_id: int) -> Entry:
        store = self._configured.store.hash
        entry = await Ledger(self._redis).get(store, order_id)
        if entry is None:
            raise ConfigError(
                Problem(
                    f"order {order_id}",
                    f"is unknown in store {store}: the service has not seen it, or has forgotten it since.",
                    f"Run `enrich backfill --store {store} --since` with the order's date first, then this again.",
                )
            )
        return entry

    async def _configs(self, names: Mapping[str, str]) -> tuple[list[ExtraFieldConfig], bool]:
        """The field settings, and whether they are known to be right now."""
        try:
            return await read_configs(self._api, self._cache, self._configured.store, by_hand=names), True
        except UpstreamError:
            return await remembered_configs(self._cache), False

    async def _write(
        self, entry: Entry, values: Mapping[str, SetValue], configs: list[ExtraFieldConfig], replace: tuple[str, ...]
    ) -> SetResult | None:
        """None: the order has moved on meanwhile."""
        texts = {name: value.text for name, value in values.items()}
        new_values = await self._new_values(entry, texts, configs)
        by_hand = ValuesByHand(self._redis, clock=self._clock)
        match await by_hand.write(entry, values, replace=replace, new_values=new_values):
            case "queued":
                return SetResult.QUEUED
            case "in_progress":
                return SetResult.IN_PROGRESS
            case _:
                return None

    async def _new_values(
        self, entry: Entry, texts: Mapping[str, str], configs: list[ExtraFieldConfig]
    ) -> dict[str, object] | None:
        """The new values of an order that need not be read again; None where it has to be."""
        rules = await self._rules_of(entry) if entry.status in _WRITTEN and entry.given else None
        if rules is None:
            return None
        resolved = validate_evaluation(rules, evaluation_of(rules, given_of(entry)), configs, texts)
        if resolved.failure:
            return None  # its field settings have changed
        values = resolved.values
        new = {name for name, text in values.extra_fields.items() if entry.fields.get(name) != text}
        new |= {PO_NUMBER} if values.po_number != entry.po_number else set()
        return {
            "po_number": values.po_number,
            "fields": dict(values.extra_fields),
            "dropped": resolved.dropped,
            "put_back": [name for name in entry.put_back if name not in new],
        }

    async def _rules_of(self, entry: Entry) -> RuleSet | None:
        rules, version = self._configured.rules, entry.rules_version
        if version is None or rules.version == version:
            return rules
        return await RulesArchive(self._redis).find(entry.store, version)

    async def _now(self) -> float:
        return self._clock() if self._clock else await redis_time(self._redis)


def _own(name: str, names: FieldNames) -> str:
    return name if name == PO_NUMBER else names.field_name(name)


def _problems(texts: Mapping[str, str], configs: list[ExtraFieldConfig] | None) -> list[Problem]:
    """What is wrong with the values; ``configs`` is None where the field settings are unknown."""
    empty = [
        Problem(
            _option(name),
            "the text is empty.",
            "Write the value, or use --clear alone to let the rules decide again.",
        )
        for name, text in texts.items()
        if not text
    ]
    fields = {name: text for name, text in texts.items() if text and name != PO_NUMBER}
    if configs is None:
        return empty
    # One by one: a name and its label may both be given, and each refusal is to be said.
    refused = []
    for name, text in fields.items():
        validated = validate_fields({name: text}, (), configs)
        refused += [each for each in (*validated.dropped, validated.refused) if each]
    own = [FieldNames.of(configs).field_name(name) for name in fields]
    twice = sorted({name for name in own if own.count(name) > 1})
    return [
        *empty,
        *(Problem(_option(field.name), field.reason) for field in refused),
        *(Problem(_option(name), "is given twice, by its name and its label.", "Give it once.") for name in twice),
    ]


def _option(name: str) -> str:
    return "--po" if name == PO_NUMBER else f'--field "{name}"'
