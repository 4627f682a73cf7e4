"""Query parameters of the core API: pages, lists, dates."""

from collections.abc import Sequence
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from math import ceil
from typing import Any, TypeVar

from service.sandbox.gateway import Call, Done, Refusal

MAX_PER_PAGE = 250
DEFAULT_PER_PAGE = 50

T = TypeVar("T")


def listing(call: Call, items: Sequence[dict[str, Any]]) -> Done:
    """One page of a V3 list, with V3's pagination."""
    limit, page = limit_of(call), _page(call)
    chosen = list(page_of(call, items))
    pagination = {
        "total": len(items),
        "count": len(chosen),
        "per_page": limit,
        "current_page": page,
        "total_pages": ceil(len(items) / limit),
    }
    return Done({"data": chosen, "meta": {"pagination": pagination}})


def limit_of(call: Call) -> int:
    """The number of items per page."""
    return min(MAX_PER_PAGE, max(1, call.number("limit") or DEFAULT_PER_PAGE))


def _page(call: Call) -> int:
    return max(1, call.number("page") or 1)


def page_of(call: Call, items: Sequence[T]) -> Sequence[T]:
    """The items of the requested page."""
    limit, page = limit_of(call), _page(call)
    return items[(page - 1) * limit : page * limit]


def listed(call: Call, name: str) -> list[str]:
    """The values of a comma-separated parameter."""
    return [text.strip() for text in call.query.get(name, "").split(",") if text.strip()]


def date_of(call: Call, name: str) -> float | None:
    """A date parameter on the platform's clock, RFC 2822 or ISO 8601; UTC without a time zone."""
    text = call.query.get(name)
    if not text:
        return None
    try:
        date = datetime.fromisoformat(text)
    except ValueError:
        try:
            date = parsedate_to_datetime(text)
        except ValueError:
            raise Refusal(400, f"The parameter {name} is not a date.") from None
    return (date if date.tzinfo else date.replace(tzinfo=UTC)).timestamp()
