"""How long an order may wait for the value of a required rule."""

from service.orders.create_window import WINDOW_LENGTH_S, Window


def fails_at(window: Window, follow_s: float) -> float:
    """When an order fails that has no value for a required rule, on BigCommerce's clock.

    That is when the store's ``follow`` is over: later changes of the order would change nothing. Its window always
    closes before.
    """
    return window.opened_at + max(follow_s, WINDOW_LENGTH_S)
