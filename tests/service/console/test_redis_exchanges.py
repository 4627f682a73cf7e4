"""How many exchanges with Redis a page needs: each costs a page, and all that wait for it, a round trip."""

import time
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest
from redis.asyncio.connection import AbstractConnection

from service.console.people.access import Role
from service.orders.failures.failure_groups import find_failures
from service.orders.failures.muted_groups import MutedGroups
from service.orders.failures.retry_jobs import RetryJobs
from service.orders.state.per_store.rules_archive import RulesArchive
from tests.fakes.console import STORES, ConsoleWorld, console_world
from tests.fakes.orders import enriched, failed

MANY_STORES = STORES + "".join(
    f'[stores.more{number}]\naccess_token = "t0ken"\nclient_secret = "s3cret"\npo_number = "order.customer_message"\n'
    for number in range(12)
)


@contextmanager
def exchanges(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[bytes]]:
    """What is sent to Redis within the context: a pipeline is one exchange, however many commands it has."""
    sent: list[bytes] = []
    send = AbstractConnection.send_packed_command

    async def noted(self: AbstractConnection, command: bytes | str | list[bytes], check_health: bool = True) -> None:
        sent.append(b"".join(command) if isinstance(command, list) else str(command).encode())
        await send(self, command, check_health)

    with monkeypatch.context() as patched:
        patched.setattr(AbstractConnection, "send_packed_command", noted)
        yield sent


@pytest.fixture
async def busy(redis_url: str, tmp_path: Path) -> AsyncIterator[ConsoleWorld]:
    """Fourteen stores with orders of all kinds, muted groups and retries."""
    async with console_world(redis_url, tmp_path, MANY_STORES) as world:
        for number in range(150):
            await world.keep(enriched(1000 + number, ["abc123", "other1", "more1"][number % 3]), age_s=900 - number)
        for store in ("abc123", "other1"):
            for number in range(3):
                await world.keep(failed(100 + number, store), failed(200 + number, store, "po_number"))
            group = (await find_failures(world.redis, store, [])).groups[0]
            await MutedGroups(world.redis).mute(store, group.id, "vera", 3600)
            await RetryJobs(world.redis).start(
                store, group.id, [100], reason="", who="vera", until_ms=round(time.time() * 1000)
            )
        rules = replace(world.live.current.stores["other1"].rules)
        await RulesArchive(world.redis).keep("abc123", rules)
        await world.keep(replace(enriched(777), rules_version=rules.version))
        yield world


@pytest.mark.parametrize(
    ("path", "most"),
    [
        ("/", 6),
        ("/stores/abc123", 7),
        ("/orders", 4),
        ("/orders?store=abc123", 4),
        ("/orders?order=1000", 4),
        ("/orders?outcome=failed", 4),
        ("/orders?po=4711", 5),
        ("/orders/abc123/777", 4),
        ("/failures", 4),
        ("/failures?store=abc123", 4),
        ("/failures/abc123/GROUP", 4),
        ("/rules/abc123", 4),
        ("/buyers/abc123/101", 1),
        ("/static/htmx.min.js", 1),
    ],
)
async def test_a_page_needs_few_exchanges_with_redis(
    busy: ConsoleWorld, monkeypatch: pytest.MonkeyPatch, path: str, most: int
) -> None:
    groups = (await find_failures(busy.redis, "abc123", [])).groups
    async with busy.person(Role.ADMIN) as client:
        address = path.replace("GROUP", groups[0].id)
        first = await client.get(address)  # loads scripts, and makes the editor read orders
        with exchanges(monkeypatch) as sent:
            again = await client.get(address)
    assert (first.status_code, again.status_code) == (200, 200)
    assert len(sent) <= most, "\n".join(f"{each[:300]!r}" for each in sent)
