"""Loads orders for ``enrich preview`` and for the dry run of ``enrich backfill``, and previews them."""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

from service.bigcommerce import QuotaWaitingApi
from service.cli.common.session import Session
from service.configuration import ConfiguredStore
from service.errors import ConfigError, NotFound, Problem
from service.orders.document.cache import Cache
from service.orders.document.partial_loader import LoadedOrder, load_newest, load_order, of_company
from service.orders.preview import Preview, preview
from service.orders.preview_comparison import Comparison, Result, compare, differences_first
from service.orders.preview_reading import PreviewReader
from service.orders.state.ledger import Ledger
from service.rules import Needs

# A person waits, but many orders may need a whole window of B2B Edition's quota (60 s).
QUOTA_TIMEOUT_S = 65.0


@dataclass(frozen=True, slots=True)
class Selection:
    """Which orders to load: the newest ``count`` (at most 250) that were placed from ``since`` to ``until``.

    ``only`` are the ids to choose from; empty: all.
    """

    count: int
    since: datetime | None = None
    until: datetime | None = None
    only: frozenset[int] = field(default_factory=frozenset)


def open_reader(session: Session, configured: ConfiguredStore) -> "Reader":
    """A reader of the store that reads everything from BigCommerce: a value that was just fixed there must show."""
    api = session.api(configured)
    api.max_wait_s = QUOTA_TIMEOUT_S
    return Reader(session, configured, api, Cache(None, configured.store.hash))


@dataclass(frozen=True, slots=True)
class Reader:
    """Loads orders, records and entries of one store."""

    session: Session
    configured: ConfiguredStore
    api: QuotaWaitingApi
    cache: Cache

    async def order(self, order_id: int, needs: Needs) -> LoadedOrder:
        """One order's document. Raises ConfigError when there is no such order."""
        try:
            return await load_order(self.api, self.cache, order_id, needs)
        except NotFound as missing:
            raise self.unknown_order(order_id, f"({missing.operation}: {missing.status})") from None

    def unknown_order(self, order_id: int, answer: str = "") -> ConfigError:
        """The error for an order that the store does not have."""
        return ConfigError(
            Problem(
                f"order {order_id}",
                f"{f'was not found {answer}'.rstrip()}.",
                f"Run `enrich preview --last 20` to see the newest orders of {self.configured.store.hash}.",
            )
        )

    async def newest(self, selected: Selection, needs: Needs) -> list[LoadedOrder]:
        """The documents of the newest orders, with a progress bar on a terminal."""
        with _progress() as report:
            return await load_newest(
                self.api,
                self.cache,
                selected.count,
                needs,
                report,
                since=selected.since,
                until=selected.until,
                only=selected.only,
            )

    async def preview(self, order_id: int) -> Preview:
        """The preview of one order. Raises the error when something could not be read."""
        return await self._reader.preview(await self.order(order_id, self._reader.needs))

    async def previews(self, selected: Selection) -> list[Preview]:
        """The previews of the newest orders, without their records."""
        (found,) = await self._previews_by([self.configured], selected)
        return found

    async def compared(self, selected: Selection, new: ConfiguredStore) -> list[Comparison]:
        """What other rules would give for the newest orders, beside what these rules give; differences first."""
        old, other = await self._previews_by([self.configured, new], selected)
        return differences_first(
            compare(before.loaded, Result.of_preview(before), Result.of_preview(after))
            for before, after in zip(old, other, strict=True)
        )

    async def compared_with_ledger(self, selected: Selection) -> list[Comparison]:
        """What the rules would give for orders, beside what the ledger has of them; differences first. Needs Redis."""
        assert self.session.redis is not None
        store = self.configured.store.hash
        previews = await self.previews(selected)
        entries = await Ledger(self.session.redis).get_each((store, each.loaded.order_id) for each in previews)
        return differences_first(
            compare(each.loaded, Result.of_entry(entry), Result.of_preview(each))
            for each, entry in zip(previews, entries, strict=True)
        )

    async def _previews_by(self, several: Sequence[ConfiguredStore], selected: Selection) -> list[list[Preview]]:
        """The previews by each configuration of the store. Each order is loaded once, with what any of them needs."""
        needs = self._reader.needs
        for each in several:
            needs |= each.rules.needs
        configs = await self.api.b2b.extra_field_configs()
        found, known = await self.newest(selected, needs), await self._reader.super_admins()
        orders = [
            await of_company(self.api, self.cache, loaded, needs, None) if loaded.customer_id in known else loaded
            for loaded in found
        ]
        return [[preview(each, loaded, configs, now=time.time()) for loaded in orders] for each in several]

    @property
    def _reader(self) -> PreviewReader:
        return PreviewReader(self.session.redis, self.configured, self.api)


@contextmanager
def _progress() -> Iterator[Callable[[int, int], None]]:
    console = Console(stderr=True)
    columns = (TextColumn("Reading orders"), BarColumn(), MofNCompleteColumn())
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as progress:
        task = progress.add_task("", total=None)

        def report(done: int, total: int) -> None:
            progress.update(task, completed=done, total=total)

        yield report
