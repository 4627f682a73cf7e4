"""What is said of a store, the worst first."""

from typing import Any

import pytest

from service.console.store_health import Severity, findings, service_findings, summary
from service.gauges import QueueState, State, StoreState
from service.hooks import ProblemKind
from service.orders.failures.unmuted_failures import MutedCounts


def a_state(**changes: Any) -> StoreState:
    fine: dict[str, Any] = {"failed": 0, "parked": 0, "is_polled": False, "hook_problems": frozenset(), "quota": {}}
    return StoreState(**{**fine, **changes})


def test_nothing_is_said_of_a_store_that_is_fine() -> None:
    assert findings("abc123", a_state(failed=3, waiting=1, muted=MutedCounts(3, 1))) == []
    assert findings("abc123", a_state(rules={"po_number": 0})) == []
    assert summary(["Great Buys"], []) == "The store is fine."
    assert summary(["a"] * 14, []) == "All 14 stores are fine."
    assert summary([], []) == "You may see no store that is configured."


@pytest.mark.parametrize(
    ("changes", "severity", "sentence"),
    [
        ({"failed": 1}, Severity.PERSON, "1 order failed"),
        ({"failed": 1200}, Severity.PERSON, "1,200 orders failed"),
        ({"failed": 3, "muted": MutedCounts(2)}, Severity.PERSON, "1 order failed"),
        ({"waiting": 2}, Severity.PERSON, "2 orders wait for a value"),
        ({"held": 3}, Severity.PERSON, "nothing may be written; 3 orders wait"),
        ({"parked": 4}, Severity.DOWN, "BigCommerce refuses its access token; 4 orders wait"),
        ({"is_polled": True}, Severity.DOWN, "its webhooks fail, and its orders are polled"),
        (
            {"is_polled": True, "awaits_webhook": True},
            Severity.NOTICE,
            "its webhooks were set up again; its orders are polled until the next one brings a webhook",
        ),
        ({"hook_problems": {ProblemKind.INACTIVE}}, Severity.DOWN, "BigCommerce has switched a webhook off"),
        (
            {"rules": {"Cost Center": 50}},
            Severity.NOTICE,
            "the rule for Cost Center found nothing in the last 50 orders",
        ),
    ],
)
def test_what_is_wrong_is_a_sentence(changes: dict[str, Any], severity: Severity, sentence: str) -> None:
    (found,) = findings("abc123", a_state(**changes))
    assert (found.severity, found.sentence) == (severity, sentence)


def test_the_worst_comes_first() -> None:
    found = findings("abc123", a_state(failed=1, parked=1, rules={"po_number": 60}))
    assert [each.severity for each in found] == [Severity.DOWN, Severity.PERSON, Severity.NOTICE]
    sentence = summary(["A", "B"], [("A", found[0]), ("B", found[1])])
    assert sentence == "A: BigCommerce refuses its access token; 1 order waits. 1 more store needs a look."


def test_the_service_itself_may_be_at_fault() -> None:
    def state(workers: int, overdue_s: float) -> State:
        return State(workers, {"window": QueueState(1, overdue_s)}, {})

    assert service_findings(state(2, 0.5)) == []
    assert service_findings(state(0, 60.0)) == ["No worker is running: orders wait until one starts."]
    assert service_findings(state(1, 4.0)) == [
        "The oldest fresh order has waited for a worker for 4 s: there are too few workers."
    ]
