"""The root ``record`` of the order document: what others have written on B2B Edition's record."""

from collections.abc import Mapping, Sequence
from typing import Any

from service.bigcommerce.models import to_text
from service.orders.document.loading import Document
from service.orders.values.merge import PO_NUMBER, same


def without_own_values(document: Document, written: Mapping[str, Sequence[str]]) -> Document:
    """The document whose record does not show the values that we wrote: no rule may read what a rule gave."""
    record = document.get("record")
    if not record:
        return document

    def is_ours(name: str, value: Any) -> bool:
        return any(same(ours, to_text(value)) for ours in written.get(name, ()))

    po_number, fields = record["poNumber"], record["extraFields"]
    others = {
        "poNumber": None if is_ours(PO_NUMBER, po_number) else po_number,
        "extraFields": {name: value for name, value in fields.items() if not is_ours(name, value)},
    }
    return document | {"record": record | others}
