"""Whether anything is written for a store."""

from pathlib import Path

from service.checks.findings import Finding, Level
from service.checks.stores_file import check_file
from service.checks.writes import check_pause
from service.orders.state.order_entry import Entry
from service.orders.state.per_store.pauses import Pauses
from service.orders.state.transitions import Transitions
from service.redis.client import connect

STORES = """
[stores.abc123]
access_token = "env:TOKEN"
client_secret = "env:SECRET"
po_number = "order.customer_message"
writes = "{writes}"
"""


def subjects(folder: Path, writes: str) -> list[tuple[Level, str]]:
    path = folder / "stores.toml"
    path.write_text(STORES.format(writes=writes))
    return [(finding.level, finding.subject) for finding in check_file(path, {"TOKEN": "t", "SECRET": "s"})[1]]


def test_writes_off_in_the_file_is_a_warning_also_offline(tmp_path: Path) -> None:
    assert subjects(tmp_path, "on") == [(Level.OK, "stores file")]
    assert subjects(tmp_path, "off") == [(Level.OK, "stores file"), (Level.WARNING, "writes")]


async def test_a_pause_is_a_warning_with_who_how_many_and_the_way_out(redis_url: str) -> None:
    async with connect(redis_url) as redis:
        assert await check_pause(redis, "abc123") == []
        await Pauses(redis).begin("abc123", "ana")
        await Transitions(redis).hold(Entry("abc123", 1), writes_off=False)
        found = await check_pause(redis, "abc123")

    message = "paused by ana: nothing is written for this store. 1 order held."
    assert found == [Finding(Level.WARNING, "abc123", "pause", message, "`enrich stores resume abc123` ends that.")]


async def test_without_redis_there_is_no_finding() -> None:
    assert await check_pause(None, "abc123") == []
    async with connect("redis://127.0.0.1:1/0") as redis:
        assert await check_pause(redis, "abc123") == []
