"""Ids of orders that one list call can show together."""

from collections.abc import Iterable

from service.bigcommerce.clients.core_api import PER_PAGE


def id_ranges(ids: Iterable[int]) -> dict[int, range]:
    """Cover the ids with as few ranges as possible, none wider than one list page: the range of each id."""
    groups: list[list[int]] = []
    for order_id in sorted(set(ids)):
        if groups and order_id - groups[-1][0] < PER_PAGE:
            groups[-1].append(order_id)
        else:
            groups.append([order_id])
    return {order_id: range(group[0], group[-1] + 1) for group in groups for order_id in group}
