"""Checks stores live in BigCommerce. Changes nothing, there or in Redis, and never raises UpstreamError."""

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType

from redis.asyncio import Redis
from redis.exceptions import RedisError

from service.bigcommerce import Account, Priority, QuotaWaitingApi, Transport
from service.bigcommerce.models import ExtraFieldConfig
from service.checks.access.public_address import Ask
from service.checks.access.quotas import check_quotas
from service.checks.access.refused_webhooks import last_hour, refused_findings
from service.checks.access.storefront_tokens import check_storefront_tokens
from service.checks.access.token_access import is_refused_token, merge_tokens, try_token
from service.checks.access.token_owner import explain_refusal
from service.checks.access.webhooks import check_webhooks
from service.checks.environment.processes import check_flow
from service.checks.facts import check_facts
from service.checks.findings import Finding
from service.checks.rules.extra_fields import check_fields
from service.checks.rules.last_orders import check_last_orders
from service.checks.rules.late_values import check_late_values
from service.checks.super_admins import check_super_admins
from service.checks.writes import check_pause
from service.configuration import ConfiguredStore
from service.hooks import HookState
from service.orders.document.cache import Cache
from service.orders.state.per_store.rule_values import RuleValues
from service.orders.state.per_store.webhook_counts import ACCEPTED
from service.orders.values.values_to_send import remembered_configs
from service.stores import Endpoints

OnStep = Callable[[str, str], None]
"""Gets a store's hash and what is checked of it next."""

TIMEOUT_S = 15.0
MAX_CONCURRENT_STORES = 10
"""Enough to hide the latency of the calls, and few connections."""


async def check_stores(
    transport: Transport,
    stores: Sequence[ConfiguredStore],
    endpoints: Endpoints,
    redis: Redis | None,
    *,
    known: Sequence[ConfiguredStore] = (),
    on_progress: Callable[[int], None] = lambda _: None,
    on_step: OnStep = lambda _store, _step: None,
    ask_address: Ask | None = None,
    clock: Callable[[], float] = time.time,
) -> list[list[Finding]]:
    """The findings of each store, in their order.

    ``on_progress`` is called with how many stores are done, ``on_step`` with a store and what is checked of it next.

    ``known`` are all stores of the file: a token that is refused may be another one's.
    ``ask_address`` asks the public address of the receiver.
    """
    slots = asyncio.Semaphore(MAX_CONCURRENT_STORES)
    webhooks = await last_hour(redis, clock)
    done = 0

    async def check(configured: ConfiguredStore) -> list[Finding]:
        nonlocal done
        async with slots:
            findings = await check_store(
                transport,
                configured,
                endpoints,
                redis,
                now=clock(),
                webhooks=webhooks.get(configured.store.hash, {}),
                on_step=on_step,
                ask_address=ask_address,
            )
            of_file = [each.store for each in known or stores]
            findings = [
                await explain_refusal(transport, configured.store, of_file, finding)
                if is_refused_token(finding)
                else finding
                for finding in findings
            ]
        done += 1
        on_progress(done)
        return findings

    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(check(configured)) for configured in stores]
    return [task.result() for task in tasks]


async def check_store(
    transport: Transport,
    configured: ConfiguredStore,
    endpoints: Endpoints,
    redis: Redis | None,
    *,
    now: float,
    webhooks: Mapping[str, int] = MappingProxyType({}),
    on_step: OnStep = lambda _store, _step: None,
    ask_address: Ask | None = None,
) -> list[Finding]:
    """Check one store's table of the stores file against BigCommerce.

    ``webhooks`` are how many of its webhooks receivers accepted, and refused for which reason, in the last hour.
    """
    store, rules = configured.store, configured.rules
    on_step(store.hash, "access token and scopes")
    tried = [
        await try_token(
            QuotaWaitingApi(
                transport, Account(store.hash, (token,)), timeout_s=TIMEOUT_S, priority=Priority.BACKGROUND
            ),
            rules.needs,
            endpoints,
            now=now,
        )
        for token in store.access_tokens
    ]
    main, findings = merge_tokens(store.hash, tried)
    earlier, destination = await _cached(redis, store.hash)
    if main.configs is not None:
        on_step(store.hash, "extra fields")
        findings += check_fields(store.hash, rules, main.configs, earlier)
    if main.is_accepted:
        on_step(store.hash, "webhooks and the public address")
        is_received = bool(webhooks.get(ACCEPTED))
        findings += await check_webhooks(
            main.api.core, configured, endpoints, destination, is_received=is_received, ask_address=ask_address
        )
        on_step(store.hash, "rules on the last orders")
        findings += await check_last_orders(main.api, configured, await _rules_without_values(redis, store.hash))
    on_step(store.hash, "what Redis knows of it")
    findings += refused_findings(store.hash, webhooks)
    findings += await check_flow(redis, store.hash)
    findings += await check_pause(redis, store.hash)
    findings += await check_late_values(redis, configured)
    findings += await check_facts(redis, store.hash)
    findings += await check_super_admins(redis, store.hash)
    findings += await check_storefront_tokens(redis, store)
    return [*findings, *check_quotas(store.hash, main.api.quotas)]


async def _rules_without_values(redis: Redis | None, store: str) -> dict[str, int]:
    """The rules that workers found to give no values, and in how many orders; empty without Redis."""
    if redis is None:
        return {}
    try:
        return await RuleValues(redis).without_values(store)
    except RedisError:
        return {}


async def _cached(redis: Redis | None, store: str) -> tuple[list[ExtraFieldConfig], str | None]:
    """The extra-field configs and the webhooks' destination saved in Redis; empty without Redis."""
    if redis is None:
        return [], None
    try:
        return await remembered_configs(Cache(redis, store)), (await HookState.read(redis, store)).destination
    except RedisError:
        return [], None
