"""Which alerts hold in which state; pure."""

from dataclasses import replace
from typing import Any

import pytest
import yaml

from service.bigcommerce import Api, BudgetState
from service.gauges import QUEUES, QueueState, State, StoreState
from service.hooks import ProblemKind
from service.notify.alerts import DEFINITIONS, AlertKind, Observation, Readings, Recent, observe
from service.orders.failures.unmuted_failures import MutedCounts
from tests.fakes.pages import OPERATIONS, ROOT

FINE = StoreState(failed=0, parked=0, is_polled=False, hook_problems=frozenset(), quota={})
IDLE = dict.fromkeys(QUEUES, QueueState(0, 0.0))

# These need what only the process itself has counted.
ONLY_PROMETHEUS = {"WebhooksRefused", "WebhooksNotQueued", "LeasesLost"}
# Here FailedOrdersWait tells of it.
ONLY_PROMETHEUS |= {"MoreOrdersFail"}
# Prometheus knows nothing of these.
ONLY_HERE = {"LateValuesStopped"}


def readings(store: StoreState = FINE, **changes: Any) -> Readings:
    known: dict[str, Any] = {
        "locked_out": {"abc123": False},
        "late_values_stopped": {"abc123": False},
        "recent": {"abc123": Recent(20, 0)},
    }
    state = State(1, IDLE, {"abc123": store}, {"used": 1, "limit": 10})
    return Readings(0.0, changes.pop("state", state), **(known | changes))


def by_kind(given: Readings) -> dict[AlertKind, Observation]:
    return {observation.kind: observation for observation in observe(given)}


def holding(given: Readings) -> dict[AlertKind, str]:
    return {kind: found.summary for kind, found in by_kind(given).items() if found.holds}


def test_nothing_holds_while_all_is_well() -> None:
    found = by_kind(readings())
    assert set(found) == set(AlertKind)
    assert {observation.holds for observation in found.values()} == {False}


@pytest.mark.parametrize(
    ("change", "kind", "summary"),
    [
        ({"failed": 1}, AlertKind.FAILED_ORDERS_WAIT, "1 failed order waits."),
        ({"failed": 3}, AlertKind.FAILED_ORDERS_WAIT, "3 failed orders wait."),
        ({"waiting": 2}, AlertKind.ORDERS_WAIT_FOR_A_VALUE, "2 orders wait. Nothing is sent before the value comes."),
        ({"parked": 1}, AlertKind.CREDENTIALS_REFUSED, "1 order waits until they are accepted."),
        (
            {"is_polled": True},
            AlertKind.POLLING_ON,
            "The service polls the store for new orders every three seconds.",
        ),
        (
            {"hook_problems": frozenset({ProblemKind.INACTIVE, ProblemKind.FOREIGN}), "is_polled": True},
            AlertKind.HOOK_DOWN,
            "Problem: BigCommerce has switched it off.",
        ),
        (
            {"rules": {"po_number": 50, "Cost Center": 0, "Ship Window": 120}},
            AlertKind.RULE_WITHOUT_VALUES,
            "Ship Window: 0 of the last 120 orders, po_number: 0 of the last 50 orders.",
        ),
        (
            {
                "quota": {
                    Api.B2B: BudgetState(150, 14, 60.0, 30.0, is_guess=False),
                    Api.CORE: BudgetState(150, 100, 30.0, 9.0, is_guess=False),
                }
            },
            AlertKind.QUOTA_NEARLY_SPENT,
            "Less than 10% is left: B2B Edition.",
        ),
    ],
)
def test_each_state_of_a_store_is_one_alert(change: dict[str, Any], kind: AlertKind, summary: str) -> None:
    assert holding(readings(replace(FINE, **change))) == {kind: summary}


def test_muted_orders_are_no_alert() -> None:
    assert holding(readings(replace(FINE, failed=3, waiting=2, muted=MutedCounts(3, 2)))) == {}
    found = holding(readings(replace(FINE, failed=3, waiting=2, muted=MutedCounts(2, 1))))
    assert found == {
        AlertKind.FAILED_ORDERS_WAIT: "1 failed order waits.",
        AlertKind.ORDERS_WAIT_FOR_A_VALUE: "1 order waits. Nothing is sent before the value comes.",
    }


