"""Fixtures for all tests, and settings that make a run the same on any machine."""

import functools
import gc
import itertools
import os
import ssl
import sys
from pathlib import Path
from typing import Any

import certifi
import pytest
from hypothesis import HealthCheck, settings

from tests.fakes.redis.server import redis, redis_url, shared_redis
from tests.fakes.redis.server_option import use_server, version

__all__ = ["redis", "redis_url", "shared_redis"]

# No deadline: how long an example takes depends on the machine, not on the code.
settings.register_profile("any machine", settings(), deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("any machine")

# Bytecode is kept even where the environment forbids it: else each of the hundreds of processes that tests start would
# compile the whole product, and each run all tests.
sys.dont_write_bytecode = False
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)

# Collecting the tests makes millions of objects that all stay. To look for garbage meanwhile would take a quarter more.
gc.disable()


def pytest_collection_finish() -> None:
    gc.freeze()
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
# they are loaded once, and none of this machine's take their place.
for name in ("SSL_CERT_FILE", "SSL_CERT_DIR"):
    os.environ.pop(name, None)
_create_context = ssl.create_default_context
_default_context = functools.cache(lambda: _create_context(cafile=certifi.where()))


def _create_context_once(*args: Any, **options: Any) -> ssl.SSLContext:
    return (
        _default_context() if not args and options == {"cafile": certifi.where()} else _create_context(*args, **options)
    )


ssl.create_default_context = _create_context_once


def pytest_addoption(parser: pytest.Parser) -> None:
    text = "the server for the tests that need a Redis, such as a valkey-server; else the one that `enrich up` uses"
    parser.addoption("--redis-server", metavar="PATH", type=Path, help=text)


def pytest_configure(config: pytest.Config) -> None:
    if server := config.getoption("--redis-server"):
        config.add_cleanup(use_server(server))


def pytest_report_header(config: pytest.Config) -> str:
    return f"redis-server: {version()}"
