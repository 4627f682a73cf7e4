"""The checks of ``enrich check``: first the stores file alone, then each store live. They change nothing."""

from service.checks.clock_skew import check_redis_clock
from service.checks.environment import check_clock, check_redis
from service.checks.findings import Finding, Level, counted
from service.checks.notifications import check_notifications
from service.checks.stores import check_stores
from service.checks.stores_file import check_file

__all__ = [
    "Finding",
    "Level",
    "check_clock",
    "check_file",
    "check_notifications",
    "check_redis",
    "check_redis_clock",
    "check_stores",
    "counted",
]
