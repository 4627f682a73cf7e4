"""How many orders an ideal sender could have created with a quota."""

from collections.abc import Sequence
from math import floor

B2B_LIMIT, B2B_WINDOW_S = 150, 60.0
# The extra-field configs, the Company user and the Company: once each, then they are cached.
UNAVOIDABLE = 3
CREATE_WINDOW_S = 10.0


def best_possible(
    placed_at: Sequence[float],
    buyers_own: Sequence[bool],
    *,
    unavoidable: int = UNAVOIDABLE,
    limit: int = B2B_LIMIT,
    window_s: float = B2B_WINDOW_S,
) -> int:
    """How many of these orders an ideal sender could have created inside their windows.

    It sends only one Create an Order for each order and the ``unavoidable`` calls that are needed first, knows the
    exact quota, and its calls take no time. B2B Edition's quota is a fixed window that begins with the first call, here
    the first order; the next windows follow without a gap, so waiting gains nothing. The order whose window closes
    first is served first, in the first quota window that has calls left and begins before the order's window closes.
    All order windows have the same length, so no other sequence is better. Two facts are unknown to it too: that a
    record exists already, which only its Create shows, and the fraction of the second in which an order was created,
    as BigCommerce reports whole seconds.
    """
    first = min(placed_at)
    room: dict[int, int] = {0: limit - unavoidable}
    created = 0
    for placed, is_buyers in sorted(zip(placed_at, buyers_own, strict=True)):
        last_window = int((floor(placed) + CREATE_WINDOW_S - first) // window_s)
        for window in range(int((placed - first) // window_s), last_window + 1):
            if room.setdefault(window, limit):
                room[window] -= 1
                created += not is_buyers
                break
    return created
