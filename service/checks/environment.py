"""What is around the stores: their quotas, this machine's clock, Redis."""

from collections.abc import Mapping

from redis.asyncio import Redis
from redis.exceptions import AuthenticationError, NoPermissionError, RedisError

from service.bigcommerce import Api
from service.bigcommerce.quota import Quota
from service.checks.findings import Finding, Level

LOW_PERCENT = 20

SKEW_WARNING_S = 2.0
# Signatures are refused when they are five minutes off; webhooks spend some of that on their way.
SKEW_ERROR_S = 240.0

_NAMES = {Api.CORE: "core API", Api.B2B: "B2B Edition"}
_USUAL_B2B = 150


def of_quotas(store: str, quotas: Mapping[Api, Quota]) -> list[Finding]:
    """What the last answers told of the store's quotas; nothing of an API that told nothing."""
    return [
        _of_quota(store, api, quota, quota.limit, quota.left)
        for api, quota in quotas.items()
        if api in _NAMES and quota.limit and quota.left is not None
    ]


def _of_quota(store: str, api: Api, quota: Quota, limit: int, left: int) -> Finding:
    in_all = f"{limit} calls" + (f" in {quota.window_s:g} s" if quota.window_s else "")
    unusual = f" Most stores have {_USUAL_B2B}." if api is Api.B2B and limit != _USUAL_B2B else ""
    subject = f"quota, {_NAMES[api]}"
    if 100 * left < LOW_PERCENT * limit:
        message = f"only {left} of {in_all} are left.{unusual}"
        cure = "If no burst of orders is on right now, other apps of this store are using it up."
        return Finding(Level.WARNING, store, subject, message, cure)
    return Finding(Level.OK, store, subject, f"{left} of {in_all} are left.{unusual}")


def of_clock(skew: float) -> Finding:
    """``skew`` is how many seconds BigCommerce's clock is ahead of this machine's."""
    off = f"{abs(skew):.1f} s {'behind' if skew > 0 else 'ahead of'} BigCommerce's"
    cure = "Have it set by NTP (chrony, systemd-timesyncd)."
    if abs(skew) > SKEW_ERROR_S:
        message = f"this machine's clock is {off}: webhooks are refused when it is five minutes off."
        return Finding(Level.ERROR, None, "clock", message, cure)
    if abs(skew) > SKEW_WARNING_S:
        message = f"this machine's clock is {off}. Orders keep their ten seconds: ages are told by BigCommerce's."
        return Finding(Level.WARNING, None, "clock", message, cure)
    return Finding(Level.OK, None, "clock", "this machine and BigCommerce agree about the time.")


async def check_redis(redis: Redis) -> list[Finding]:
    """Whether Redis answers, and keeps what it is given where it tells that."""
    subject = "Redis"
    try:
        await redis.ping()
    except (AuthenticationError, NoPermissionError) as error:
        message = f"refuses this user or password ({error})."
        return [Finding(Level.ERROR, None, subject, message, "Correct REDIS_URL: receiver and workers need it.")]
    except RedisError as error:
        message = f"does not answer ({type(error).__name__})."
        cure = "Is it running, and is REDIS_URL right? Receiver and workers need it."
        return [Finding(Level.ERROR, None, subject, message, cure)]
    try:
        # One at a time: Redis 6 takes no more.
        settings = {**await redis.config_get("maxmemory-policy"), **await redis.config_get("appendonly")}
    except RedisError:
        settings = {}  # many hosts do not permit CONFIG
    return [Finding(Level.OK, None, subject, "answers."), *of_redis_settings(settings)]


def of_redis_settings(settings: Mapping[str, str]) -> list[Finding]:
    """What Redis's settings mean for orders; nothing where they are not told."""
    findings: list[Finding] = []
    policy = settings.get("maxmemory-policy", "noeviction")
    if policy != "noeviction":
        message = f"maxmemory-policy is {policy}: when memory runs out, orders that wait are thrown away."
        findings.append(Finding(Level.WARNING, None, "Redis", message, "Set it to noeviction."))
    if settings.get("appendonly", "yes") == "no":
        message = "appendonly is no: orders that wait are lost when Redis dies."
        findings.append(Finding(Level.WARNING, None, "Redis", message, "Set it to yes."))
    return findings
