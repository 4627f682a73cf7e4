"""Follows later changes of ended orders: reads what has changed, and has the record updated if a value has.

Staff fill in an order's external id, an app writes its metafield an hour late: a webhook, or the list of modified
orders, marks the order (``service.orders.state.worklists.changed_orders``). One job a store reads all that are due,
together and at the lowest class of the quota. Equal values cost no call to B2B Edition. What replaces what is decided
in ``service.rules.later_changes`` (the sources of a value) and ``service.orders.values.merge`` (whose it is).
"""

import asyncio
import time
from collections.abc import Callable, Mapping
from typing import Any

import structlog
from arq import Retry

from service.bigcommerce import Account, Priority, StoreApi
from service.bigcommerce.models import Values
from service.configuration import ConfiguredStore
from service.errors import CredentialsRefused, NotFound, UpstreamError, WaitUntil
from service.logs import Event
from service.orders.document.batch_loader import OrderLoader
from service.orders.document.cache import Cache, ProcessMemory
from service.orders.document.loading import Document, NoCompanyUser, by_name, read_people
from service.orders.document.sources import read_sources
from service.orders.state.order_entry import Entry, Stage, Status
from service.orders.state.transitions import WRITES_OFF
from service.orders.state.worklists.changed_orders import Change, ChangedOrder
from service.orders.values.given_values import given_of
from service.orders.values.merge import PO_NUMBER
from service.orders.values.record_root import without_own_values
from service.orders.values.skip import skip_reason
from service.orders.values.values_to_send import read_configs, validate_evaluation
from service.rules import Given, Needs, RuleSet, apply_change, evaluation_of, given_by, needs_of_change
from workers.backoff import requeue
from workers.resources import Resources

log = structlog.get_logger()

MAX_AT_ONCE = 100
"""Orders that one run reads. So many fit into one list call of the core API."""

MAX_UPDATES = 10
"""After so many Updates of one order its changes are no longer followed: two programs may be writing in turns."""

UNFINISHED_RETRY_S = 5.0
HELD_RETRY_S = 60.0
CREDENTIALS_RETRY_S = 60.0
ERROR_RETRY_S = 5.0
RECORD_RETRY_S = 15.0
RECORD_COMES_WITHIN_S = 180.0

_WRITTEN = (Status.CREATED, Status.UPDATED, Status.UNCHANGED)
_SKIPPED_FOR_ITSELF = ("no_values", "incomplete", "guest", "channel", "deleted")


