"""How long a store's list of orders may wait: what proves that webhooks arrive, and what speaks against it."""

from dataclasses import replace
from typing import Any

import pytest

from workers.periodic.reconcile_interval import (
    ACTIVE_S,
    HOOKS_CHECKED_WITHIN_S,
    LATELY_S,
    QUIET_S,
    Evidence,
    next_interval_s,
)

NOW = 1_700_000_000.0
WEEK_S = 7 * 86_400.0

QUIET = Evidence(now=NOW, last_order_at=NOW - WEEK_S, webhook_at=NOW - WEEK_S, hooks_checked_at=NOW - 600.0)
"""The last order came a week ago, its webhook arrived, and the webhooks are active."""


@pytest.mark.parametrize(
    ("known", "troubles"),
    [
        pytest.param({}, [], id="quiet"),
        pytest.param({"webhook_at": None}, [], id="never an order, the store is there for a week"),
        pytest.param({"last_order_at": NOW - LATELY_S}, ["recent order"], id="an order a day ago"),
        pytest.param({"last_order_at": NOW - LATELY_S - 1.0}, [], id="an order a little more than a day ago"),
        pytest.param({"webhook_at": NOW - 60.0}, ["recent order"], id="a webhook that the list does not show yet"),
        pytest.param({"last_order_at": None}, ["recent order"], id="the list was never read by this version"),
        pytest.param({"is_polled": True}, ["polling"], id="polled"),
        pytest.param({"has_hook_problem": True}, ["webhook problem"], id="a webhook is inactive"),
        pytest.param({"hooks_checked_at": None}, ["webhooks unchecked"], id="webhooks never seen"),
        pytest.param(
            {"hooks_checked_at": NOW - HOOKS_CHECKED_WITHIN_S - 1.0}, ["webhooks unchecked"], id="seen long ago"
        ),
        pytest.param({"untold_at": NOW - WEEK_S + 1.0}, ["lost webhook"], id="the last order's webhook did not arrive"),
        pytest.param({"untold_at": NOW - WEEK_S, "webhook_at": None}, ["lost webhook"], id="no webhook ever arrived"),
        pytest.param({"untold_at": NOW - WEEK_S - 1.0}, [], id="webhooks have arrived since one was lost"),
        pytest.param({"late_at": NOW - WEEK_S + 1.0}, ["lost webhook"], id="the last webhook was late"),
        pytest.param({"late_at": NOW - 60.0}, ["recent order", "lost webhook"], id="a webhook was late just now"),
        pytest.param({"orders_wait": True}, ["orders wait"], id="orders are held"),
        pytest.param(
            {"is_polled": True, "has_hook_problem": True}, ["polling", "webhook problem"], id="more than one of them"
        ),
    ],
)
def test_what_speaks_for_reading_the_list_every_minute(known: dict[str, Any], troubles: list[str]) -> None:
    evidence = replace(QUIET, **known)
    assert list(evidence.troubles()) == troubles
    assert evidence.are_webhooks_proven is (not troubles)
    assert next_interval_s(evidence, QUIET_S) == (ACTIVE_S if troubles else QUIET_S)


@pytest.mark.parametrize(
    ("evidence", "previous_s", "bounds", "expected_s"),
    [
        pytest.param(QUIET, None, {}, 60.0, id="a store that was never read"),
        pytest.param(QUIET, 60.0, {}, 120.0, id="doubled"),
        pytest.param(QUIET, 120.0, {}, 240.0, id="doubled again"),
        pytest.param(QUIET, 240.0, {}, 300.0, id="up to the longest"),
        pytest.param(QUIET, 300.0, {}, 300.0, id="which it keeps"),
        pytest.param(QUIET, 300.0, {"longest_s": 90.0}, 90.0, id="an upper bound that was set is kept"),
        pytest.param(QUIET, 60.0, {"longest_s": 60.0}, 60.0, id="never longer than a minute"),
        pytest.param(QUIET, 5.0, {"shortest_s": 5.0, "longest_s": 20.0}, 10.0, id="other bounds"),
        pytest.param(QUIET, 60.0, {"longest_s": 10.0}, 60.0, id="a bound below the shortest changes nothing"),
        pytest.param(replace(QUIET, is_polled=True), 300.0, {}, 60.0, id="trouble: at once the shortest"),
        pytest.param(
            replace(QUIET, is_polled=True), 300.0, {"shortest_s": 5.0}, 5.0, id="trouble, with another shortest"
        ),
    ],
)
def test_next_interval(
    evidence: Evidence, previous_s: float | None, bounds: dict[str, float], expected_s: float
) -> None:
    assert next_interval_s(evidence, previous_s, **bounds) == expected_s
