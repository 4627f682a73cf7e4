"""Output of ``enrich preview``: tables for people, plain values for scripts."""

from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime
from typing import Any

from rich.console import RenderableType
from rich.highlighter import JSONHighlighter
from rich.table import Table
from rich.text import Text

from service.bigcommerce.models import Record
from service.cli.common.output import to_json
from service.orders.document.partial_loader import LoadedOrder
from service.orders.preview import Outcome, Preview, RuleResult, TriedExpression

GAP = "—"

MAX_LENGTH = 200
"""How many characters of a result a table shows; --json has all of them."""

_COLOURS = {Outcome.SENT: "green", Outcome.WAITING: "yellow", Outcome.SKIPPED: "dim"}

_OUTCOMES = {
    Outcome.SENT: "would be sent",
    Outcome.WAITING: "would wait",
    Outcome.SKIPPED: "would be skipped",
    Outcome.FAILED: "would fail",
    Outcome.UNREAD: "could not be read",
}


def coloured_json(value: Any) -> Text:
    """JSON with syntax colours."""
    return JSONHighlighter()(to_json(value))


def as_dict(preview: Preview, store: str) -> dict[str, Any]:
    """The preview of an order, for scripts."""
    record, merged = preview.record, preview.merged
    return {
        "store": store,
        "order_id": preview.loaded.order_id,
        "order_created_at": _time(preview.loaded, "%Y-%m-%dT%H:%M:%SZ"),
        "customer_id": preview.loaded.customer_id,
        "company_user": preview.is_company_user,
        "outcome": preview.outcome.value,
        "reason": preview.reason,
        "rule": preview.rule,
        "payload": preview.payload,
        "rules": [_result_as_dict(result) for result in preview.results],
        "required_by_bigcommerce": list(preview.unfilled),
        "record": record and {"po_number": record.po_number, "fields": record.extra_fields},
        "update": merged.values.body() if merged and merged.values else None,
        "kept": list(merged.kept) if merged else [],
    }


def tried_as_dict(loaded: LoadedOrder, tried: TriedExpression, store: str) -> dict[str, Any]:
    """The result of an expression for an order, for scripts."""
    return {
        "store": store,
        "order_id": loaded.order_id,
        "order_created_at": _time(loaded, "%Y-%m-%dT%H:%M:%SZ"),
        "customer_id": loaded.customer_id,
        "raw": tried.raw,
        "text": tried.text,
        "value": tried.value,
        "error": tried.error,
        "not_read": {part: str(error) for part, error in loaded.gaps.items()},
    }


def _result_as_dict(result: RuleResult) -> dict[str, Any]:
    return {
        "rule": result.trace.name,
        "required": result.required,
        "kind": result.trace.kind,
        "source": result.trace.source,
        "raw": result.trace.raw,
        "text": result.trace.text,
        "field": result.field,
        "sent": result.sent,
        "dropped": result.dropped,
        "error": result.error,
    }


# ── one order ───────────────────────────────────────────────────────────────────────────────────────────────────


def preview_parts(preview: Preview, store: str) -> Iterator[RenderableType]:
    """The parts of one order's preview, to be printed one below the other."""
    yield _facts(_preview_facts(preview, store))
    yield ""
    yield _results_table(preview)
    if preview.payload:
        # An order that has a record already would get an Update.
        yield f"\nCreate an Order {'would have sent' if preview.record else 'would send'}:"
        yield coloured_json(preview.payload)
    if preview.record:
        yield ""
        yield from _record_parts(preview.record, preview)


def tried_facts(tried: TriedExpression, *, with_pattern: bool) -> Table:
    """The result of an expression for one order."""
    rows = {"raw": coloured_json(tried.raw), "text": Text(tried.text or f"{GAP} (no value)")}
    if with_pattern:
        rows["match"] = Text(tried.value or f"{GAP} (does not match)")
    if tried.error:
        rows["error"] = Text(tried.error, "red")
    return _facts(rows)


