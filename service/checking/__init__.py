"""What ``enrich check`` looks at: the stores file by itself, then each store live. Nothing is written anywhere."""

from service.checking.file import check_file
from service.checking.findings import Finding, Level, counted
from service.checking.live import check_stores
from service.checking.surroundings import check_redis, of_clock

__all__ = ["Finding", "Level", "check_file", "check_redis", "check_stores", "counted", "of_clock"]
