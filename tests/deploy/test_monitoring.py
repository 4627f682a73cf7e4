"""Alerts, dashboard and autoscaling: they parse, alerts fire when they must, and all query metrics that exist."""

import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from typing import Any

import promql_parser
import pytest
import yaml

from service.gauges import QUEUES, State, metrics_text
from service.metrics import ReceiverMetrics, WorkerMetrics
from tests.fakes.pages import OPERATIONS, ROOT, Page, names

DEPLOY = ROOT / "deploy"
ALERTS = DEPLOY / "prometheus" / "alerts.yaml"
RULES: list[dict[str, Any]] = yaml.safe_load(ALERTS.read_text())["groups"][0]["rules"]
DASHBOARD: dict[str, Any] = json.loads((DEPLOY / "grafana" / "dashboard.json").read_text())
KEDA: dict[str, Any] = yaml.safe_load((DEPLOY / "kubernetes" / "components" / "keda" / "scaledobject.yaml").read_text())


def _expressions() -> Iterator[tuple[str, str]]:
    for rule in RULES:
        yield rule["alert"], rule["expr"]
    for panel in DASHBOARD["panels"]:
        for target in panel["targets"]:
            yield panel["title"], target["expr"]
    for trigger in KEDA["spec"]["triggers"]:
        yield "KEDA", trigger["metadata"]["query"]


EXPRESSIONS = [pytest.param(expression, id=place) for place, expression in _expressions()]


def _exported() -> set[str]:
    """The name of every series that a receiver or a worker exports."""
    registries = ReceiverMetrics(()).registry, WorkerMetrics().registry
    own = {
        name for registry in registries for metric in registry.collect() for name in _series(metric.name, metric.type)
    }
    shared = re.findall(rb"^# TYPE (\w+)", metrics_text(State(0, {}, {})), re.MULTILINE)
    return own | {name.decode() for name in shared}


def _series(name: str, kind: str) -> list[str]:
    match kind:
        case "counter":
            return [f"{name}_total"]
        case "histogram":
            return [f"{name}_{part}" for part in ("bucket", "sum", "count")]
        case _:
            return [name]


@pytest.mark.parametrize("expression", EXPRESSIONS)
def test_an_expression_parses_and_names_metrics_that_exist(expression: str) -> None:
    # Replace the dashboard's variables: durations and patterns.
    plain = re.sub(r"\$__\w+", "5m", expression).replace("$store", ".*")
    promql_parser.parse(plain)
    names = set(re.findall(r"\b(?:enrich|process)_\w+", plain))
    assert names or plain.startswith("vector(")
    assert names <= _exported()


@pytest.mark.parametrize("rule", [pytest.param(rule, id=rule["alert"]) for rule in RULES])
def test_an_alert_links_to_its_paragraph_of_the_runbook(rule: dict[str, Any]) -> None:
    file, _, anchor = rule["annotations"]["runbook"].partition("#")
    assert anchor in Page(ROOT / file).anchors


def test_every_alert_has_a_unit_test_in_which_it_fires() -> None:
    tests = yaml.safe_load((ALERTS.parent / "alerts.test.yaml").read_text())["tests"]
    fired = {case["alertname"] for test in tests for case in test["alert_rule_test"] if case.get("exp_alerts")}
    assert fired == {rule["alert"] for rule in RULES}


def test_texts_that_the_unit_tests_expect_are_those_of_the_alerts() -> None:
    """Also where promtool is not installed."""
    annotations = {rule["alert"]: rule["annotations"] for rule in RULES}
    tests = yaml.safe_load((ALERTS.parent / "alerts.test.yaml").read_text())["tests"]
    for case in (case for test in tests for case in test["alert_rule_test"]):
        for alert in case.get("exp_alerts", []):
            for name, text in alert["exp_annotations"].items():
                template = re.split(r"\{\{.*?\}\}", annotations[case["alertname"]][name])
                assert re.fullmatch(".+".join(map(re.escape, template)), text), text


@pytest.mark.skipif(shutil.which("promtool") is None, reason="promtool is not installed here (Debian: prometheus)")
@pytest.mark.parametrize("words", [("check", "rules", "alerts.yaml"), ("test", "rules", "alerts.test.yaml")])
def test_promtool_finds_nothing_wrong(words: tuple[str, ...]) -> None:
    ran = subprocess.run(["promtool", *words], cwd=ALERTS.parent, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stdout + ran.stderr


def test_panels_of_the_dashboard_have_ids_of_their_own_and_do_not_overlap() -> None:
    panels = DASHBOARD["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    taken: set[tuple[int, int]] = set()
    for panel in panels:
        at = panel["gridPos"]
        cells = {(x, y) for x in range(at["x"], at["x"] + at["w"]) for y in range(at["y"], at["y"] + at["h"])}
        assert not cells & taken, panel["title"]
        assert at["x"] + at["w"] <= 24
        taken |= cells


def test_the_runbook_lists_every_metric_and_no_other() -> None:
    listed = {name for row in OPERATIONS.rows("metric") for name in names(row[0])}
    assert listed == {re.sub("_(bucket|sum|count)$", "", name) for name in _exported() if name.startswith("enrich_")}


def test_the_runbook_lists_every_queue() -> None:
    (meaning,) = [row[2] for row in OPERATIONS.rows("metric") if row[0] == "`enrich_jobs`"]
    assert names(meaning) == list(QUEUES)
