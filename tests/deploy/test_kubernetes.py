"""deploy/kubernetes: manifests fit the published schemas, and processes get what they need to stop in order."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml

from service.configuration import load_configuration
from service.console.address import ConsoleAddress
from service.console.server import GRACE_S as CONSOLE_GRACE_S
from service.receiver.server import GRACE_S
from service.redis.url import parse_url
from workers.worker_process import DRAIN_TIMEOUT_S

FOLDER = Path(__file__).parents[2] / "deploy" / "kubernetes"
KUSTOMIZATION: dict[str, Any] = yaml.safe_load((FOLDER / "kustomization.yaml").read_text())


def _manifests() -> Iterator[dict[str, Any]]:
    for name in KUSTOMIZATION["resources"]:
        yield from yaml.safe_load_all((FOLDER / name).read_text())


MANIFESTS = [
    pytest.param(manifest, id=f"{manifest['kind']}/{manifest['metadata']['name']}") for manifest in _manifests()
]


def _of_kind(kind: str) -> dict[str, dict[str, Any]]:
    return {manifest["metadata"]["name"]: manifest for manifest in _manifests() if manifest["kind"] == kind}


@pytest.mark.parametrize("version", ["1.29", "1.37"])
@pytest.mark.parametrize("manifest", MANIFESTS)
def test_a_manifest_fits_the_schema_strictly(manifest: dict[str, Any], version: str) -> None:
    kubernetes_validate.validate(manifest, version, strict=True)


def test_every_file_is_part_of_the_kustomization() -> None:
    files = {path.name for path in FOLDER.glob("*.yaml")} - {"kustomization.yaml"}
    assert files == set(KUSTOMIZATION["resources"])


def test_the_stores_file_is_one_that_can_be_read(tmp_path: Path) -> None:
    text = (FOLDER / "stores.toml").read_text().replace("/run/secrets", str(tmp_path))
    for name in ("greatbuys-access-token", "greatbuys-client-secret"):
        (tmp_path / name).write_text("secret")
    (tmp_path / "stores.toml").write_text(text)
    assert load_configuration(tmp_path / "stores.toml", {}).literal_secrets == ()


@pytest.mark.parametrize(
    ("name", "needs_s"),
    [("enrich-web", GRACE_S + 5), ("enrich-worker", DRAIN_TIMEOUT_S), ("enrich-console", CONSOLE_GRACE_S + 5)],
)
def test_a_pod_has_time_to_finish_what_is_in_hand(name: str, needs_s: float) -> None:
    pod = _of_kind("Deployment")[name]["spec"]["template"]["spec"]
    assert pod["terminationGracePeriodSeconds"] > needs_s


@pytest.mark.parametrize("name", ["enrich-web", "enrich-worker", "enrich-console"])
def test_a_pod_may_do_as_little_as_possible(name: str) -> None:
    pod = _of_kind("Deployment")[name]["spec"]["template"]["spec"]
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert pod["automountServiceAccountToken"] is False
    (container,) = pod["containers"]
    assert container["securityContext"]["readOnlyRootFilesystem"] is True
    assert container["securityContext"]["capabilities"] == {"drop": ["ALL"]}
    assert {"livenessProbe", "startupProbe"} <= set(container)


@pytest.mark.parametrize("name", ["enrich-web", "enrich-worker"])
def test_an_upgrade_never_leaves_fewer_than_before(name: str) -> None:
    deployment = _of_kind("Deployment")[name]
    assert deployment["spec"]["strategy"]["rollingUpdate"]["maxUnavailable"] == 0
    budget = _of_kind("PodDisruptionBudget")[name]
    assert budget["spec"]["selector"] == deployment["spec"]["selector"]


def test_what_an_autoscaler_counts_no_apply_sets_back() -> None:
    (scaler,) = _of_kind("HorizontalPodAutoscaler").values()
    assert "replicas" not in _of_kind("Deployment")[scaler["spec"]["scaleTargetRef"]["name"]]["spec"]

    component = FOLDER / "components" / "keda"
    scaled = yaml.safe_load((component / "scaledobject.yaml").read_text())["spec"]
    (patch,) = yaml.safe_load((component / "kustomization.yaml").read_text())["patches"]
    assert patch["target"] == {"kind": "Deployment", "name": scaled["scaleTargetRef"]["name"]}
    assert yaml.safe_load(patch["patch"]) == [{"op": "remove", "path": "/spec/replicas"}]


def test_redis_keeps_its_data_and_drops_none() -> None:
    (container,) = _of_kind("StatefulSet")["enrich-redis"]["spec"]["template"]["spec"]["containers"]
    arguments = " ".join(container["args"])
    assert "--appendonly yes" in arguments
    assert "--save  " in arguments
    assert "--maxmemory-policy noeviction" in arguments
    # While Redis rewrites its file it may need as much again.
    assert "--maxmemory 1gb" in arguments
    assert container["resources"]["limits"]["memory"] == "2Gi"


def test_redis_has_a_password_and_an_address_that_stays() -> None:
    (container,) = _of_kind("StatefulSet")["enrich-redis"]["spec"]["template"]["spec"]["containers"]
    assert "$(REDIS_PASSWORD)" in container["args"]
    for name in ("enrich-web", "enrich-worker", "enrich-console"):
        (ours,) = _of_kind("Deployment")[name]["spec"]["template"]["spec"]["containers"]
        # A variable is only expanded if it is defined before.
        assert [variable["name"] for variable in ours["env"]][:2] == ["REDIS_PASSWORD", "REDIS_URL"]
        assert ours["env"][0]["valueFrom"] == container["env"][0]["valueFrom"]
        assert parse_url(ours["env"][1]["value"]).password == "$(REDIS_PASSWORD)"
    assert "clusterIP" not in _of_kind("Service")["enrich-redis"]["spec"]


def test_what_is_not_allowed_is_forbidden() -> None:
    everything = _of_kind("NetworkPolicy")["enrich-nothing-else"]["spec"]
    assert everything["podSelector"] == {}
    assert set(everything["policyTypes"]) == {"Ingress", "Egress"}
    assert "ingress" not in everything


def test_messages_link_to_the_console() -> None:
    urls = {
        variable["value"]
        for deployment in _of_kind("Deployment").values()
        for container in deployment["spec"]["template"]["spec"]["containers"]
        for variable in container.get("env", ())
        if variable["name"] == "ENRICH_CONSOLE_URL"
    }
    assert len(urls) == 1
    for name in ("enrich-worker", "enrich-web", "enrich-console"):
        (container,) = _of_kind("Deployment")[name]["spec"]["template"]["spec"]["containers"]
        assert "ENRICH_CONSOLE_URL" in [variable["name"] for variable in container["env"]]


def test_the_console_lives_at_the_path_of_its_ingress() -> None:
    (container,) = _of_kind("Deployment")["enrich-console"]["spec"]["template"]["spec"]["containers"]
    (url,) = [variable["value"] for variable in container["env"] if variable["name"] == "ENRICH_CONSOLE_URL"]
    (rule,) = _of_kind("Ingress")["enrich-console"]["spec"]["rules"]
    address = ConsoleAddress.of(url, port=8100)
    assert (address.host, address.prefix) == (rule["host"], rule["http"]["paths"][0]["path"])
    assert f"--port {container['ports'][0]['containerPort']}" in " ".join(container["args"])


def test_each_process_reaches_redis_and_only_what_it_needs() -> None:
    policies = _of_kind("NetworkPolicy")
    (source,) = policies["enrich-redis"]["spec"]["ingress"][0]["from"]
    (expression,) = source["podSelector"]["matchExpressions"]
    deployments = {name.removeprefix("enrich-") for name in _of_kind("Deployment")}
    assert set(expression["values"]) == deployments
    assert policies["enrich-to-redis"]["spec"]["podSelector"]["matchExpressions"] == [expression]
    assert policies["enrich-console"]["spec"]["ingress"] == [{"ports": [{"protocol": "TCP", "port": 8100}]}]
