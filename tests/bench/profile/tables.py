"""Tables of the profiles for a terminal."""

from collections.abc import Sequence

from tests.bench.profile.flood import FloodProfile
from tests.bench.profile.order import OrderProfile, Step

_LEAST_SHARE = 0.004
"""Rows that take less of the whole, of a warm order and of the first one, are added up in one."""


def order_table(profile: OrderProfile) -> str:
    """What an order waits for, in microseconds."""
    head = ("an order alone: what it waits for, in µs", "mean", "p50", "whole", "first order")
    shown = _shown(profile)
    rest = [step for step in profile.steps if step.key not in shown]
    rows = [
        (f"{'  ' * (len(step.key) - 1)}{step.key[-1]}", *_cells(step)) for step in profile.steps if step.key in shown
    ]
    rows.append(
        (
            f"({len(rest)} smaller rows)",
            _us(sum(each.mean for each in rest)),
            "",
            "",
            _us(sum(each.first for each in rest)),
        )
    )
    rows.append(
        (
            "from the webhook's first byte to Create's answer",
            _us(profile.mean),
            _us(profile.p50),
            "",
            _us(profile.first),
        )
    )
    note = (
        f"{profile.warm} orders one after another, and the first order after each of {profile.cold} cold starts."
        " mean and p50: the time in which the order waited for this and for nothing inside it; their means add up to"
        " the whole. whole: with all inside it, and with what ran at the same time."
        f" The webhook itself was answered after {_us(profile.answered)} µs (p50)."
    )
    return f"{columns(head, rows)}\n\n{note}"


def columns(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Rows under a head: the first column to the left, the others to the right."""
    widths = [max(len(row[column]) for row in (head, *rows)) for column in range(len(head))]
    return "\n".join(
        "  ".join(
            cell.rjust(width) if column else cell.ljust(width)
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in (head, *rows)
    )


def _shown(profile: OrderProfile) -> set[tuple[str, ...]]:
    """The keys of rows that take long enough, and of all that they are inside of."""
    large = [
        step.key
        for step in profile.steps
        if step.mean >= _LEAST_SHARE * profile.mean or step.first >= _LEAST_SHARE * profile.first
    ]
    return {key[:depth] for key in large for depth in range(1, len(key) + 1)}


def _cells(step: Step) -> tuple[str, str, str, str]:
    return _us(step.mean), _us(step.p50), _us(step.whole), _us(step.first)


def _us(value: float) -> str:
    return f"{value:,.0f}" if value else "·"


def flood_table(profile: FloodProfile, *, most: int = 25) -> str:
    """A worker in the flood; of CPU by function the ``most`` that use most."""
    figures = [
        ("created a second", f"{profile.created_per_s:,.0f}"),
        ("verified a second", f"{profile.verified_per_s:,.0f}"),
        ("worker's CPU an order, ms (sampling included)", f"{profile.worker_ms:.2f}"),
        ("Redis's CPU an order, ms (the bench's own questions included)", f"{profile.redis_ms:.2f}"),
        ("exchanges with Redis an order", f"{sum(profile.exchanges.calls.values()):.1f}"),
        ("calls to BigCommerce an order", f"{sum(profile.calls.values()):.2f}"),
    ]
    by_us = sorted(profile.exchanges.us.items(), key=lambda each: -each[1])
    exchanges = [(name, f"{profile.exchanges.calls[name]:.2f}", f"{us:.1f}") for name, us in by_us]
    calls = [(name, f"{count:.2f}") for name, count in sorted(profile.calls.items(), key=lambda each: -each[1])]
    parts = [columns((f"{profile.orders:,} orders in a flood, one worker", ""), figures)]
    parts.append(columns(("exchanges with Redis, an order", "calls", "µs in Redis"), exchanges))
    parts.append(columns(("calls to BigCommerce, an order", "calls"), calls))
    for title, shares in (
        ("worker's CPU by module", profile.modules),
        ("by function, without what it calls", profile.functions),
        ("by function of the product, with all that it calls", profile.within),
    ):
        largest = list(shares.items())[:most]
        rows = [(name, f"{share:.1%}", f"{share * profile.worker_ms * 1000:,.0f}") for name, share in largest]
        parts.append(columns((f"{title}, {profile.samples:,} samples", "share", "µs an order"), rows))
    return "\n\n".join(parts)
