"""``enrich stores`` against a real Redis."""

import asyncio
import json
from collections import Counter
from pathlib import Path

import pytest

from service.audit import system_user
from service.cli.orders import companies
from service.orders.state.order_entry import Entry, Status
from service.orders.state.per_store.pauses import Pauses
from service.orders.state.transitions import Transitions
from service.redis.client import connect
from tests.fakes.cli import CommandResult, Enrich, Keep
from tests.fakes.orders import entries, failed, with_stores

pytestmark = pytest.mark.integration


def hold(redis_url: str, *order_ids: int) -> None:
    async def run() -> None:
        async with connect(redis_url) as redis:
            for order_id in order_ids:
                await Transitions(redis).hold(Entry("abc123", order_id, po_number="PO1"), writes_off=False)

    asyncio.run(run())


def is_paused(redis_url: str) -> bool:
    async def run() -> bool:
        async with connect(redis_url) as redis:
            return await Pauses(redis).read("abc123") is not None

    return asyncio.run(run())


def test_a_pause_begins_at_once_and_is_told_by_list_and_by_a_second_pause(
    enrich: Enrich, keep: Keep, folder: Path, redis_url: str
) -> None:
    with_stores(folder, "abc123", "other")
    keep(failed(251))
    ran = enrich("stores", "pause", "abc123")
    assert (ran.code, ran.err) == (0, "")
    assert ran.out.startswith("Store abc123 is paused: nothing is written.")
    assert is_paused(redis_url)
    hold(redis_url, 250)

    listed = enrich("orders", "list", "--status", "waiting")
    assert "writes_off" in listed.out
    assert "PO1" in listed.out
    assert listed.err == "Orders with the reason writes_off are held. `enrich stores list` says why.\n"

    again = enrich("stores", "pause", "abc123")
    assert again.out.startswith("Store abc123 was paused already: paused since 20")
    assert again.out.endswith(f" UTC by {system_user()}.\n")
    rows = json.loads(enrich("stores", "list", "--json").out)
    assert [(row["store"], row["writes"], row["paused_by"], row["held"], row["failed"]) for row in rows] == [
        ("abc123", "paused", system_user(), 1, 1),
        ("other", "on", None, 0, 0),
    ]
    table = enrich("stores", "list").out.splitlines()
    assert [line.split() for line in table[:3]] == [
        ["STORE", "NAME", "WRITES", "HELD", "WAITING", "PARKED", "FAILED"],
        ["abc123", "paused", "1", "0", "0", "1"],
        ["other", "on", "0", "0", "0", "0"],
    ]
    assert table[3].startswith("abc123 is paused since 20")


def test_a_resume_lets_the_orders_go_on(enrich: Enrich, keep: Keep, redis_url: str) -> None:
    keep()
    enrich("stores", "pause")
    hold(redis_url, 250, 251)
    assert {entry.status for entry in entries(redis_url, [250, 251])} == {Status.WAITING}

    assert enrich("stores", "resume") == CommandResult(0, "Store abc123 is resumed; 2 orders go on.\n", "")
    assert {entry.status for entry in entries(redis_url, [250, 251])} == {Status.QUEUED}
    assert not is_paused(redis_url)
    assert enrich("stores", "resume").out == "Store abc123 was not paused; 0 orders go on.\n"


def test_a_resume_says_when_the_stores_file_forbids_writing(
    enrich: Enrich, keep: Keep, folder: Path, redis_url: str
) -> None:
    keep()
    path = folder / "stores.toml"
    path.write_text(path.read_text().replace("client_secret", 'writes = "off"\nclient_secret'))
    enrich("stores", "pause")
    hold(redis_url, 250)
    ran = enrich("stores", "resume")

    assert ran.out == "Store abc123 is resumed; 0 orders go on.\n"
    assert 'writes = "off" for abc123' in ran.err
    assert [row["writes"] for row in json.loads(enrich("stores", "list", "--json").out)] == ["off"]


def test_an_unknown_store_is_named_with_the_near_one(enrich: Enrich, keep: Keep) -> None:
    keep()
    ran = enrich("stores", "pause", "abc124")

    assert (ran.code, ran.out) == (2, "")
    assert ran.err == "--store abc124: is not in the stores file. Did you mean abc123?\n"


@pytest.mark.parametrize("words", [["orders", "assign", "--customer", "7", "--yes"], ["rehearse", "--yes"]])
def test_commands_that_write_orders_refuse_while_the_store_is_paused(
    enrich: Enrich, keep: Keep, words: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    keep()
    enrich("stores", "pause")

    async def plan(*_: object) -> object:
        return companies.Plan(companies.Move(7), "abc123", 12, [], Counter())

    monkeypatch.setattr(companies, "_plan", plan)
    ran = enrich(*words)

    assert (ran.code, ran.out) == (2, "")
    assert ran.err.startswith("store abc123: is paused since 20")
    assert "`enrich stores resume abc123`" in ran.err
