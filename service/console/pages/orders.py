"""The orders: those that changed last, by filter."""

import re
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlencode

from service.console.routes import InvalidRequest, Page, Table, Visit
from service.errors import ConfigError
from service.orders.entry_report import as_csv
from service.orders.entry_report import as_dict as entry_as_dict
from service.orders.search import OrderFilter, find_page
from service.orders.state.order_entry import Entry, Stage, Status

PER_PAGE = 50
PER_PAGE_MAX = 1000

# What the template shows of an entry, also by the filters ``why``, ``margin`` and ``changed_at``.
_SHOWN = (
    *("verified", "po_number", "create_age", "reason", "rule", "trouble", "kept", "dropped", "ended_at"),
    *(f"t:{stage.value}" for stage in Stage),
)

_UNITS_S = {"m": 60.0, "h": 3600.0, "d": 86_400.0}

FILTERS = (
    "store",
    "outcome",
    "reason",
    "po",
    "order",
    "customer",
    "company",
    "since",
    "until",
    "margin_below",
    "late",
)


@dataclass(frozen=True, slots=True)
class Query:
    """The filters as they were written, and what they mean."""

    written: Mapping[str, str]
    stores: Sequence[str]
    wanted: OrderFilter
    cursor: str | None
    limit: int

    @classmethod
    def parse(cls, params: Mapping[str, str], stores: Sequence[str], now: float) -> "Query":
        """Read the filters of a URL. Raises InvalidRequest with all that cannot be understood."""
        reader = _Reader({name: value.strip() for name, value in params.items() if value.strip()})
        wanted = OrderFilter(
            status=reader.status("outcome"),
            reason=reader.values.get("reason"),
            po=reader.values.get("po"),
            since=reader.moment("since", now) or 0.0,
            until=reader.moment("until", now),
            order_id=reader.number("order"),
            customer_id=reader.number("customer"),
            company_id=reader.number("company"),
            margin_below=reader.seconds("margin_below"),
            late=reader.values.get("late") == "on",
        )
        limit = min(reader.number("limit") or PER_PAGE, PER_PAGE_MAX)
        if reader.problems:
            raise InvalidRequest(" ".join(reader.problems))
        return cls(
            {name: reader.values[name] for name in FILTERS if name in reader.values},
            [store for store in stores if reader.values.get("store") in (None, store)],
            wanted,
            reader.values.get("cursor"),
            limit,
        )

    def path(self, **changes: str | None) -> str:
        """The path of the same list with other filters; None leaves one out."""
        params = {name: value for name, value in {**self.written, **changes}.items() if value}
        return "/orders" + (f"?{urlencode(params)}" if params else "")


class _Reader:
    """Reads values of a URL, and collects what is wrong with them."""

    def __init__(self, values: Mapping[str, str]) -> None:
        self.values = values
        self.problems: list[str] = []

    def status(self, name: str) -> Status | None:
        value = self.values.get(name)
        if value is None or value in list(Status):
            return None if value is None else Status(value)
        self.problems.append(f"{name}: write one of {', '.join(Status)}.")
        return None

    def number(self, name: str) -> int | None:
        value = self.values.get(name)
        if value is None or re.fullmatch(r"[0-9]{1,18}", value):
            return None if value is None else int(value)
        self.problems.append(f"{name}: write a whole number.")
        return None

    def seconds(self, name: str) -> float | None:
        value = self.values.get(name)
        if value is None or re.fullmatch(r"\d{1,12}(\.\d{1,6})?", value):
            return None if value is None else float(value)
        self.problems.append(f"{name}: write a number of seconds, such as 2 or 0.5.")
        return None

    def moment(self, name: str, now: float) -> float | None:
        value = self.values.get(name)
        if value is None:
            return None
        if ago := re.fullmatch(r"(\d{1,5})([mhd])", value):
            return now - int(ago[1]) * _UNITS_S[ago[2]]
        try:
            moment = datetime.fromisoformat(value)
            return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
        except (ValueError, OverflowError):
            self.problems.append(f"{name}: write 30m, 12h, 7d, or a date such as 2026-01-31 (UTC).")
            return None


@dataclass(frozen=True, slots=True)
class OrdersPage:
    """Orders that match, the last changed first. ``cursor`` continues after them; None: there are no more.

    ``is_live``: the page looks for changes every three seconds.
    """

    query: Query
    entries: Sequence[Entry]
    cursor: str | None
    is_live: bool
    stores: Sequence[tuple[str, str]]

    @property
    def older_path(self) -> str:
        """The path of the next page."""
        return self.query.path(cursor=self.cursor)

    @property
    def live_path(self) -> str:
        """The path that switches the live list on or off."""
        return self.query.path(live=None if self.is_live else "on")

    def format_path(self, suffix: str) -> str:
        """The path of the same orders in another format."""
        return self.query.path().replace("/orders", f"/orders{suffix}", 1)


async def load(visit: Visit) -> OrdersPage:
    """Find the orders that the URL asks for. Raises InvalidRequest, AccessDenied, and Redis's errors."""
    return await _load(visit, only=())


async def load_shown(visit: Visit) -> OrdersPage:
    """As ``load``, with only what the list shows of each order."""
    return await _load(visit, only=_SHOWN)


async def _load(visit: Visit, only: Sequence[str]) -> OrdersPage:
    params = visit.request.query_params
    if store := params.get("store", "").strip():
        visit.store(store)
    query = Query.parse(params, visit.stores, time.time())
    try:
        found = await find_page(
            visit.redis, query.stores, query.wanted, limit=query.limit, cursor=query.cursor, only=only
        )
    except ConfigError as error:  # a cursor that no page has given
        raise InvalidRequest(str(error)) from None
    stores = [(store, visit.store_name(store)) for store in visit.stores]
    return OrdersPage(query, found.entries, found.cursor, params.get("live") == "on", stores)


def as_list(page: OrdersPage) -> list[dict[str, Any]]:
    """The orders for scripts, as `enrich orders list --json` has them."""
    return [entry_as_dict(entry) for entry in page.entries]


def as_table(page: OrdersPage) -> Table:
    """The orders as `enrich orders list --csv` has them."""
    return as_csv(page.entries)


PAGE = Page("/orders", "orders.html", load, as_list, as_table, load_shown=load_shown)
