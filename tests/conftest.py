"""Fixtures that every test may ask for, and what makes a run the same on any machine."""

import os

from hypothesis import HealthCheck, settings

from tests.fakes.redis_server import redis_url, shared_redis

__all__ = ["redis_url", "shared_redis"]

# How long an example takes says more of the machine than of the code.
settings.register_profile("any machine", settings(), deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("any machine")

# All that is called is on this machine; a proxy would look for it on another.
for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
    os.environ.pop(name, None)
    os.environ.pop(name.lower(), None)
