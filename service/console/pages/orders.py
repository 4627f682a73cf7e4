"""The orders: those that changed last, by filter."""

import re
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlencode

from service.console.routes import InvalidRequest, Page, Table, Visit
from service.orders.entry_report import as_dict as entry_as_dict
from service.orders.entry_report import changed_at, margin_s, why
from service.orders.state.ledger import Ledger
from service.orders.state.order_entry import Entry, Stage, Status

PER_PAGE = 50
PER_PAGE_MAX = 1000

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
    "margin_below",
)


@dataclass(frozen=True, slots=True)
class Query:
    """The filters as they were written, and what they mean. Texts are compared without regard to case."""

    written: Mapping[str, str]
    stores: Sequence[str]
    status: Status | None
    since: float
    order: int | None
    customer: int | None
    company: int | None
    margin_below: float | None
    before: float | None
    limit: int

    @classmethod
    def parse(cls, params: Mapping[str, str], stores: Sequence[str], now: float) -> "Query":
        """Read the filters of a URL. Raises InvalidRequest with all that cannot be understood."""
        reader = _Reader({name: value.strip() for name, value in params.items() if value.strip()})
        query = cls(
            written={name: reader.values[name] for name in FILTERS if name in reader.values},
            stores=[store for store in stores if reader.values.get("store") in (None, store)],
            status=reader.status("outcome"),
            since=reader.since("since", now),
            order=reader.number("order"),
            customer=reader.number("customer"),
            company=reader.number("company"),
            margin_below=reader.seconds("margin_below"),
            before=reader.seconds("before"),
            limit=min(reader.number("limit") or PER_PAGE, PER_PAGE_MAX),
        )
        if reader.problems:
            raise InvalidRequest(" ".join(reader.problems))
        return query

    def matches(self, entry: Entry) -> bool:
        """Whether the order is one of those that are looked for."""
        return (
            self.status in (None, entry.status)
            and self.order in (None, entry.order_id)
            and self.customer in (None, entry.customer_id)
            and self.company in (None, entry.company_id, entry.record_company_id)
            and _contains(why(entry), self.written.get("reason"))
            and _contains(entry.po_number, self.written.get("po"))
            and (self.margin_below is None or _margin_is_below(entry, self.margin_below))
            and (self.before is None or changed_at(entry) < self.before)
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

    def since(self, name: str, now: float) -> float:
        value = self.values.get(name)
        if value is None:
            return 0.0
        if ago := re.fullmatch(r"(\d{1,5})([mhd])", value):
            return now - int(ago[1]) * _UNITS_S[ago[2]]
        try:
            moment = datetime.fromisoformat(value)
            return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
        except (ValueError, OverflowError):
            self.problems.append(f"{name}: write 30m, 12h, 7d, or a date such as 2026-01-31 (UTC).")
            return 0.0


@dataclass(frozen=True, slots=True)
class OrdersPage:
    """Orders that match, the last changed first. ``is_live``: the page looks for changes every three seconds."""

    query: Query
    entries: Sequence[Entry]
    has_more: bool
    is_live: bool
    stores: Sequence[tuple[str, str]]

    @property
    def older_path(self) -> str:
        """The path of the next page."""
        return self.query.path(before=f"{changed_at(self.entries[-1]):.3f}")

    @property
    def live_path(self) -> str:
        """The path that switches the live list on or off."""
        return self.query.path(live=None if self.is_live else "on")

    def format_path(self, suffix: str) -> str:
        """The path of the same orders in another format."""
        return self.query.path().replace("/orders", f"/orders{suffix}", 1)


async def load(visit: Visit) -> OrdersPage:
    """Find the orders that the URL asks for. Raises InvalidRequest, AccessDenied, and Redis's errors."""
    params = visit.request.query_params
    if wanted := params.get("store", "").strip():
        visit.store(wanted)
    query = Query.parse(params, visit.stores, time.time())
    found = await _find(Ledger(visit.redis), query)
    return OrdersPage(
        query,
        found[: query.limit],
        len(found) > query.limit,
        params.get("live") == "on",
        [(store, visit.store_name(store)) for store in visit.stores],
    )


async def _find(ledger: Ledger, query: Query) -> list[Entry]:
    """The newest orders that match, and one more than a page has if there are more."""
    found: list[Entry] = []
    for store in query.stores:
        count = 0
        async for entry in ledger.entries(store, failed_only=query.status is Status.FAILED, since=query.since):
            if query.matches(entry):
                found.append(entry)
                count += 1
                if count > query.limit:
                    break
    return sorted(found, key=changed_at, reverse=True)[: query.limit + 1]


def _margin_is_below(entry: Entry, seconds: float) -> bool:
    margin = margin_s(entry)
    return margin is not None and margin < seconds


def _contains(text: str | None, part: str | None) -> bool:
    return part is None or part.casefold() in (text or "").casefold()


def as_list(page: OrdersPage) -> list[dict[str, Any]]:
    """The orders for scripts, as `enrich orders list --json` has them."""
    return [entry_as_dict(entry) for entry in page.entries]


def as_table(page: OrdersPage) -> Table:
    """The orders as a table."""
    columns = ("changed_at", "store", "order_id", "outcome", "verified", "po_number", "sent_at_s", "margin_s", "reason")

    def rows() -> Iterator[Sequence[object]]:
        for entry in page.entries:
            changed = datetime.fromtimestamp(changed_at(entry), UTC).isoformat(timespec="seconds")
            outcome = (entry.status.value, entry.verified, entry.po_number)
            yield (
                changed,
                entry.store,
                entry.order_id,
                *outcome,
                entry.age_at(Stage.SENT),
                margin_s(entry),
                why(entry),
            )

    return columns, rows()


PAGE = Page("/orders", "orders.html", load, as_list, as_table)
