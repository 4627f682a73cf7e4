"""The filters of a search for orders. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from service.orders.create_window import WINDOW_LENGTH_S
from service.orders.entry_report import why
from service.orders.state.order_entry import Entry, Status


@dataclass(frozen=True, slots=True)
class OrderFilter:
    """An order must match every filter that is set. Texts are compared without regard to case.

    ``reason`` searches what ``why`` says; ``fields`` maps extra fields to a part of their text, empty for any text.
    ``order_id`` and ``customer_id`` are whole ids; ``company_id`` is the Company that the values came from, or that
    the record shows, where one is known. ``since`` and ``until`` limit when the order last changed, in seconds since
    the epoch. ``margin_below``: Create was sent with less than so many seconds left. ``late``: the order missed its
    window; retries and later changes do not change that.
    """

    status: Status | None = None
    reason: str | None = None
    po: str | None = None
    since: float = 0.0
    until: float | None = None
    order_id: int | None = None
    customer_id: int | None = None
    company_id: int | None = None
    fields: Mapping[str, str] = field(default_factory=dict)
    margin_below: float | None = None
    late: bool = False

    @property
    def reads(self) -> list[str]:
        """The attributes of an entry that ``matches`` looks at, besides its status; empty: any order matches."""
        by_filter: dict[str, object] = {
            "status": self.status,
            "reason rule trouble": self.reason,
            "customer_id": self.customer_id,
            "company_id record_company_id": self.company_id,
            "po_number": self.po,
            "fields": self.fields or None,
            "create_age": self.margin_below,
            "window_result window_opened_at create_age": self.late or None,
        }
        names = [name for names, value in by_filter.items() if value is not None for name in names.split()]
        return list(dict.fromkeys(names))

    @property
    def is_narrowed_by_redis(self) -> bool:
        """Whether Redis itself can leave out orders. Failed ones have an index of their own."""
        status = None if self.status is Status.FAILED else self.status
        return any(value is not None for value in (status, self.customer_id, self.margin_below, self.po))

    def matches(self, entry: Entry) -> bool:
        """Whether the order matches, except for ``since`` and ``until``, which the ledger's index knows."""
        return (
            (self.status is None or entry.status is self.status)
            and (self.order_id is None or entry.order_id == self.order_id)
            and (self.customer_id is None or entry.customer_id == self.customer_id)
            and (self.company_id is None or self.company_id in (entry.company_id, entry.record_company_id))
            and (self.reason is None or _contains(why(entry), self.reason))
            and (self.po is None or _contains(entry.po_number or "", self.po))
            and all(_has_field(entry, name, text) for name, text in self.fields.items())
            and (self.margin_below is None or _margin_below(entry, self.margin_below))
            and (not self.late or missed_window(entry))
        )


def missed_window(entry: Entry) -> bool:
    """Whether the order missed its window when it was first finished."""
    if entry.window_result is None:  # an older version of this program finished it
        return entry.in_window is False
    return entry.window_result == "missed"


def _contains(text: str, part: str) -> bool:
    return part.casefold() in text.casefold()


def _has_field(entry: Entry, name: str, part: str) -> bool:
    texts = [text for field_name, text in entry.fields.items() if field_name.casefold() == name.casefold()]
    return any(_contains(text, part) for text in texts)


def _margin_below(entry: Entry, seconds: float) -> bool:
    return entry.create_age is not None and WINDOW_LENGTH_S - entry.create_age < seconds
