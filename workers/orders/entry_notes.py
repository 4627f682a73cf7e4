"""What an attempt notes on the order's entry: values sent, values kept, fields dropped."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Literal

import structlog

from service.bigcommerce.models import Record, Values
from service.logs import Event
from service.orders.state.order_entry import Entry, Sent, Stage
from service.orders.values.field_names import FieldNames
from service.orders.values.merge import PO_NUMBER, shows_all
from service.rules import Given
from workers.orders.buyers.company_values import values_of

log = structlog.get_logger()


def note_sending(entry: Entry, by: Literal["create", "update"], values: Values, names: FieldNames) -> None:
    """Note what is about to be sent. From here on these values count as ours, wherever they are found."""
    # As an older version noted it.
    entry.made_record |= entry.sent is not None and entry.sent.by == "create" and entry.sent.answered
    labels = names.only((*values.extra_fields, *values.carried)).labels
    entry.sent = Sent(by, values.po_number, values.extra_fields, carried=values.carried, labels=labels)
    entry.start_over = False
    for name, value in _values_of(entry.sent).items():
        earlier = entry.written.setdefault(name, [])
        if value not in earlier:
            earlier.append(value)


def note_answered(entry: Entry, at: float) -> None:
    """Note that BigCommerce accepted the write, at this time on our clock."""
    assert entry.sent is not None
    if entry.sent.by == "update":
        entry.updates += 1
    else:
        entry.made_record = True
    entry.sent = replace(entry.sent, answered=True)
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
    entry.made_record |= sent is not None and sent.by == "create" and shows_all(record, sent)


def given_of(entry: Entry) -> dict[str, Given]:
    """What the rules gave for the order."""
    return {name: Given(text, place) for name, (text, place) in entry.given.items()}


def followed_values(entry: Entry) -> Values:
    """The values of a later change, without those that the record has lost twice: they were put back once."""
    left_out = [] if entry.repaired else entry.put_back
    values = values_of(entry)
    return Values(
        None if PO_NUMBER in left_out else values.po_number,
        {name: value for name, value in values.extra_fields.items() if name not in left_out},
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
