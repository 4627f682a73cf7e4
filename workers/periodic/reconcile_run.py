"""One run of reconciling for one store."""

from dataclasses import dataclass

from service.bigcommerce import StoreApi
from workers.periodic.cursor import Cursor
from workers.periodic.store_state import StoreState
from workers.periodic.webhook_pace import WebhookPace


@dataclass(slots=True)
class Run:
    """One run for one store: what it works with, and what it found."""

    store: str
    began: float
    api: StoreApi
    state: StoreState
    cursor: Cursor
    pace: WebhookPace
    interval_s: float
    """The interval between readings of the whole list that holds until this run."""
    is_silent: bool
    """Whether it is unusual that no webhook has come, and the list has not been read for that reason yet."""
    reads_list: bool = False
    """Whether it reads the whole list, not only the newest orders."""
    newest_at: float | None = None
    """When the newest order was created that had to be queued."""
    missed_webhook: bool = False
    """Whether the webhook of any of them should have arrived before, so that the store has to be polled."""
    missed_at: float | None = None
    """When the newest order was created (on our clock) whose webhook is late or missing."""
    awaits_webhook: bool = False
    """Whether there is an order whose webhook has not come, and may still come."""
