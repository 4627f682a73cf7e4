"""``enrich orders set`` against a real Redis; with a sandbox where field settings are read."""

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from service.audit import system_user
from service.orders.state.order_entry import Entry, Status
from tests.fakes.cli import CommandResult, Enrich, Keep
from tests.fakes.orders import enriched, entries, failed, put_into_recovery, worker_thread
from tests.fakes.sandbox import running_sandbox
from tests.fakes.stores_file import SANDBOX_STORES

pytestmark = pytest.mark.integration

NO_WORKER = "No worker is running. The orders wait until you start `enrich worker` or `enrich up`.\n"


def by_hand(redis_url: str, order_id: int = 251) -> dict[str, str]:
    (entry,) = entries(redis_url, [order_id])
    return entry.values_by_hand


def test_a_failed_order_is_queued_with_the_value_and_who_set_it_is_shown(
    enrich: Enrich, keep: Keep, redis_url: str
) -> None:
    keep(failed(251))
    ran = enrich("orders", "set", "251", "--po", " 4711-D ")

    assert ran == CommandResult(0, "order 251 of abc123: values are set; it is queued.\n", NO_WORKER)
    (entry,) = entries(redis_url, [251])
    assert (entry.status, entry.reason, entry.source, entry.start_over) == (Status.QUEUED, None, "by_hand", True)
    assert entry.values_by_hand == {"po_number": "4711-D"}
    shown = enrich("orders", "show", "251").out
    assert f"4711-D (by {system_user()}, 20" in " ".join(shown.split())
    order = json.loads(enrich("orders", "show", "251", "--json").out)
    assert order["by_hand"]["po_number"]["who"] == system_user()
    assert [(each["action"], each["detail"]) for each in order["actions"]] == [("orders set", "po_number")]


def test_an_order_in_progress_takes_the_value_up_by_itself(enrich: Enrich, keep: Keep, redis_url: str) -> None:
    keep()
    put_into_recovery(redis_url, Entry("abc123", 250))
    ran = enrich("orders", "set", "250", "--po", "A")

    assert ran.out == (
        "order 250 of abc123: values are set; it is in progress, and takes this up before it finishes.\n"
    )
    assert by_hand(redis_url, 250) == {"po_number": "A"}


def test_wait_shows_the_result(enrich: Enrich, keep: Keep, redis_url: str) -> None:
    keep(failed(251))

    def succeed(entry: Entry) -> None:
        entry.status, entry.verified, entry.po_number = Status.UPDATED, True, entry.values_by_hand["po_number"]

    with worker_thread(redis_url, succeed):
        ran = enrich("orders", "set", "251", "--po", "4711-D", "--wait")
        as_json = json.loads(enrich("orders", "set", "251", "--po", "4711-E", "--wait", "--json").out)

    assert (ran.code, ran.err) == (0, "")
    assert "updated  yes       4711-D" in ran.out
    assert [(item["result"], item["order"]["outcome"], item["order"]["po_number"]) for item in as_json] == [
        ("queued", "updated", "4711-E")
    ]


def test_clear_lets_the_rules_decide_again(enrich: Enrich, keep: Keep, redis_url: str) -> None:
    keep(enriched(250))
    enrich("orders", "set", "250", "--po", "A")
    assert by_hand(redis_url, 250) == {"po_number": "A"}
    ran = enrich("orders", "set", "250", "--clear")

    assert ran.out.startswith("order 250 of abc123: values by hand are cleared; ")
    assert by_hand(redis_url, 250) == {}
    again = enrich("orders", "set", "250", "--clear")
    assert (again.code, again.err) == (2, "order 250: has no values set by hand: there is nothing to clear.\n")


@pytest.mark.parametrize(
    ("words", "lines"),
    [
        ([], ["orders set: has nothing to set. Give --po, --field, or --clear."]),
        (["--clear", "--po", "A"], ["--clear: cannot be combined with --po, --field or --replace. Use it alone."]),
        (["--clear", "--replace"], ["--clear: cannot be combined with --po, --field or --replace. Use it alone."]),
        (
            ["--field", "F", "--field", "=x", "--field", "G=1", "--field", "G =2", "--field", "po_number=3"],
            [
                '--field "F": has no name and text. Write NAME=TEXT in quotes, such as --field "Cost Center=CC-1".',
                '--field "=x": has no name and text. Write NAME=TEXT in quotes, such as --field "Cost Center=CC-1".',
                '--field "G": is given twice. Give it once.',
                "--field po_number: is not an extra field. Use --po for the PO number.",
            ],
        ),
        (
            ["--po", "  "],
            ["--po: the text is empty. Write the value, or use --clear alone to let the rules decide again."],
        ),
    ],
)
def test_mistakes_are_named_all_at_once_and_nothing_is_done(
    enrich: Enrich, keep: Keep, redis_url: str, words: list[str], lines: list[str]
) -> None:
    keep(failed(251))
    ran = enrich("orders", "set", "251", *words)

    assert (ran.code, ran.out, ran.err.splitlines()) == (2, "", lines)
    (entry,) = entries(redis_url, [251])
    assert (entry.status, entry.by_hand) == (Status.FAILED, None)


def test_an_unknown_order_is_told_with_the_way(enrich: Enrich, keep: Keep) -> None:
    keep()
    ran = enrich("orders", "set", "999", "--po", "A")

    assert (ran.code, ran.out) == (2, "")
    assert ran.err == (
        "order 999: is unknown in store abc123: the service has not seen it, or has forgotten it since. "
        "Run `enrich backfill --store abc123 --since` with the order's date first, then this again.\n"
    )


async def test_fields_are_checked_against_the_settings_of_the_store(
    enrich: Enrich, keep: Keep, folder: Path, redis_url: str
) -> None:
    """Also where no rule writes an extra field."""

    async def run(*words: str) -> CommandResult:
        return await asyncio.to_thread(enrich, "orders", "set", "251", *words)

    await asyncio.to_thread(keep, failed(251, store="sandbox"))
    async with running_sandbox() as sandbox:
        (folder / "stores.toml").write_text(SANDBOX_STORES.format(url=sandbox.url))
        wrong = await run("--field", "Cost Centre=x", "--field", "Cost Center=CC-1")
        right = await run("--field", "Cost Center=CC-1")
        await sandbox.faults(error_rate=1.0)
        cached = await run("--field", "Cost Center=CC-2")

    assert (wrong.code, wrong.out) == (2, "")
    assert wrong.err == (
        '--field "Cost Centre": the store has no extra field of this name. Did you mean "Cost Center"?\n'
    )
    assert (right.code, cached.code) == (0, 0)
    found: list[Any] = await asyncio.to_thread(entries, redis_url, [251], "sandbox")
    assert found[0].values_by_hand == {"Cost Center": "CC-2"}
