"""Tells of webhooks that the receivers refused in the last hour, by reason, with the cure."""

import time
from collections.abc import Callable, Mapping

from redis.asyncio import Redis
from redis.exceptions import RedisError

from service.checks.findings import Finding, Level, counted
from service.hooks import WEBHOOK_PATH
from service.orders.state.per_store.webhook_counts import ACCEPTED, NO_STORE, WRONG_PATH, WebhookCounts

_SUBJECT = "refused webhooks"

_CURES = {
    "bad_signature": (
        "Compare client_secret with the API account whose token registered the webhooks: it may be mistyped, rotated,"
        ' of another account, or have quotes around it. While it changes, list both: ["env:NEW", "env:OLD"].'
    ),
    "unsigned": "They carry no signature. A proxy may remove headers; else they do not come from BigCommerce.",
    "stale": "Synchronize this machine's clock with NTP, if it is five minutes wrong.",
    "bad_header": "They lack a header of webhook_headers, or have another value: run `enrich hooks repair --store {}`.",
}

_ASK = "`webhook_refused` in the receiver's log says more."


async def last_hour(redis: Redis | None, clock: Callable[[], float] = time.time) -> dict[str, dict[str, int]]:
    """The webhooks of the last hour by store and reason; empty where Redis does not answer."""
    if redis is None:
        return {}
    try:
        return await WebhookCounts(redis).of_last_hour(now=clock())
    except RedisError:
        return {}  # check_redis reports it


def refused_findings(store: str, counts: Mapping[str, int]) -> list[Finding]:
    """One finding for each reason for which webhooks of this store were refused.

    Anybody can send a wrong webhook. So it is an error only where none of the last hour's was right.
    """
    accepted = counts.get(ACCEPTED, 0)
    level = Level.WARNING if accepted else Level.ERROR
    beside = f"{accepted} were accepted" if accepted else "none was accepted"
    return [
        Finding(
            level,
            store,
            _SUBJECT,
            f"{counted(count, 'webhook')} refused in the last hour ({reason}), {beside}.",
            _CURES.get(reason, _ASK).format(store),
        )
        for reason, count in counts.items()
        if reason != ACCEPTED
    ]


def unknown_findings(counts: Mapping[str, Mapping[str, int]]) -> list[Finding]:
    """The findings for requests of which the store is not known."""
    unknown = counts.get(NO_STORE, {})
    findings = []
    if count := unknown.get(WRONG_PATH):
        message = f"{counted(count, 'request')} of the last hour went to a wrong path: answered 404."
        cure = (
            f"Webhooks go to https://…{WEBHOOK_PATH}: compare with `enrich hooks list`, and see `webhook_wrong_path`."
        )
        findings.append(Finding(Level.WARNING, None, _SUBJECT, message, cure))
    if count := unknown.get("unknown_store"):
        message = f"{counted(count, 'webhook')} of the last hour came from a store that is not in the stores file."
        cure = "Add the store, or remove its webhooks with `enrich hooks remove` and its token."
        findings.append(Finding(Level.WARNING, None, _SUBJECT, message, cure))
    return findings
