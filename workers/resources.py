"""What the workers share, opened once and closed in order."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from arq import ArqRedis

from service.bigcommerce import Transport, http_client
from service.bigcommerce.budget import Budget
from service.orders.breaker import Breaker
from service.orders.checks import Checks
from service.orders.jobs import from_json, to_json
from service.orders.ledger import Ledger
from service.orders.places import Places
from service.orders.queue import Queue
from service.redisdb import connect
from service.rules import Configuration


@dataclass(frozen=True, slots=True)
class Resources:
    """The connections and what is built on them."""

    configuration: Configuration
    redis: ArqRedis
    transport: Transport
    ledger: Ledger
    queue: Queue
    places: Places
    checks: Checks
    breaker: Breaker


@asynccontextmanager
async def open_resources(configuration: Configuration, redis_url: str) -> AsyncIterator[Resources]:
    """Connect to Redis and BigCommerce for the length of the context."""
    redis = connect(redis_url, serializer=to_json, deserializer=from_json, max_connections=200)
    endpoints = configuration.endpoints
    async with redis, http_client() as http:
        transport = Transport(http, core_url=endpoints.api_url, b2b_url=endpoints.b2b_api_url, budget=Budget(redis))
        yield Resources(
            configuration, redis, transport, Ledger(redis), Queue(redis), Places(redis), Checks(redis), Breaker(redis)
        )
