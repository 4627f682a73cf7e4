"""``strategy = "merge"``: lets B2B Edition, or the checkout, make the record first, and then fills in what it lacks.

The records of all orders that wait are read in one list call every few seconds, by the job that verifies records.
"""

from service.bigcommerce.models import Record, has_content

LOOK_EVERY_S = 3.0

UNCHANGED_FOR_S = 5.0
"""A record that has not changed for so long is settled, even if it is empty."""

LONGEST_S = 20.0
"""Counted from the order: then its record is filled in, or looked for as after any window."""


def is_settled(record: Record | None, *, order_age_s: float, now: float) -> bool:
    """Whether the platform has written what it writes. ``now`` is on BigCommerce's clock."""
    if order_age_s >= LONGEST_S:
        return True
    if record is None:
        return False
    if has_content(record.po_number) or any(map(has_content, record.extra_fields.values())):
        return True
    changed_at = record.updated_at or record.created_at
    return changed_at is not None and now - changed_at >= UNCHANGED_FOR_S
