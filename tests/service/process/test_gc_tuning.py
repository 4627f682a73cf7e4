"""What a process imports is most of its memory: what it can do without stays outside."""

import gc
import subprocess
import sys

import pytest

from service.process.gc_tuning import freeze_gc

LOADED = "; import sys; print(*sys.modules)"
WORKER = "from service.process.gc_tuning import import_without_rich; import_without_rich(); import workers.startup"
COMMAND = "from service.cli import Commands; Commands().commands['{}'].load()"


@pytest.mark.parametrize(
    ("process", "needs", "does_without"),
    [
        pytest.param(WORKER, {"arq", "aiohttp"}, {"rich", "pygments", "rapidfuzz", "typer"}, id="worker"),
        pytest.param(
            COMMAND.format("web"), {"arq", "uvicorn"}, {"rich", "pygments", "rapidfuzz", "aiohttp"}, id="receiver"
        ),
        pytest.param(
            COMMAND.format("check"), {"rich", "aiohttp"}, {"pygments", "rapidfuzz", "uvicorn"}, id="a command"
        ),
        pytest.param(
            "import service.cli",
            {"typer"},
            {"rich", "structlog", "pydantic", "redis", "asyncio"},
            id="the list of them",
        ),
    ],
)
def test_a_process_does_without_what_it_does_not_need(process: str, needs: set[str], does_without: set[str]) -> None:
    run = [sys.executable, "-P", "-c", process + LOADED]
    loaded = set(subprocess.run(run, capture_output=True, check=True, encoding="utf-8").stdout.split())
    assert (loaded & needs, loaded & does_without) == (needs, set())


def test_the_garbage_collector_leaves_alone_what_was_there_at_the_start() -> None:
    there, before = {"a": [0]}, gc.get_freeze_count()
    try:
        freeze_gc()
        assert gc.get_freeze_count() > before
        assert not any(found is there for found in gc.get_objects())
    finally:
        gc.unfreeze()
