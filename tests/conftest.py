"""Fixtures for all tests, and settings that make a run the same on any machine."""

import functools
import gc
import os
import ssl
import sys
from typing import Any

import certifi
from hypothesis import HealthCheck, settings

from tests.fakes.redis.server import redis, redis_url, shared_redis

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
