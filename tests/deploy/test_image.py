"""The image: no engine is needed to see that its Dockerfile is sound, and that it copies what is there."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
DOCKERFILE = (ROOT / "Dockerfile").read_text()
FINAL_STAGE = DOCKERFILE.rpartition("\nFROM ")[2]


HADOLINT = Path(sys.executable).parent / "hadolint"


@pytest.mark.skipif(not HADOLINT.exists(), reason="hadolint has no build for this platform")
def test_the_linter_of_dockerfiles_finds_nothing() -> None:
    ran = subprocess.run([HADOLINT, "Dockerfile"], cwd=ROOT, capture_output=True, text=True, check=False)
    assert (ran.returncode, ran.stdout) == (0, "")


def test_all_that_is_copied_is_there_and_reaches_the_builder() -> None:
    ignored = (ROOT / ".dockerignore").read_text().split()
    copied = [
        source
        for line in re.findall(r"^COPY (?!--from)(.+)$", DOCKERFILE, re.MULTILINE)
        for source in line.split()[:-1]
    ]
    assert copied
    for source in copied:
        assert (ROOT / source).exists(), source
        assert f"!{source}" in ignored, source


def test_every_installed_package_is_checked_against_its_hash() -> None:
    installs = re.findall(r"pip (?:--python \S+ )?install (.+?)(?: \\| &&|\n)", DOCKERFILE)
    assert len(installs) == 3
    for install in installs:
        # The project itself comes from the checkout, with nothing fetched for it.
        assert "--require-hashes" in install or install.startswith("--no-deps --no-index ")
    assert "pip wheel --no-deps --no-build-isolation" in DOCKERFILE


def test_it_runs_as_nobody_special_and_brings_no_build_tools() -> None:
    assert re.search(r"^USER 10001:10001$", FINAL_STAGE, re.MULTILINE)
    assert "build-essential" not in FINAL_STAGE
    assert "pip uninstall --yes" in FINAL_STAGE


def test_signals_reach_the_process_itself() -> None:
    """The exec form: no shell stands between the engine and the program."""
    assert re.search(r'^ENTRYPOINT \["enrich"\]$', FINAL_STAGE, re.MULTILINE)
    assert re.search(r"^STOPSIGNAL SIGTERM$", FINAL_STAGE, re.MULTILINE)
    assert re.search(
        r'^HEALTHCHECK .+ CMD \["python", "-m", "service\.process\.healthcheck"\]$', FINAL_STAGE, re.MULTILINE
    )
