"""Fixtures for all tests, and settings that make a run the same on any machine."""

import os

from hypothesis import HealthCheck, settings

from tests.fakes.redis.server import redis_url, shared_redis

__all__ = ["redis_url", "shared_redis"]

# No deadline: how long an example takes depends on the machine, not on the code.
settings.register_profile("any machine", settings(), deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("any machine")

# All servers are on this machine, which a proxy would not reach.
for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
    os.environ.pop(name, None)
    os.environ.pop(name.lower(), None)