def _preview_facts(preview: Preview, store: str) -> dict[str, Text]:
    loaded = preview.loaded
    outcome = ": ".join(filter(None, (_outcome(preview), preview.rule or preview.reason)))
    rows = {
        "order": Text(f"{loaded.order_id} of {store}, {_time(loaded) or 'no date'}"),
        "buyer": Text(_buyer(preview)),
        "outcome": Text(outcome, _COLOURS.get(preview.outcome, "red")),
    }
    if preview.unfilled and preview.payload:
        rows["note"] = Text(_unfilled(preview.unfilled), "yellow")
    return rows


def _outcome(preview: Preview) -> str:
    if preview.outcome is not Outcome.WAITING:
        return _OUTCOMES[preview.outcome]
    return "would wait for a value" if preview.rule else "would wait until its status changes"


def _results_table(preview: Preview) -> Table:
    table = _table("RULE", "VALUE", "SOURCE")
    for result in preview.results:
        table.add_row(Text(result.trace.name), Text(result.sent or GAP), Text("\n".join(_source_lines(result))))
    return table


def _source_lines(result: RuleResult) -> Iterator[str]:
    trace = result.trace
    if trace.kind == "from":
        yield f"from {trace.source}"
        if trace.raw != result.sent:
            yield f"found {_short(trace.raw)}"
    else:
        yield "no value" + (" (required)" if result.required else "") if trace.kind == "none" else trace.kind
    if result.field not in (None, "poNumber", trace.name):
        yield f"sent as {result.field}"
    if result.dropped:
        yield f"not sent: {result.dropped}"
    if result.error:
        yield f"error: {result.error}"


def _record_parts(record: Record, preview: Preview) -> Iterator[RenderableType]:
    held = {"PO number": record.po_number, **record.extra_fields}
    yield "On B2B Edition's record:"
    yield _facts({f"  {name}": Text(_as_text(value) or GAP) for name, value in held.items()})
    merged = preview.merged
    if merged is None:
        return
    if merged.kept:
        yield Text(f"Existing values that would be kept: {', '.join(merged.kept)}")
    if merged.values:
        yield "Update an Order would send:"
        yield coloured_json(merged.values.body())
    else:
        yield "Nothing would be sent."


def _buyer(preview: Preview) -> str:
    loaded = preview.loaded
    if not loaded.customer_id:
        return "guest"
    user, record = loaded.document["user"], preview.record
    if not preview.is_company_user:
        of = "not a Company user"
    elif user:
        of = f"user of Company {user.get('companyId')}"
    else:
        of = f"buyer of Company {record.company_id}" if record and record.company_id else "Super Admin"
    return f"customer {loaded.customer_id}, {of}"


# ── many orders ─────────────────────────────────────────────────────────────────────────────────────────────────


def previews_table(previews: Sequence[Preview]) -> Table:
    """A table with a row for each order and a column for each rule."""
    names = [column(result) for result in previews[0].results]
    table = _table("ORDER", "CREATED (UTC)", "CUSTOMER", *names, "NOTE")
    for preview in previews:
        skipped = preview.outcome in (Outcome.SKIPPED, Outcome.UNREAD)
        table.add_row(
            *_order_cells(preview.loaded),
            *(Text(result.sent or GAP) for result in preview.results),
            Text("; ".join(order_notes(preview))),
            style="dim" if skipped else None,
        )
    return table


def column(result: RuleResult) -> str:
    """The heading of a rule's column."""
    return "PO NUMBER" if result.is_po_number else result.trace.name


def order_notes(preview: Preview) -> Iterator[str]:
    """What is to be said of an order beside its values."""
    if preview.outcome is not Outcome.SENT:
        yield ": ".join(filter(None, (preview.outcome.value, preview.reason, preview.rule)))
    # The reason is shown only in the preview of one order.
    if dropped := [result.trace.name for result in preview.results if result.dropped]:
        yield f"not sent: {', '.join(dropped)}"
    if broken := [result.trace.name for result in preview.results if result.error and result.sent is None]:
        yield f"error: {', '.join(broken)}"


