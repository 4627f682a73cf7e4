"""Each process imports only what it needs, as imports take most of its memory."""

import subprocess
import sys

import pytest

LOADED = "; import sys; print(*sys.modules)"
WORKER = (
    "from service.process.lean_imports import import_lean_libraries; import_lean_libraries(); import workers.startup"
)
COMMAND = "from service.cli import Commands; Commands().commands['{}'].load()"


@pytest.mark.parametrize(
    ("process", "needs", "unneeded"),
    [
        pytest.param(
            WORKER,
            {"arq", "aiohttp"},
            {"rich", "pygments", "rapidfuzz", "typer", "cryptography", "smtplib"},
            id="worker",
        ),
        pytest.param(
            COMMAND.format("web"),
            {"arq", "uvicorn"},
            {"rich", "pygments", "rapidfuzz", "aiohttp", "cryptography", "smtplib"},
            id="receiver",
        ),
        pytest.param(
            COMMAND.format("console"),
            {"jinja2", "uvicorn"},
            {"pygments", "rapidfuzz", "aiohttp", "cryptography"},
            id="console",
        ),
        pytest.param(
            COMMAND.format("orders"),
            {"rich", "redis"},
            {"aiohttp", "jinja2", "tomlkit", "starlette", "pygments", "rapidfuzz", "uvicorn", "cryptography"},
            id="a command that may make no call",
        ),
        pytest.param(
            "import service.cli",
            {"typer"},
            {"rich", "structlog", "pydantic", "redis", "asyncio"},
            id="the list of commands",
        ),
    ],
)
def test_a_process_does_not_import_what_it_does_not_need(process: str, needs: set[str], unneeded: set[str]) -> None:
    run = [sys.executable, "-P", "-c", process + LOADED]
    loaded = set(subprocess.run(run, capture_output=True, check=True, encoding="utf-8").stdout.split())
    assert (loaded & needs, loaded & unneeded) == (needs, set())
