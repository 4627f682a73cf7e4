"""The checks of ``enrich check``: first the stores file alone, then each store live. They change nothing."""

from service.checks.environment.clocks import check_clock, check_redis_clock
from service.checks.environment.redis_server import check_redis
from service.checks.findings import Finding, Level, counted
from service.checks.stores import check_stores
from service.checks.stores_file import check_file

__all__ = [
    "Finding",
    "Level",
    "check_clock",
    "check_file",
    "check_redis",
    "check_redis_clock",
    "check_stores",
    "counted",
]
