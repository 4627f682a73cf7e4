"""The checks of ``enrich check``: first the stores file alone, then each store live. They change nothing."""

from service.checks.access.public_address import check_public_address
from service.checks.access.refused_webhooks import last_hour as webhooks_of_last_hour
from service.checks.access.refused_webhooks import unknown_findings as unknown_webhook_findings
from service.checks.environment.clocks import check_clock, check_redis_clock
from service.checks.environment.processes import check_processes
from service.checks.environment.redis_server import check_redis
from service.checks.findings import Finding, Level, counted
from service.checks.notifications import check_notifications
from service.checks.stores import check_stores
from service.checks.stores_file import check_file, findings_of_store
from service.checks.verdict import Verdict, verdict

__all__ = [
    "Finding",
    "Level",
    "Verdict",
    "check_clock",
    "check_file",
    "check_notifications",
    "check_processes",
    "check_public_address",
    "check_redis",
    "check_redis_clock",
    "check_stores",
    "counted",
    "findings_of_store",
    "unknown_webhook_findings",
    "verdict",
    "webhooks_of_last_hour",
]
