"""A store's webhooks: what they must be, what is wrong with them, what is remembered of them, how they are set up."""

from service.hooks.listing import Listed, read_listed
from service.hooks.problems import (
    WEBHOOK_PATH,
    Kind,
    Trouble,
    about_orders,
    find_troubles,
    first_destination,
    is_receiver,
    scopes_of,
)
from service.hooks.registration import Did, Outcome, Step, destination_of, find_ours, register, remove, repair
from service.hooks.state import Known, is_in_trouble, point_to, remember, troubles_in

__all__ = [
    "WEBHOOK_PATH",
    "Did",
    "Kind",
    "Known",
    "Listed",
    "Outcome",
    "Step",
    "Trouble",
    "about_orders",
    "destination_of",
    "find_ours",
    "find_troubles",
    "first_destination",
    "is_in_trouble",
    "is_receiver",
    "point_to",
    "read_listed",
    "register",
    "remember",
    "remove",
    "repair",
    "scopes_of",
    "troubles_in",
]
