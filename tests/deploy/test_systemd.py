"""deploy/systemd: the units say what systemd knows, and let the processes stop in order."""

import re
import shutil
import subprocess
from configparser import ConfigParser
from pathlib import Path

import pytest

from service.console.server import GRACE_S as CONSOLE_GRACE_S
from service.receiver.server import GRACE_S
from service.settings import Settings
from workers.worker_process import DRAIN_TIMEOUT_S

FOLDER = Path(__file__).parents[2] / "deploy" / "systemd"
UNITS = {
    "enrich-web.service": GRACE_S,
    "enrich-worker@.service": DRAIN_TIMEOUT_S,
    "enrich-console.service": CONSOLE_GRACE_S,
}


def _service(name: str) -> dict[str, str]:
    parser = ConfigParser(strict=False, interpolation=None)
    parser.optionxform = str  # type: ignore[assignment,method-assign]
    parser.read(FOLDER / name)
    return dict(parser["Service"])


@pytest.mark.parametrize("name", UNITS)
def test_a_unit_has_time_to_finish_what_is_in_hand(name: str) -> None:
    service = _service(name)
    assert float(service["TimeoutStopSec"]) > UNITS[name]
    assert service["Restart"] == "always"
    assert service["KillMode"] == "mixed"


@pytest.mark.parametrize("name", UNITS)
def test_a_unit_may_do_as_little_as_possible(name: str) -> None:
    service = _service(name)
    assert service["User"] == "enrich"
    assert service["ProtectSystem"] == "strict"
    assert service["NoNewPrivileges"] == "true"
    assert service["CapabilityBoundingSet"] == ""


def test_the_environment_file_sets_what_the_program_reads() -> None:
    known = {name.upper() for name in Settings.model_fields}
    named = re.findall(r"^([A-Z_]+)=", (FOLDER / "environment").read_text(), re.MULTILINE)
    assert named
    assert set(named) <= known


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd is not installed here")
@pytest.mark.parametrize("name", UNITS)
def test_systemd_finds_nothing_wrong(name: str, tmp_path: Path) -> None:
    # Its own check wants the program to be there.
    unit = (FOLDER / name).read_text().replace("/opt/b2b-order-enrichment/.venv/bin/enrich", "/bin/true")
    path = tmp_path / name.replace("@.", "@1.")
    path.write_text(unit)
    ran = subprocess.run(["systemd-analyze", "verify", str(path)], capture_output=True, text=True, check=False)
    ours = [line for line in ran.stderr.splitlines() if path.name in line]
    assert (ran.returncode, ours) == (0, [])