def summary(previews: Sequence[Preview]) -> str:
    """How many of the orders have a PO, which fields are empty, and how many orders would fail or be skipped."""
    counts = {outcome: sum(preview.outcome is outcome for preview in previews) for outcome in Outcome}
    own = [preview for preview in previews if preview.outcome not in (Outcome.SKIPPED, Outcome.UNREAD)]
    parts = []
    for column in zip(*(preview.results for preview in own), strict=True):
        filled = sum(result.sent is not None for result in column)
        if column[0].is_po_number:
            parts.append(f"{filled} of {len(own)} have a PO")
        elif filled < len(own):
            parts.append(f"{column[0].trace.name} is empty on {len(own) - filled}")
    unfilled = [name for name in (own[0].unfilled if own else ()) if all(name in each.unfilled for each in own)]
    if unfilled:
        parts.append(_unfilled(unfilled))
    if counts[Outcome.FAILED]:
        parts.append(f"{counts[Outcome.FAILED]} would fail")
    if counts[Outcome.WAITING]:
        parts.append(f"{counts[Outcome.WAITING]} would wait")
    if counts[Outcome.SKIPPED]:
        parts.append(f"{counts[Outcome.SKIPPED]} of {len(previews)} orders would be skipped")
    if counts[Outcome.UNREAD]:
        parts.append(f"{counts[Outcome.UNREAD]} of {len(previews)} orders could not be read")
    return "; ".join(parts or ["no field is empty"]) + "."


def tried_table(tried: Iterable[tuple[LoadedOrder, TriedExpression]], *, with_pattern: bool) -> Table:
    """A table with a row for each order: the result of an expression."""
    table = _table("ORDER", "CREATED (UTC)", "CUSTOMER", "RAW", "TEXT", *(["MATCH"] if with_pattern else []), "NOTE")
    for loaded, one in tried:
        gaps = dict.fromkeys(str(error) for error in loaded.gaps.values())
        table.add_row(
            *_order_cells(loaded),
            Text(_short(one.raw)),
            Text(one.text or GAP),
            *([Text(one.value or GAP)] if with_pattern else []),
            Text("; ".join([*gaps, *([one.error] if one.error else [])])),
        )
    return table


def tried_summary(tried: Sequence[tuple[LoadedOrder, TriedExpression]]) -> str:
    """How many orders have a value."""
    return f"{sum(one.value is not None for _, one in tried)} of {len(tried)} orders have a value."


# ── helpers ─────────────────────────────────────────────────────────────────────────────────────────────────────


def _table(*columns: str) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in columns:
        table.add_column(Text(column), overflow="fold", no_wrap=column in ("ORDER", "CREATED (UTC)"))
    return table


def _facts(rows: dict[str, Text]) -> Table:
    facts = Table(box=None, show_header=False, pad_edge=False)
    facts.add_column(style="bold", no_wrap=True)
    facts.add_column(overflow="fold")
    for name, value in rows.items():
        facts.add_row(Text(name), value)
    return facts


def _order_cells(loaded: LoadedOrder) -> tuple[str, ...]:
    return str(loaded.order_id), _time(loaded) or GAP, str(loaded.customer_id or "guest")


def _time(loaded: LoadedOrder, form: str = "%Y-%m-%d %H:%M:%S") -> str | None:
    created = loaded.created_at
    return None if created is None else datetime.fromtimestamp(created, UTC).strftime(form)


def _unfilled(names: Iterable[str]) -> str:
    return f"BigCommerce requires {', '.join(names)}, which no rule fills"


def _short(raw: Any) -> str:
    text = " ".join(to_json(raw).split())
    return text if len(text) <= MAX_LENGTH else f"{text[:MAX_LENGTH]} …"


def _as_text(value: Any) -> str:
    """A value on the record as text: usually text already, else JSON."""
    return value if isinstance(value, str) else to_json(value)
