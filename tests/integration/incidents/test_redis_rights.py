"""Orders of a Redis whose user has few rights, and of one that refuses changes for a while."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from redis import Redis

from service.orders.state.order_entry import Status
from tests.fakes.deployment import deployed, outcomes
from tests.fakes.redis.failover import redis_on_tcp
from tests.fakes.redis.server import RedisServer
from tests.integration.incidents.test_redis_failover import until_ready

pytestmark = pytest.mark.integration


class RestrictedRedis(RedisServer):
    """A Redis as its user with few rights sees it; ``admin`` may do everything."""

    def __init__(self, folder: Path, port: int, *rights: str) -> None:
        super().__init__(folder)
        self._port = port
        self.admin = Redis(port=port)
        self.admin.execute_command("ACL", "SETUSER", "shop", "on", ">secret", *rights)  # type: ignore[no-untyped-call]

    @property
    def url(self) -> str:
        return f"redis://shop:secret@127.0.0.1:{self._port}/0"


@asynccontextmanager
async def restricted(folder: Path, *rights: str) -> AsyncIterator[RestrictedRedis]:
    with redis_on_tcp(folder) as port:
        server = RestrictedRedis(folder, port, *rights)
        try:
            yield server
        finally:
            server.admin.close()


@pytest.mark.parametrize(
    "rights",
    [
        pytest.param(
            ("resetchannels", "~enrich:*", "~arq:*", "&enrich:wake", "+@all", "-@dangerous"), id="nothing dangerous"
        ),
        pytest.param(
            ("~*", "&*", "+@all", "-@dangerous", "-evalsha", "-script"),
            id="no EVALSHA and no SCRIPT",
            marks=pytest.mark.chaos,
        ),
    ],
)
async def test_orders_need_no_more_rights_than_these(tmp_path: Path, rights: tuple[str, ...]) -> None:
    async with deployed(tmp_path, redis=restricted(tmp_path / "redis", *rights)) as deployment:
        placed = [await deployment.place(number) for number in range(3)]
        assert outcomes(await deployment.wait_until_finished(placed)) == {Status.CREATED: 3}
        for process in (deployment.web, *deployment.workers):
            assert not process.events("internal_error"), process.text
            assert not process.events("redis_lost"), process.text


async def test_a_redis_that_refuses_changes_is_named_in_the_log_and_does_not_flood_it(tmp_path: Path) -> None:
    async with deployed(tmp_path, redis=restricted(tmp_path / "redis", "~*", "&*", "+@all")) as deployment:
        redis = deployment.redis
        assert isinstance(redis, RestrictedRedis)
        redis.admin.config_set("min-replicas-to-write", 1)
        await until_ready(deployment, 503)
        number = 0
        while not deployment.workers[0].events("redis_lost"):  # a queue's next write notices it
            number += 1
            redis.admin.config_set("min-replicas-to-write", 0)
            await deployment.place(number)
            redis.admin.config_set("min-replicas-to-write", 1)
            await asyncio.sleep(0.3)  # the orders must not use up the store's quota
        redis.admin.config_set("min-replicas-to-write", 0)
        await until_ready(deployment, 200)
        order = await deployment.place(1000)
        assert outcomes(await deployment.wait_until_finished([order], within_s=60)) == {Status.CREATED: 1}
        lost = deployment.workers[0].events("redis_lost")
        assert {line["error"] for line in lost} == {
            "Redis has too few replicas connected and refuses changes (NOREPLICAS)."
            " Start its replicas, or lower min-replicas-to-write."
        }
        assert len(lost) <= 5 * (number + 1)  # once a queue and outage
        for process in (deployment.web, *deployment.workers):
            assert not process.events("internal_error"), process.text