def test_another_apps_webhook_is_no_alert() -> None:
    assert holding(readings(replace(FINE, hook_problems=frozenset({ProblemKind.FOREIGN})))) == {}


def test_refused_credentials_are_told_even_if_no_order_waits_for_them() -> None:
    found = holding(readings(locked_out={"abc123": True}))
    assert found == {AlertKind.CREDENTIALS_REFUSED: "No order waits for them yet."}


@pytest.mark.parametrize(
    ("written", "missed", "holds"), [(100, 5, False), (100, 6, True), (3, 3, True), (2, 2, False), (0, 0, False)]
)
def test_some_orders_may_miss_their_window(written: int, missed: int, holds: bool) -> None:
    found = by_kind(readings(recent={"abc123": Recent(written, missed)}))[AlertKind.ORDERS_MISS_THE_WINDOW]
    assert found.holds is holds
    assert found.summary == f"{missed} of the last {written} orders were not created inside their window."


def test_late_values_that_stopped_are_an_alert() -> None:
    assert set(holding(readings(late_values_stopped={"abc123": True}))) == {AlertKind.LATE_VALUES_STOPPED}


def test_without_a_worker_only_that_is_told() -> None:
    stalled = IDLE | {"window": QueueState(5, 60.0)}
    assert set(holding(readings(state=State(0, stalled, {}, {})))) == {AlertKind.NO_WORKER}
    assert by_kind(readings(state=State(0, stalled, {}, {})))[AlertKind.ORDERS_WAIT_TOO_LONG].holds is None


def test_a_worker_that_does_not_take_fresh_orders_is_told() -> None:
    stalled = IDLE | {"window": QueueState(5, 4.5), "recovery": QueueState(50, 900.0)}
    assert set(holding(readings(state=State(1, stalled, {}, {})))) == {AlertKind.ORDERS_WAIT_TOO_LONG}


@pytest.mark.parametrize(
    ("memory", "holds"),
    [({"used": 81, "limit": 100}, True), ({"used": 80, "limit": 100}, False), ({"used": 81}, None), ({}, None)],
)
def test_redis_is_nearly_full_only_if_its_limit_is_known(memory: dict[str, int], holds: bool | None) -> None:
    assert by_kind(readings(state=State(1, IDLE, {}, memory)))[AlertKind.REDIS_MEMORY_LOW].holds is holds


def test_what_was_not_read_is_unknown() -> None:
    found = by_kind(readings(locked_out={}, late_values_stopped={}, recent={}))
    unknown = {kind for kind, observation in found.items() if observation.holds is None}
    assert unknown == {
        AlertKind.CREDENTIALS_REFUSED,
        AlertKind.LATE_VALUES_STOPPED,
        AlertKind.ORDERS_MISS_THE_WINDOW,
    }


def test_alerts_are_those_of_prometheus_with_their_severity_delay_and_paragraph() -> None:
    rules = yaml.safe_load((ROOT / "deploy" / "prometheus" / "alerts.yaml").read_text())["groups"][0]["rules"]
    by_name = {rule["alert"]: rule for rule in rules}
    assert {kind.value for kind in AlertKind} == by_name.keys() - ONLY_PROMETHEUS | ONLY_HERE
    for kind, definition in DEFINITIONS.items():
        assert definition.runbook in OPERATIONS.anchors
        if kind.value in by_name:
            rule = by_name[kind.value]
            assert definition.severity == rule["labels"]["severity"]
            assert f"deploy/docs/operations.md#{definition.runbook}" == rule["annotations"]["runbook"]
            assert definition.for_s == _seconds(rule.get("for", "0s"))


def _seconds(text: str) -> float:
    return float(text[:-1]) * {"s": 1, "m": 60}[text[-1]]
