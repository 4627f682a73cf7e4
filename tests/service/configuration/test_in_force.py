"""Processes publish which stores file they go by."""

import asyncio
from pathlib import Path

from service.configuration.in_force import ConfigurationsInForce, publish_configuration
from service.configuration.reloading import LiveConfiguration
from service.process.task_cancellation import cancel_and_wait
from service.redis.client import connect
from service.stores import content_digest
from tests.fakes.console import STORES


async def test_a_process_publishes_its_file_while_it_runs(redis_url: str, tmp_path: Path) -> None:
    path = tmp_path / "stores.toml"
    path.write_text(STORES)
    live = LiveConfiguration(path, {})
    async with connect(redis_url) as redis:
        published = ConfigurationsInForce(redis)
        assert await published.read() == {}
        task = asyncio.create_task(publish_configuration(redis, live, "worker"))
        async with asyncio.timeout(10):
            while not (found := await published.read()):  # noqa: ASYNC110 - another task writes it
                await asyncio.sleep(0.01)
        assert [(name.split()[0], digest) for name, digest in found.items()] == [
            ("worker", content_digest(STORES.encode()))
        ]
        await cancel_and_wait([task])
        assert await published.read() == {}


async def test_a_process_that_was_killed_is_not_counted_for_long(redis_url: str) -> None:
    async with connect(redis_url) as redis:
        published = ConfigurationsInForce(redis)
        await published.publish("worker a:1", "digest")
        await published.publish("worker b:2", "digest")
        assert 0 < await redis.pttl("enrich:configurations:worker a:1") <= 10_000
        await redis.delete("enrich:configurations:worker a:1")  # as it expires
        assert await published.read() == {"worker b:2": "digest"}
        assert await redis.scard("enrich:configurations") == 1  # type: ignore[misc]


def test_the_digest_is_that_of_the_last_valid_file(tmp_path: Path) -> None:
    path = tmp_path / "stores.toml"
    path.write_text(STORES)
    live = LiveConfiguration(path, {})
    for text, in_force in ((STORES + "# more\n", STORES + "# more\n"), ("broken =", STORES + "# more\n")):
        path.write_text(text)
        live.request_reload()
        live.poll()
        assert live.digest == content_digest(in_force.encode())
