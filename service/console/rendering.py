"""Answers of the console: pages from templates, JSON for scripts, CSV for spreadsheets.

Templates escape everything by default. What shoppers wrote may hold half a surrogate pair, which is no UTF-8: it is
replaced in pages and CSV, and escaped in JSON.
"""

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from functools import cache, lru_cache
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup, escape
from starlette.responses import Response

from service import csv_tables
from service.audit import in_words
from service.console.image_hosts import ImageHosts
from service.csv_tables import Cell
from service.orders import entry_report
from service.orders.state.order_entry import Entry, Status
from service.orders.statistics.counting import REASON_BYTES_MAX

# A text longer than this is cut in a table; its own page shows all of it.
_SHORT = 80


def short(text: object) -> str:
    """A text cut to what a table has room for."""
    whole = str(text)
    return whole if len(whole) <= _SHORT else f"{whole[: _SHORT - 1]}…"


def short_text(text: object) -> Markup:
    """A text of somebody else, cut to what a table has room for; nothing for an empty one.

    It stands in ``<bdi>``: right-to-left marks in it end there.
    """
    if not text:
        return Markup("")
    return Markup(f'<bdi class="text">{escape(short(text))}</bdi>')  # noqa: S704 - it is escaped


def outcome(entry: Entry) -> Markup:
    """An order's status, and whether its record shows what was sent."""
    return _outcome(entry.status, entry.verified)


@cache
def _outcome(status: Status, verified: bool | None) -> Markup:
    marks = {
        True: ' <span class="ok" title="The record shows what was sent.">✓<span class="hidden"> verified</span></span>',
        False: ' <span class="bad" title="The record does not show what was sent.">✗'
        '<span class="hidden"> not verified</span></span>',
        None: "",
    }
    # Nothing in it needs escaping.
    return Markup(f'<span class="tag {status.value}">{status.value}</span>{marks[verified]}')  # noqa: S704


def moment(seconds: float | None) -> Markup:
    """A time in UTC, with the machine's form beside it; nothing when it is unknown."""
    if seconds is None:
        return Markup("")
    # Nothing in it needs escaping, and a table has many of them.
    day, _, time = (
        datetime.fromtimestamp(seconds, UTC).isoformat(timespec="seconds").removesuffix("+00:00").partition("T")
    )
    return Markup(f'<time datetime="{day}T{time}Z">{day} {time}</time>')  # noqa: S704


def duration(seconds: float | None) -> str:
    """A length of time as people say it: ``350 ms``, ``1.3 s``, ``5 min``, ``3 h``, ``2 d``."""
    if seconds is None:
        return ""
    if seconds < 1:
        return f"{seconds * 1000:.0f} ms"
    for unit, length, decimals in (("d", 86_400, 0), ("h", 3600, 0), ("min", 60, 0)):
        if seconds >= 2 * length:
            return f"{seconds / length:.{decimals}f} {unit}"
    return f"{seconds:.1f} s" if seconds < _DECIMALS_BELOW_S else f"{seconds:.0f} s"


# Of a longer time, tenths say nothing.
_DECIMALS_BELOW_S = 20


def amount(value: object) -> str:
    """An amount of money as BigCommerce writes it, ``141.9000``, with two decimals where the others are zeros."""
    return re.sub(r"(\.\d\d)0+$", r"\1", str(value))


def cut_reason(reason: str) -> str:
    """A reason of the statistics, which keep its beginning; one that was cut ends with an ellipsis."""
    return f"{reason}…" if len(reason.encode()) >= REASON_BYTES_MAX - 3 else reason


def sentence_case(text: str) -> str:
    """A sentence that begins in upper case."""
    return text[:1].upper() + text[1:]


@lru_cache(maxsize=256)
def as_code(text: str) -> Markup:
    """A sentence of ours, in which what stands in backquotes is code."""
    parts = text.split("`")
    return Markup("").join(Markup("<code>{}</code>").format(part) if n % 2 else part for n, part in enumerate(parts))


def environment(images: ImageHosts, **shared: Any) -> Environment:
    """The templates, with these values in each of them. They show ``images`` of these hosts."""
    env = Environment(
        loader=PackageLoader("service.console"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        auto_reload=False,
    )
    env.filters.update(
        short=short,
        short_text=short_text,
        outcome=outcome,
        action_words=in_words,
        amount=amount,
        as_code=as_code,
        moment=moment,
        duration=duration,
        why=entry_report.why,
        changed_at=entry_report.changed_at,
        margin=entry_report.margin_s,
        cut_reason=cut_reason,
        sentence_case=sentence_case,
    )
    env.tests["shown_image"] = images.shows
    env.globals.update(shared)
    # All are compiled now: the first visitor would wait for it.
    for name in env.list_templates(["html"]):
        env.get_template(name)
    return env


def html(env: Environment, template: str, context: Mapping[str, Any], status: int = 200) -> Response:
    """A page."""
    text = env.get_template(template).render(context)
    return Response(text.encode(errors="replace"), status, media_type="text/html")


def to_json(value: Any, status: int = 200) -> Response:
    """JSON, indented for people, in ASCII so that no text can be more than text."""
    text = json.dumps(value, indent=2, default=str)
    return Response(text.encode() + b"\n", status, media_type="application/json")


def to_csv(columns: Sequence[str], rows: Iterable[Sequence[Cell]], name: str) -> Response:
    """CSV as a download."""
    headers = {"content-disposition": f'attachment; filename="{name}.csv"'}
    text = csv_tables.to_csv(columns, rows)
    return Response(text.encode(errors="replace"), media_type="text/csv", headers=headers)
