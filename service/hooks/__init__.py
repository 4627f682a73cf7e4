"""A store's webhooks: what they must be, what is wrong with them, what is remembered of them."""

from service.hooks.memory import Known, is_in_trouble, point_to, remember
from service.hooks.troubles import (
    WEBHOOK_PATH,
    Kind,
    Trouble,
    about_orders,
    find_troubles,
    first_destination,
    scopes_of,
)

__all__ = [
    "WEBHOOK_PATH",
    "Kind",
    "Known",
    "Trouble",
    "about_orders",
    "find_troubles",
    "first_destination",
    "is_in_trouble",
    "point_to",
    "remember",
    "scopes_of",
]
