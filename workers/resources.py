"""The connections that all jobs of a worker share."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field

from arq import ArqRedis

from service.bigcommerce import Transport
from service.bigcommerce.connection_pool import http_client
from service.bigcommerce.quota_budget import Budget
from service.configuration import Configuration
from service.metrics import WorkerMetrics
from service.orders.facts.store_facts import Facts
from service.orders.state.clocks import RedisClock, steady_clock
from service.orders.state.job_kinds import from_json, to_json
from service.orders.state.keys import reverify_key, verify_key, waiting_key
from service.orders.state.ledger import Ledger
from service.orders.state.per_store.credentials_breaker import Breaker
from service.orders.state.per_store.pauses import Pauses
from service.orders.state.per_store.rule_values import RuleValues
from service.orders.state.per_store.rules_archive import RulesArchive
from service.orders.state.per_store.store_history import StoreHistory
from service.orders.state.per_store.super_admins import SuperAdminBook
from service.orders.state.queue import Queue
from service.orders.state.transitions import Transitions
from service.orders.state.worklists.changed_orders import ChangedOrders
from service.orders.state.worklists.due_orders import DueOrders
from service.orders.state.worklists.held_orders import HeldOrders
from service.orders.state.worklists.late_orders import LateOrders
from service.orders.state.worklists.skipped_orders import SkippedOrders
from service.orders.state.worklists.waiting_orders import WaitingOrders
from service.redis.client import TRANSIENT_ERRORS, connect
from workers.tracing import Tracer, open_tracer


@dataclass(slots=True)
class Resources:
    """The connections and what is built on them. ``configuration`` is replaced when the stores file changes.

    ``clock`` is Redis's, for the times that other machines read.
    """

    configuration: Configuration
    redis: ArqRedis
    transport: Transport
    ledger: Ledger
    queue: Queue
    transitions: Transitions
    to_verify: DueOrders
    to_reverify: DueOrders
    awaiting_status: DueOrders
    breaker: Breaker
    late: LateOrders
    changed: ChangedOrders
    rules_archive: RulesArchive
    waiting: WaitingOrders
    skipped: SkippedOrders
    super_admins: SuperAdminBook
    held: HeldOrders
    pauses: Pauses
    metrics: WorkerMetrics = field(default_factory=WorkerMetrics)
    tracer: Tracer | None = None
    clock: RedisClock = field(init=False)
    history: StoreHistory = field(init=False)
    facts: Facts = field(init=False)
    rule_values: RuleValues = field(init=False)

    def __post_init__(self) -> None:
        self.clock, self.history = RedisClock(self.redis), StoreHistory(self.redis)
        self.facts, self.rule_values = Facts(self.redis), RuleValues(self.redis)


@asynccontextmanager
async def open_resources(configuration: Configuration, redis_url: str) -> AsyncIterator[Resources]:
    """Open the connections to Redis and BigCommerce; close them on exit."""
    redis = connect(redis_url, serializer=to_json, deserializer=from_json, max_connections=200)
    endpoints = configuration.endpoints
    metrics, tracer = WorkerMetrics(), open_tracer()
    async with redis, http_client() as http:
        transport = Transport(
            http,
            core_url=endpoints.api_url,
            b2b_url=endpoints.b2b_api_url,
            budget=Budget(redis),
            on_call=metrics.call,
            # A clock of its own: what was learnt of BigCommerce's clock holds when another one is set.
            clock=steady_clock(),
        )
        resources = Resources(
            configuration,
            redis,
            transport,
            Ledger(redis),
            Queue(redis),
            Transitions(redis),
            DueOrders(redis, verify_key),
            DueOrders(redis, reverify_key),
            DueOrders(redis, waiting_key),
            Breaker(redis),
            LateOrders(redis),
            ChangedOrders(redis),
            RulesArchive(redis),
            WaitingOrders(redis),
            SkippedOrders(redis),
            SuperAdminBook(redis),
            HeldOrders(redis),
            Pauses(redis),
            metrics,
            tracer,
        )
        with suppress(*TRANSIENT_ERRORS):  # then ``keep_time`` does it
            await resources.clock.sync()
        yield resources
        if tracer:
            await asyncio.to_thread(tracer.close)
