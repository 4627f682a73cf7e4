"""Another configuration under running workers."""

from typing import Any

import httpx
import pytest
from arq import ArqRedis
from redis.exceptions import ConnectionError as RedisConnectionError

from service.configuration import Configuration, load_configuration
from service.configuration.reloading import Changes
from service.orders.state.entry import Status
from service.orders.state.jobs import GUARD, PROBE, RECONCILE
from tests.fakes.job_stack import STORES, Workshop
from tests.fakes.upstream import STORE_HASH
from workers import main

CHANGED = Changes(added=[], removed=[], changed=[STORE_HASH])


def rotated(workshop: Workshop, *, also: str = "") -> Configuration:
    """The stores file with another access token."""
    path = workshop.folder / "stores.toml"
    text = STORES.format(keys="", fields="").replace('"access-token"', '"new-token"')
    path.write_text(text + (text.replace(STORE_HASH, also) if also else ""))
    return load_configuration(path)


def tokens(requests: list[httpx.Request]) -> set[str]:
    return {request.headers["X-Auth-Token"] for request in requests}


async def due_at(redis: ArqRedis) -> dict[bytes, float]:
    return {job: due / 1000 for job, due in await redis.zrange(RECONCILE.queue, 0, -1, withscores=True)}


async def test_orders_are_read_and_written_with_the_new_access_token(workshop: Workshop) -> None:
    await workshop.webhook()
    await workshop.ended()
    assert tokens(workshop.upstream.requests) == {"access-token"}

    await main._take(workshop.resources, rotated(workshop), CHANGED)
    before = len(workshop.upstream.requests)
    await workshop.retry()
    await workshop.ended()
    asked = workshop.upstream.requests[before:]
    assert len(asked) > 1
    assert tokens(asked) == {"new-token"}
    assert len(workshop.jobs._readers) == 1, "what belongs to the old token takes memory"


async def test_credentials_that_were_refused_are_tried_at_once_when_they_have_changed(workshop: Workshop) -> None:
    def order(request: httpx.Request) -> Any:
        is_new = request.headers["X-Auth-Token"] == "new-token"
        return workshop.order if is_new else (401, {"title": "Unauthorized"})

    workshop.upstream.on("GET /v2/orders/1", order)
    workshop.record.make()
    await workshop.webhook()
    for _ in range(6):  # by then more than two minutes lie between two probes
        await workshop.turn()
    assert await workshop.resources.breaker.is_open(STORE_HASH)
    changed_at = workshop.clock()

    await main._take(workshop.resources, rotated(workshop), CHANGED, clock=workshop.clock)
    assert (await due_at(workshop.redis))[PROBE.id(STORE_HASH).encode()] == changed_at
    for job in (GUARD.id(STORE_HASH), RECONCILE.id(STORE_HASH)):
        await workshop.redis.zrem(RECONCILE.queue, job)  # theirs is another story

    assert (await workshop.ended()).status is Status.UPDATED
    assert workshop.clock() - changed_at < 10.0
    assert not await workshop.resources.breaker.is_open(STORE_HASH)


async def test_the_parked_orders_of_a_store_that_is_gone_are_given_up_in_the_end(workshop: Workshop) -> None:
    workshop.upstream.on("GET /v2/orders/1", (401, {"title": "Unauthorized"}))
    await workshop.webhook()
    await workshop.turn()
    assert await workshop.queued() == [PROBE.id(STORE_HASH)]
    asked = len(workshop.upstream.requests)

    gone = Configuration(workshop.resources.configuration.endpoints, {}, ())
    await main._take(workshop.resources, gone, Changes([], [STORE_HASH], []))
    entry = await workshop.ended(most=1000)

    assert (entry.status, entry.reason) == (Status.FAILED, "the store is not in the stores file")
    assert len(workshop.upstream.requests) == asked
    assert await workshop.queued() == []


async def test_a_new_store_gets_its_chores_at_once(workshop: Workshop) -> None:
    await main._take(workshop.resources, rotated(workshop, also="new1"), Changes(["new1"], [], []))
    assert set(workshop.resources.configuration.stores) == {STORE_HASH, "new1"}
    assert set(await due_at(workshop.redis)) == {b"reconcile:new1", b"guard:new1"}


async def test_the_new_configuration_is_in_force_though_redis_is_gone(
    workshop: Workshop, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def gone(*_: object, **__: object) -> None:
        raise RedisConnectionError("gone")

    monkeypatch.setattr(main, "ensure_chores", gone)
    configuration = rotated(workshop)
    await main._take(workshop.resources, configuration, CHANGED)
    assert workshop.resources.configuration is configuration
