"""Checks the stores' quotas, this machine's clock, and Redis."""

from collections.abc import Mapping

from redis.asyncio import Redis
from redis.exceptions import RedisError

from service.bigcommerce import Api
from service.bigcommerce.quota_headers import Quota
from service.checks.findings import Finding, Level
from service.redis.errors import diagnose
from service.redis.requirements import WAKE_CHANNEL, find_problems, may_publish, read_version

LOW_PERCENT = 20

SKEW_WARNING_S = 2.0
# The receiver refuses signatures that are five minutes off; delivery takes some of that.
SKEW_ERROR_S = 240.0

_NAMES = {Api.CORE: "core API", Api.B2B: "B2B Edition"}
_USUAL_B2B = 150


def check_quotas(store: str, quotas: Mapping[Api, Quota]) -> list[Finding]:
    """Check the store's quotas by the last answers; an API without quota headers is left out."""
    return [
        _quota_finding(store, api, quota, quota.limit, quota.left)
        for api, quota in quotas.items()
        if api in _NAMES and quota.limit and quota.left is not None
    ]


def _quota_finding(store: str, api: Api, quota: Quota, limit: int, left: int) -> Finding:
    total = f"{limit} calls" + (f" in {quota.window_s:g} s" if quota.window_s else "")
    unusual = f" Most stores have {_USUAL_B2B}." if api is Api.B2B and limit != _USUAL_B2B else ""
    subject = f"quota, {_NAMES[api]}"
    if 100 * left < LOW_PERCENT * limit:
        message = f"only {left} of {total} are left.{unusual}"
        cure = "Unless a burst of orders is in progress, other apps of this store are using it up."
        return Finding(Level.WARNING, store, subject, message, cure)
    return Finding(Level.OK, store, subject, f"{left} of {total} are left.{unusual}")


def check_clock(skew: float) -> Finding:
    """Check the clock. ``skew`` is how many seconds BigCommerce's clock is ahead of this machine's."""
    off = f"{abs(skew):.1f} s {'behind' if skew > 0 else 'ahead of'} BigCommerce's"
    cure = "Synchronize it with NTP (chrony, systemd-timesyncd)."
    if abs(skew) > SKEW_ERROR_S:
        message = f"this machine's clock is {off}: from five minutes on, the receiver refuses webhooks."
        return Finding(Level.ERROR, None, "clock", message, cure)
    if abs(skew) > SKEW_WARNING_S:
        message = f"this machine's clock is {off}. Orders keep their ten seconds: BigCommerce's clock decides."
        return Finding(Level.WARNING, None, "clock", message, cure)
    return Finding(Level.OK, None, "clock", "this machine's clock agrees with BigCommerce's.")


async def check_redis(redis: Redis) -> list[Finding]:
    """Check that Redis can be used and takes orders now, and its settings, where it lets them be read.

    Writes keys that begin with ``enrich:check:``, and deletes them.
    """
    try:
        if problems := await find_problems(redis):
            return [_redis_finding(Level.ERROR, _sentence(problem.message), problem.cure) for problem in problems]
        version = await read_version(redis)
        wakes = await may_publish(redis)
    except RedisError as error:
        found = diagnose(error)
        return [_redis_finding(Level.ERROR, found.message, f"{found.cure} The receiver and the workers need it.")]
    try:
        # One at a time: Redis 6 accepts only one.
        settings = {**await redis.config_get("maxmemory-policy"), **await redis.config_get("appendonly")}
    except RedisError:
        settings = {}  # many providers do not permit CONFIG
    told = f" ({version})." if version else ". Its version is unknown: it refuses HELLO and INFO."
    findings = [_redis_finding(Level.OK, f"takes orders{told}")]
    if not wakes:
        message = f"its user may not use the channel {WAKE_CHANNEL}: a fresh order waits up to 50 ms for the next poll."
        findings.append(_redis_finding(Level.WARNING, message, f"Allow it &{WAKE_CHANNEL}."))
    return [*findings, *check_redis_settings(settings)]


def _redis_finding(level: Level, message: str, cure: str = "") -> Finding:
    return Finding(level, None, "Redis", message, cure)


def _sentence(message: str) -> str:
    """The message after the subject "Redis"."""
    return message.removeprefix("Redis ").replace("the Redis user", "its user")


def check_redis_settings(settings: Mapping[str, str]) -> list[Finding]:
    """Check settings that may lose orders; settings that could not be read are left out."""
    findings: list[Finding] = []
    policy = settings.get("maxmemory-policy", "noeviction")
    if policy != "noeviction":
        message = f"maxmemory-policy is {policy}: when memory runs out, Redis deletes waiting orders."
        findings.append(Finding(Level.WARNING, None, "Redis", message, "Set it to noeviction."))
    if settings.get("appendonly", "yes") == "no":
        message = "appendonly is no: waiting orders are lost when Redis stops."
        findings.append(Finding(Level.WARNING, None, "Redis", message, "Set it to yes."))
    return findings
