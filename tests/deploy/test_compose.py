"""deploy/compose.yaml: it fits the published schema, and keeps what the service relies on."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

FILE = Path(__file__).parents[2] / "deploy" / "compose.yaml"


@pytest.fixture(scope="module")
def compose() -> dict[str, Any]:
    loaded: dict[str, Any] = yaml.safe_load(FILE.read_text())
    return loaded


def test_it_fits_the_compose_specification() -> None:
    words = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", "vendor.compose-spec", str(FILE)]
    ran = subprocess.run(words, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stdout


def test_redis_keeps_its_data_and_drops_none(compose: dict[str, Any]) -> None:
    redis = compose["services"]["redis"]
    command = " ".join(redis["command"])
    assert "--appendonly yes" in command
    assert "--save  " in command
    assert "--maxmemory-policy noeviction" in command
    # While Redis rewrites its file it may need as much again.
    assert "--maxmemory 1gb" in command
    assert redis["mem_limit"] == "2g"
    assert "redis:/data" in redis["volumes"]
    assert "redis" in compose["volumes"]


def test_only_the_front_is_reached_from_outside(compose: dict[str, Any]) -> None:
    assert [name for name, service in compose["services"].items() if "ports" in service] == ["front"]
    assert "443:443" in compose["services"]["front"]["ports"]
    assert compose["networks"]["back"]["internal"] is True
    assert compose["services"]["redis"]["networks"] == ["back"]


def test_the_front_passes_webhooks_only(compose: dict[str, Any]) -> None:
    caddyfile = compose["configs"]["caddyfile"]["content"]
    assert "handle /webhooks/*" in caddyfile
    assert "reverse_proxy web:8000" in caddyfile
    assert "respond 404" in caddyfile


@pytest.mark.parametrize("name", ["web", "worker"])
def test_our_processes_cannot_write_and_have_time_to_stop(compose: dict[str, Any], name: str) -> None:
    service = compose["services"][name]
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert int(service["stop_grace_period"].removesuffix("s")) >= 20
