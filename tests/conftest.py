"""Fixtures that every test may ask for."""

from tests.fakes.redis_server import redis_url, shared_redis

__all__ = ["redis_url", "shared_redis"]
