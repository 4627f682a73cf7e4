"""Values by hand and the pause of a store, with real processes: commands, receiver, worker, Redis, HTTP."""

import asyncio
import json
import os
from pathlib import Path
from typing import Any

import pytest

from service.orders.state.order_entry import Status
from tests.fakes.cli import COMMAND
from tests.fakes.deployment import RULES, Deployment, deployed

pytestmark = pytest.mark.integration


async def enrich(deployment: Deployment, *words: str) -> tuple[int | None, str, str]:
    environ = {**os.environ, **deployment.environ}
    environ.pop("ENRICH_LOG_LEVEL", None)
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(*COMMAND, *words, stdout=pipe, stderr=pipe, env=environ)
    out, errors = await process.communicate()
    return process.returncode, out.decode(), errors.decode()


async def actions(deployment: Deployment, count: int) -> list[dict[str, Any]]:
    """What the worker has logged of people's actions, once there are so many."""
    async with asyncio.timeout(20):
        while True:
            if len(logged := deployment.workers[0].events("action")) >= count:
                return logged
            await asyncio.sleep(0.05)


async def test_a_paused_store_is_not_written_and_a_value_by_hand_is_on_the_record_after_the_resume(
    tmp_path: Path,
) -> None:
    async with deployed(tmp_path) as deployment:
        await enrich(deployment, "stores", "pause")
        order_id = await deployment.place(1, record_after=0)
        await deployment.wait_until_waiting(order_id)
        held = await deployment.ledger.get("sandbox", order_id)
        before = (await deployment.sandbox.order(order_id))["writes"]
        code, out, errors = await enrich(deployment, "orders", "set", str(order_id), "--po", "4711-D")
        await deployment.wait_until_waiting(order_id)
        _, resumed, _ = await enrich(deployment, "stores", "resume")
        entries = await deployment.wait_until_finished([order_id])
        record = (await deployment.sandbox.order(order_id))["record"]
        _, shown, _ = await enrich(deployment, "orders", "show", str(order_id), "--json")
        logged = await actions(deployment, 3)

    assert held is not None
    assert (held.status, held.reason, held.po_number) == (Status.WAITING, "writes_off", "PO-1")
    assert before == []
    assert (code, "values are set" in out) == (0, True)
    assert "is paused since" in errors
    assert resumed == "Store sandbox is resumed; 1 orders go on.\n"
    entry = entries[order_id]
    assert (entry.status in (Status.CREATED, Status.UPDATED), entry.verified) == (True, True)
    assert (record["po_number"], record["extra_fields"]["Account No"]) == ("4711-D", "ERP-10001")
    order = json.loads(shown)
    assert {name: value["text"] for name, value in order["by_hand"].items()} == {"po_number": "4711-D"}
    assert [(action["action"], action["detail"]) for action in order["actions"]] == [("orders set", "po_number")]
    assert [(line["action"], line["orders"]) for line in logged] == [
        ("stores pause", []),
        ("orders set", [order_id]),
        ("stores resume", []),
    ]
    assert {line["who"] for line in logged} == {order["actions"][0]["who"]}


@pytest.mark.chaos
async def test_a_store_with_writes_off_goes_live_when_the_file_is_changed(tmp_path: Path) -> None:
    rules = RULES.replace("incomplete_orders =", 'writes = "off"\nincomplete_orders =')
    async with deployed(tmp_path, rules=rules) as deployment:
        order_id = await deployment.place(1)
        await deployment.wait_until_waiting(order_id)
        before = (await deployment.sandbox.order(order_id))["writes"]
        path = tmp_path / "stores.toml"
        path.write_text(path.read_text().replace('writes = "off"\n', ""))
        entries = await deployment.wait_until_finished([order_id])
        await deployment.assert_enriched({order_id: 1})

    assert before == []
    assert entries[order_id].verified is True
