"""What ``enrich check`` looks at: the stores file by itself, then each store live. Nothing is written anywhere."""

from service.checks.environment import check_redis, of_clock
from service.checks.findings import Finding, Level, counted
from service.checks.stores import check_stores
from service.checks.stores_file import check_file

__all__ = ["Finding", "Level", "check_file", "check_redis", "check_stores", "counted", "of_clock"]
