"""The sentence that says whether orders would be enriched."""

from collections import Counter

import pytest

from service.checks.environment.processes import worker_finding
from service.checks.findings import Finding, Level
from service.checks.verdict import verdict
from service.gauges import QueueState, State
from service.orders.state.heartbeats import Alive

IDLE = State(0, {"window": QueueState(0, 0.0), "recovery": QueueState(0, 0.0)}, {})
NO_WORKER = worker_finding(Alive(Counter()), IDLE)
REDIS = Finding(Level.ERROR, None, "Redis", "does not answer (ConnectionError).", "Check it.")
WARNING = Finding(Level.WARNING, "a", "webhooks", "one goes elsewhere.")


def refused(store: str) -> Finding:
    return Finding(Level.ERROR, store, "access_token", "BigCommerce refuses it.", "Compare it.")


NEVER = "As things stand, no order would be enriched"


@pytest.mark.parametrize(
    ("findings", "stores", "expected"),
    [
        ([], ["a"], (True, "As things stand, orders would be enriched.")),
        ([WARNING], ["a"], (True, "As things stand, orders would be enriched. 1 warning below.")),
        ([WARNING, NO_WORKER], ["a"], (False, f"{NEVER}: no worker is running. The rest is right.")),
        ([REDIS, refused("a")], ["a"], (False, f"{NEVER}: Redis: does not answer (ConnectionError).")),
        ([], [], (False, f"{NEVER}.")),
        (
            [refused("a")],
            ["a"],
            (False, "As things stand, orders of a would not be enriched: access_token: BigCommerce refuses it."),
        ),
        (
            [refused("b"), refused("c")],
            ["a", "b", "c", "d"],
            (
                False,
                "As things stand, orders of b would not be enriched: access_token: BigCommerce refuses it."
                " The same is true of 1 other store. Orders of the other 2 would.",
            ),
        ),
    ],
)
def test_the_first_line(findings: list[Finding], stores: list[str], expected: tuple[bool, str]) -> None:
    judged = verdict(findings, stores, offline=False, has_redis=True)
    assert (judged.is_working, judged.sentence) == expected


def test_offline_nothing_is_known_of_the_rest() -> None:
    judged = verdict([WARNING], ["a"], offline=True, has_redis=False)
    assert judged.is_working is None
    assert verdict([refused("a")], ["a"], offline=True, has_redis=False).is_working is False


def test_without_a_redis_nothing_runs() -> None:
    assert verdict([], ["a"], offline=False, has_redis=False).sentence.startswith(f"{NEVER}: no worker is running.")
