"""What the rules gave for an order, as its entry keeps it."""

from service.orders.state.order_entry import Entry
from service.rules import Given


def given_of(entry: Entry) -> dict[str, Given]:
    """What the rules gave for the order, by rule."""
    return {name: Given(text, place) for name, (text, place) in entry.given.items()}
