"""What an attempt notes on the order's entry: values sent, values kept, fields dropped."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import structlog

from service.bigcommerce.clients.storefront_api import DEFAULT_CHANNEL
from service.bigcommerce.models import Record, Values, to_int
from service.logs import Event
from service.orders.state.order_entry import Entry, Sent, Stage, Via
from service.orders.values.field_names import FieldNames
from service.orders.values.merge import PO_NUMBER, Merged, lost_carried, lost_values, shows_all
from workers.orders.buyers.company_values import values_of

log = structlog.get_logger()


def note_sending(
    entry: Entry, by: Literal["create", "update"], values: Values, names: FieldNames, *, via: Via = "b2b"
) -> None:
    """Note what is about to be sent. From here on these values count as ours, wherever they are found."""
    # As an older version noted it.
    entry.made_record |= entry.sent is not None and entry.sent.by == "create" and entry.sent.answered
    labels = names.only((*values.extra_fields, *values.carried)).labels
    entry.sent = Sent(by, values.po_number, values.extra_fields, carried=values.carried, labels=labels, via=via)
    entry.start_over = False
    for name, value in _values_of(entry.sent).items():
        earlier = entry.written.setdefault(name, [])
        if value not in earlier:
            earlier.append(value)


@dataclass(frozen=True, slots=True)
class BeforeWrite:
    """What ``note_sending``, ``note_restoring`` and ``note_late_create`` change, as it was before."""

    sent: Sent | None
    start_over: bool
    written: Mapping[str, tuple[str, ...]]
    late_creates: int
    late_create_at: float | None
    put_back: tuple[str, ...]
    restoring: tuple[str, ...]


def copy_of_sent(entry: Entry) -> BeforeWrite:
    """A copy of what the entry says was sent."""
    written = {name: tuple(values) for name, values in entry.written.items()}
    return BeforeWrite(
        entry.sent,
        entry.start_over,
        written,
        entry.late_creates,
        entry.late_create_at,
        tuple(entry.put_back),
        tuple(entry.restoring),
    )


def restore_sent(entry: Entry, before: BeforeWrite) -> None:
    """Set it back: the write was not sent."""
    entry.sent, entry.start_over = before.sent, before.start_over
    entry.written = {name: list(values) for name, values in before.written.items()}
    entry.late_creates, entry.late_create_at = before.late_creates, before.late_create_at
    entry.put_back, entry.restoring = list(before.put_back), list(before.restoring)
    entry.times.pop(Stage.SENT, None)


def note_answered(entry: Entry, at: float) -> None:
    """Note that BigCommerce accepted the write, at this time on our clock."""
    assert entry.sent is not None
    if entry.sent.by == "update":
        entry.updates += 1
    else:
        _note_made(entry, entry.sent)
    entry.sent = replace(entry.sent, answered=True)
    entry.replace_used = entry.by_hand_used  # it was allowed for this one write
    entry.times[Stage.ANSWERED] = at


def note_verified(entry: Entry) -> None:
    """Note that the record shows all that was sent: of the values that we ever sent, only these still count as ours."""
    assert entry.sent is not None
    for name, value in _values_of(entry.sent).items():
        entry.written[name] = [value]
        if name not in entry.settled:
            entry.settled.append(name)


def note_shown(entry: Entry, record: Record) -> None:
    """Note that our Create made the record, if it is unsure whether it got through and the record shows all of it."""
    sent = entry.sent
    if sent is not None and sent.by == "create" and not entry.made_record and shows_all(record, sent):
        _note_made(entry, sent)


def _note_made(entry: Entry, sent: Sent) -> None:
    """Our Create made the record, over this API. The order's comment is kept by the storefront's only."""
    entry.made_record, entry.over_storefront = True, sent.via == "storefront"
    entry.comment_not_kept = entry.has_comment and not entry.over_storefront


def note_order(entry: Entry, order: Mapping[str, Any], *, keeps_comment: bool) -> None:
    """Note who placed the order where, and whether it has a comment that Create is to keep."""
    entry.customer_id = to_int(order.get("customer_id"))
    entry.channel_id = to_int(order.get("channel_id")) or DEFAULT_CHANNEL
    entry.has_comment = keeps_comment and bool(str(order.get("customer_message") or "").strip())


def note_lost(entry: Entry, record: Record) -> None:
    """Note which values the record has lost, ours and those that we carried along: each is put back once."""
    if (sent := entry.sent) is None:
        return
    names = FieldNames(sent.labels)
    lost = {*lost_values(record, sent), *map(names.field_name, lost_carried(record, sent))}
    entry.restoring = sorted(lost - set(entry.put_back))
    entry.put_back = sorted({*entry.put_back, *lost})


def note_restoring(entry: Entry, values: Values) -> None:
    """Note which values an Update is about to put back: the record showed them before, and has lost them since."""
    about = {**values.extra_fields, **({PO_NUMBER: values.po_number} if values.po_number else {})}
    for name, value in about.items():
        earlier = entry.written.get(name)
        if value and name in entry.settled and (not earlier or value in earlier) and name not in entry.put_back:
            entry.put_back.append(name)
            entry.restoring.append(name)


def note_right(entry: Entry, wanted: Values, merged: Merged) -> None:
    """Note the values that the record shows as wanted: what somebody writes in their place from now on is theirs."""
    right = {*wanted.extra_fields, *([PO_NUMBER] if wanted.po_number is not None else [])} - {*merged.kept}
    if merged.values is not None:
        right -= {*merged.values.extra_fields, *([PO_NUMBER] if merged.values.po_number is not None else [])}
    entry.settled += sorted(right - {*entry.settled})


def values_to_write(entry: Entry) -> Values:
    """The values that were resolved before, without those that were put back once: they are not written again."""
    values = values_of(entry)
    return Values(
        None if PO_NUMBER in entry.given_up else values.po_number,
        {name: value for name, value in values.extra_fields.items() if name not in entry.given_up},
    )


def _values_of(sent: Sent) -> dict[str, str]:
    return {**sent.extra_fields, **({PO_NUMBER: sent.po_number} if sent.po_number is not None else {})}


def note_dropped(entry: Entry, dropped: Mapping[str, str]) -> None:
    """Note the fields that are not sent, each with its reason. Logs each field once."""
    for name, reason in dropped.items():
        if name not in entry.dropped:
            log.warning(Event.FIELD_DROPPED, field=name, reason=reason)
        entry.dropped[name] = reason


def note_kept(entry: Entry, kept: Sequence[str]) -> None:
    """Note which values of others stay on the record. Logs each name once.

    From now on they are theirs, even if they set back what we wrote before.
    """
    for name in kept:
        entry.written[name] = []
    if new := [name for name in kept if name not in entry.kept]:
        log.warning(Event.VALUES_KEPT, kept=new)
    entry.kept = list(kept)
