"""Fixtures for all tests, and settings that make a run the same on any machine."""

import functools
import gc
import importlib.util
import itertools
import os
import ssl
import sys
import tempfile
from pathlib import Path
from typing import Any

import certifi
import pytest
import structlog
from hypothesis import HealthCheck, settings

from tests.fakes.redis.server import persistent_redis_url, redis, redis_url, shared_redis
from tests.fakes.redis.server_option import use_server, version

__all__ = ["persistent_redis_url", "redis", "redis_url", "shared_redis"]

# No deadline: how long an example takes depends on the machine, not on the code.
settings.register_profile(
    "any machine", settings(), max_examples=50, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("any machine")
settings.register_profile("many examples", settings(), max_examples=300)  # in make chaos

# Bytecode is kept even where the environment forbids it: else each of the hundreds of processes that tests start would
# compile the whole product, and each run all tests.
sys.dont_write_bytecode = False
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)

# Collecting the tests makes millions of objects that all stay. To look for garbage meanwhile would take a quarter more.
gc.disable()


def pytest_collection_finish() -> None:
    gc.freeze()
    gc.set_threshold(10_000, 10, 10)  # to look for garbage after each 700 objects takes a tenth of the tests' time
    gc.enable()


@pytest.hookimpl(trylast=True)  # of the tests that were selected
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Spread the modules whose tests mostly wait for processes among those that compute, from the first test on.

    Each of the workers that run at the same time gets some of both; else most would wait together at the end.
    """
    modules = [list(module) for _, module in itertools.groupby(items, key=lambda item: item.path)]
    waiting = [module for module in modules if _waits(module[0])]
    computing = [module for module in modules if not _waits(module[0])]
    pace = sum(map(len, computing)) / max(len(waiting), 1)
    begins = itertools.accumulate(map(len, computing), initial=0)
    places = [(number * pace, module) for number, module in enumerate(waiting)]
    places += zip(begins, computing, strict=False)
    items[:] = [item for _, module in sorted(places, key=lambda place: place[0]) for item in module]


def _waits(item: pytest.Item) -> bool:
    return item.path.relative_to(Path(__file__).parent).parts[0] in ("integration", "chaos")


# All servers are on this machine, which a proxy would not reach.
for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
    os.environ.pop(name, None)
    os.environ.pop(name.lower(), None)

# Loading the well-known certificates takes 50 ms, and each of the thousands of clients that tests make would do it: so
# they are loaded once, and none of this machine's take their place. The processes that tests start load them twice
# each, but call only servers without TLS: they get a file with one certificate (`pytest_configure`).
os.environ.pop("SSL_CERT_DIR", None)
os.environ.pop("SSL_CERT_FILE", None)
_create_context = ssl.create_default_context
_default_context = functools.cache(lambda: _create_context(cafile=certifi.where()))


def _create_context_once(*args: Any, **options: Any) -> ssl.SSLContext:
    return (
        _default_context() if not args and options == {"cafile": certifi.where()} else _create_context(*args, **options)
    )


ssl.create_default_context = _create_context_once

# httpx asks for this package before each call without a network, and looks through all folders, as it is not installed.
if importlib.util.find_spec("sniffio") is None:
    sys.modules["sniffio"] = None  # type: ignore[assignment]

# A failed test shows what was logged. structlog's own default draws each line in colours, and each traceback with all
# variables, which took more time than what is tested.
structlog.configure(
    processors=[
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.dev.ConsoleRenderer(colors=False, exception_formatter=structlog.dev.plain_traceback),
    ]
)


def pytest_addoption(parser: pytest.Parser) -> None:
    text = "the server for the tests that need a Redis, such as a valkey-server; else the one that `enrich up` uses"
    parser.addoption("--redis-server", metavar="PATH", type=Path, help=text)


def pytest_configure(config: pytest.Config) -> None:
    if server := config.getoption("--redis-server"):
        config.add_cleanup(use_server(server))
    folder = tempfile.TemporaryDirectory(prefix="certificate-")
    config.add_cleanup(folder.cleanup)
    os.environ["SSL_CERT_FILE"] = str(_one_certificate(Path(folder.name)))


def _one_certificate(folder: Path) -> Path:
    """The first of the well-known certificates, alone in a file."""
    end = "-----END CERTIFICATE-----\n"
    path = folder / "one.pem"
    path.write_text(Path(certifi.where()).read_text().partition(end)[0] + end)
    return path


def pytest_report_header(config: pytest.Config) -> str:
    return f"redis-server: {version()}"