class Follower:
    """The job that reads a store's changed orders."""

    def __init__(self, resources: Resources, *, clock: Callable[[], float] = time.time) -> None:
        self._resources = resources
        self._clock = clock
        self._loaders: dict[str, OrderLoader] = {}
        self._memory = ProcessMemory()

    async def follow(self, ctx: dict[str, Any], store: str) -> None:
        """Read the orders that are due. The job comes back when the next one is."""
        with structlog.contextvars.bound_contextvars(store=store):
            try:
                configured = self._resources.configuration.stores.get(store)
                if configured and await self._resources.breaker.is_open(store):
                    raise Retry(defer=CREDENTIALS_RETRY_S)
                orders = await self._resources.changed.take(store, most=MAX_AT_ONCE)
                found = await self._resources.ledger.get_many(store, [order.order_id for order in orders])
                entries = {entry.order_id: entry for entry in found}

                async def follow_one(order: ChangedOrder) -> None:
                    entry, again_in = entries.get(order.order_id), None
                    if configured and entry:
                        with structlog.contextvars.bound_contextvars(order_id=order.order_id):
                            again_in = await self._read_order(configured, order, entry)
                    await self._resources.changed.finish(store, order, again_in=again_in)

                await asyncio.gather(*map(follow_one, orders))
            except Retry:
                raise
            except Exception as error:
                raise requeue(ctx, error) from error

    async def _read_order(self, configured: ConfiguredStore, order: ChangedOrder, entry: Entry) -> float | None:
        """Follow the order's changes; returns in how many seconds to try again, None when that is not needed."""
        if entry.reason == WRITES_OFF and entry.status is Status.WAITING:
            return HELD_RETRY_S  # what is held may be values of an earlier change
        if not entry.status.is_final:
            return UNFINISHED_RETRY_S if entry.status is Status.QUEUED else None
        try:
            if entry.status in _WRITTEN:
                await self._follow_values(configured, order, entry)
            elif _may_be_taken_up(entry, configured.rules):
                await self._take_up(configured, order, entry)
        except NotFound:
            # The order is gone. Its record may not have come yet.
            is_young = self._clock() - entry.times.get(Stage.QUEUED, 0.0) < RECORD_COMES_WITHIN_S
            return RECORD_RETRY_S if Change.RECORD in order.changes and is_young else None
        except WaitUntil as wait:
            return max(wait.seconds, 1.0)
        except CredentialsRefused:
            return CREDENTIALS_RETRY_S
        except UpstreamError as error:
            log.info(Event.CHECK_POSTPONED, trouble=str(error))
            return ERROR_RETRY_S
        return None

    async def _follow_values(self, configured: ConfiguredStore, order: ChangedOrder, entry: Entry) -> None:
        """Have the record updated if a value has changed."""
        if not entry.given or entry.rules_version is None:
            return  # an older version of this program wrote it
        rules = await self._rules_of(configured, entry)
        roots = frozenset().union(*(change.roots for change in order.changes))
        needs = needs_of_change(rules, roots) if rules else None
        if entry.updates >= MAX_UPDATES or rules is None:
            await self._stop(entry, "updates" if rules else "rules")
            return
        if needs is None:
            return
        document = await self._load(configured, entry, needs)
        if document.get("order", {}).get("is_deleted") is True:
            return
        given = given_of(entry)
        changed = apply_change(rules, document, given, roots)
        if changed == given:
            return
        api = self._api(configured)
        by_hand = entry.values_by_hand
        configs = await read_configs(api, self._cache(configured), configured.store, by_hand=by_hand)
        # A later change never replaces a value by hand.
        resolved = validate_evaluation(rules, evaluation_of(rules, changed), configs, by_hand)
        if resolved.failure:
            log.warning(Event.FIELD_DROPPED, field=resolved.failure.partition(":")[0], reason=resolved.failure)
            return
        new = {
            name: value
            for name, value in _texts(resolved.values.po_number, resolved.values.extra_fields).items()
            if _texts(entry.po_number, entry.fields).get(name) != value
        }
        if not new:
            return
        await self._resources.queue.rewrite(
            entry.store,
            entry.order_id,
            source=_source(order),
            fields={
                **_fields(changed, resolved.values),
                "dropped": {**entry.dropped, **resolved.dropped},
                "put_back": [name for name in entry.put_back if name not in new],
            },
        )

    async def _take_up(self, configured: ConfiguredStore, order: ChangedOrder, entry: Entry) -> None:
        """Start an order over that was skipped or failed for want of a value, if it would be written now."""
        rules, api = configured.rules, self._api(configured)
        document = await self._loader(configured).read(api, entry.order_id, rules.needs)
        if skip_reason(document["order"], configured.store):
            return
        cache = self._cache(configured)
        try:
            people = await read_people(api, cache, entry.customer_id or 0, rules.needs)
        except NoCompanyUser:
            return
        sources = await read_sources(api, cache, document["order"], rules.needs)
        record = await self._read_record(configured, entry) if rules.needs.record else {}
        by_hand = entry.values_by_hand
        configs = await read_configs(api, cache, configured.store, by_hand=by_hand)
        evaluation = rules.evaluate(document | people | sources | record)
        resolved = validate_evaluation(rules, evaluation, configs, by_hand)
        if (
            resolved.missing
            or resolved.failure
            or (resolved.values.po_number is None and not resolved.values.extra_fields)
        ):
            return
        source = _source(order)
        if record:  # a new start would not read the record before its Create
            fields = _fields(given_by(evaluation), resolved.values) | {"rules_version": rules.version}
            await self._resources.queue.rewrite(entry.store, entry.order_id, source=source, fields=fields)
        else:
            await self._resources.queue.retry(entry.store, entry.order_id, source=source)

    async def _load(self, configured: ConfiguredStore, entry: Entry, needs: Needs) -> Document:
        if needs.record:
            return await self._read_record(configured, entry)
        return await self._loader(configured).read(self._api(configured), entry.order_id, needs)

    async def _read_record(self, configured: ConfiguredStore, entry: Entry) -> Document:
        """What others have written on the order's record. Raises NotFound while there is none."""
        api = self._api(configured)
        api.priority = Priority.RECOVER
        record = by_name(await api.b2b.order_document(entry.order_id))
        return without_own_values({"record": record}, entry.written)

    async def _rules_of(self, configured: ConfiguredStore, entry: Entry) -> RuleSet | None:
        """The rules that the order was written with."""
        if configured.rules.version == entry.rules_version:
            return configured.rules
        return await self._resources.rules_archive.find(entry.store, entry.rules_version or "")

    async def _stop(self, entry: Entry, reason: str) -> None:
        """Log, once an order, that its changes are no longer followed."""
        if await self._resources.changed.stop(entry.store, entry.order_id):
            log.warning(Event.FOLLOW_STOPPED, reason=reason, updates=entry.updates)

    def _api(self, configured: ConfiguredStore) -> StoreApi:
        account = Account(configured.store.hash, configured.store.access_tokens)
        return StoreApi(self._resources.transport, account, priority=Priority.BACKGROUND)

    def _cache(self, configured: ConfiguredStore) -> Cache:
        return Cache(self._resources.redis, configured.store.hash, memory=self._memory, clock=self._clock)

    def _loader(self, configured: ConfiguredStore) -> OrderLoader:
        """A loader of its own, so that fresh orders never wait for changed ones."""
        account = Account(configured.store.hash, configured.store.access_tokens)
        loader = self._loaders.get(account.store_hash)
        if loader is None or loader.account != account:
            loader = self._loaders[account.store_hash] = OrderLoader(self._resources.transport, account)
        return loader


def _may_be_taken_up(entry: Entry, rules: RuleSet) -> bool:
    """Whether the order itself was the reason: it had no value, or a status or customer that is skipped."""
    if entry.status is Status.SKIPPED:
        return entry.reason in _SKIPPED_FOR_ITSELF
    return entry.reason in {rule.name for rule in rules.rules if rule.rule.required}


def _source(order: ChangedOrder) -> str:
    return min(order.changes, key=list(Change).index).source


def _fields(given: Mapping[str, Given], values: Values) -> dict[str, object]:
    """The fields of an entry that hold new values."""
    return {
        "given": {name: (each.text, each.place) for name, each in given.items()},
        "po_number": values.po_number,
        "fields": dict(values.extra_fields),
    }


def _texts(po_number: str | None, fields: Mapping[str, str]) -> dict[str, str]:
    return {**fields, **({PO_NUMBER: po_number} if po_number is not None else {})}
