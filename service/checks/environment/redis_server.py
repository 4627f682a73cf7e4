"""Checks Redis: whether it can be used and takes orders now, and its settings."""

from collections.abc import Mapping

from redis.asyncio import Redis
from redis.exceptions import RedisError

from service.checks.findings import Finding, Level
from service.redis.errors import diagnose
from service.redis.requirements import WAKE_CHANNEL, find_problems, may_publish, read_version


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
