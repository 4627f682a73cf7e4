"""What is measured, what BigCommerce's documentation says about it, and when."""

from collections.abc import Mapping
from dataclasses import dataclass

from service.bigcommerce import Api
from service.orders.create_window import WINDOW_LENGTH_S

Line = tuple[str, str]
"""What is measured, and what is documented about it."""

RECORD: Line = ("record of an order made by API", f"comes by itself after about {WINDOW_LENGTH_S:.0f} s")
LAST_LOOK: Line = ("what was written, at the end", "still there")
UPDATE: Line = ("Update an Order with some of the extra fields", "—")
NAMES: Line = ("names of extra fields", "fieldName")
LIST: Line = ("extra fields in Get All Orders", "shown with showExtra")
OPTIONS: Line = ("options of dropdowns in the extra-field configs", "listOfValues")
QUOTAS: Mapping[Api, Line] = {
    Api.CORE: ("quota headers of the core API", "limit, what is left, when it resets"),
    Api.B2B: ("quota headers of B2B Edition", "limit, what is left, when it resets"),
}
NEW_ORDER: Line = ("webhook of a new order", "—")
CHANGED_ORDER: Line = ("webhook of a changed order", "—")
METAFIELD: Line = ("webhook of a new metafield", "—")


@dataclass(frozen=True, slots=True)
class Schedule:
    """When things are done, in seconds after the order, and how long is waited for answers. In all two minutes."""

    early_s: float = 1.0
    late_s: float = 15.0
    watch_s: float = 30.0
    """How long the platform has time to make a record: three times as long as it usually takes."""
    last_look_s: float = 25.0
    """Public examples show records that the platform writes again 15 s after the first time."""
    webhook_s: float = 20.0
    read_lag_s: float = 8.0
    poll_s: float = 1.0

    @property
    def early(self) -> Line:
        """Create an Order within its window."""
        return f"Create an Order, {self.early_s:g} s after the order", "taken"

    @property
    def late(self) -> Line:
        """Create an Order after its window."""
        return f"Create an Order, {self.late_s:g} s after the order", "refused"

    @property
    def lines(self) -> tuple[Line, ...]:
        """All lines, in the order in which they are shown."""
        of_record = (RECORD, self.early, self.late, LAST_LOOK, UPDATE, NAMES, LIST, OPTIONS)
        return (*of_record, *QUOTAS.values(), NEW_ORDER, CHANGED_ORDER, METAFIELD)
