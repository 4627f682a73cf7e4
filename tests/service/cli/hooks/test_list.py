"""``enrich hooks list``."""

import asyncio
import csv
import io
import json
import re
from typing import Any

import pytest
from structlog.testing import capture_logs

from service.hooks import set_destination
from service.redis.client import connect
from service.sandbox.demo import DEMO_STORE_HASH
from tests.service.cli.hooks.conftest import CREATED, ERP, OURS, STATUS, HooksStack, rows

pytestmark = pytest.mark.integration


async def test_list_shows_the_state_of_each_webhook(stack: HooksStack) -> None:
    differ = await stack.hook(key="wrong-header-secret")
    inactive = await stack.hook(STATUS, is_active=False)
    both = await stack.hook("store/order/*", key=None, is_active=False)
    active = await stack.hook("store/product/updated")
    foreign = await stack.hook(destination="https://u:hush@erp.example.com/in?key=hush", key=None)
    off = await stack.hook(STATUS, destination=ERP, key=None, is_active=False)

    ran = await stack.enrich("list")
    assert (ran.code, ran.err) == (0, "")
    assert re.split(r"  +", ran.out.splitlines()[0].strip()) == [
        "STORE",
        "ID",
        "SCOPE",
        "DESTINATION",
        "UPDATED (UTC)",
        "STATE",
    ]
    shown = rows(ran)
    assert all(re.fullmatch(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d", row.pop(4)) for row in shown)
    assert shown == [
        ["sandbox", str(differ), CREATED, OURS, "headers differ"],
        ["sandbox", str(inactive), STATUS, OURS, "inactive"],
        ["sandbox", str(both), "store/order/*", OURS, "inactive, headers differ"],
        ["sandbox", str(active), "store/product/updated", OURS, "active"],
        ["sandbox", str(foreign), CREATED, ERP, "foreign"],
        ["sandbox", str(off), STATUS, ERP, "foreign, inactive"],
    ]


async def test_list_as_csv_is_for_spreadsheets(stack: HooksStack) -> None:
    hook_id = await stack.hook(is_active=False)
    missing, listed = csv.DictReader(io.StringIO((await stack.enrich("list", "--csv")).out, newline=""))
    assert (missing["id"], missing["state"]) == ("", "missing")
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", listed.pop("updated_at"))
    assert listed == {
        "store": "sandbox",
        "id": str(hook_id),
        "scope": CREATED,
        "destination": OURS,
        "is_active": "false",
        "optional": "false",
        "state": "inactive",
        "error": "",
    }


async def test_list_as_json_is_for_scripts(stack: HooksStack) -> None:
    hook_id = await stack.hook(is_active=False)
    missing, listed = json.loads((await stack.enrich("list", "--json")).out)
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", listed.pop("updated_at"))
    assert listed == {
        "store": "sandbox",
        "id": hook_id,
        "scope": CREATED,
        "destination": OURS,
        "is_active": False,
        "troubles": ["inactive"],
        "blocked_s": None,
        "optional": False,
    }
    assert (missing["id"], missing["scope"], missing["troubles"]) == (None, STATUS, ["missing"])


async def test_list_of_a_store_without_webhooks_says_what_is_missing(stack: HooksStack) -> None:
    assert rows(await stack.enrich("list")) == [["sandbox", CREATED, "missing"], ["sandbox", STATUS, "missing"]]


async def test_list_uses_the_destination_that_the_workers_know(
    stack: HooksStack, known_destination: object, redis_url: str
) -> None:
    proxy = "https://proxy.example.com/in"
    for destination in (OURS, proxy):
        await stack.hook(destination=destination)
        await stack.hook(STATUS, destination=destination)
    async with connect(redis_url) as redis:
        await set_destination(redis, DEMO_STORE_HASH, proxy)
    assert [row[-1] for row in rows(await stack.enrich("list"))] == ["foreign", "foreign", "active", "active"]


async def test_a_blocked_domain_is_listed_with_the_time_left(stack: HooksStack) -> None:
    closed = "https://127.0.0.1:1/webhooks/bigcommerce"
    await stack.hook(destination=closed)
    await stack.hook(STATUS, destination=closed)
    with capture_logs():  # the sandbox's, which would mix with the command's output
        await asyncio.gather(*(stack.sandbox.place_order() for _ in range(100)))
        await stack.until_blocked()

    shown = rows(await stack.enrich("list"))
    assert len(shown) == 2
    assert all(re.fullmatch(r"blocked (3 min 0 s|2 min \d\d? s) left", row[-1]) for row in shown)
    listed = json.loads((await stack.enrich("list", "--json")).out)
    assert all(hook["troubles"] == ["blocked"] and 0 < hook["blocked_s"] <= 180 for hook in listed)

    ran = await stack.enrich("repair")
    assert ran.code == 0
    assert re.search(
        r"^sandbox: BigCommerce sends nothing to 127\.0\.0\.1 for (3 min 0 s|2 min \d\d? s) more\. "
        r"Wait until the block ends\.$",
        ran.out,
        re.MULTILINE,
    )


async def test_one_stores_failure_does_not_hide_the_others(stack: HooksStack) -> None:
    stack.configure(other="wrong", sandbox="sandbox-access-token")
    await stack.hook()
    await stack.hook(STATUS)

    ran = await stack.enrich("list")
    assert (ran.code, ran.err) == (1, "")
    refused, *well = rows(ran)
    assert refused[0] == "other"
    assert re.fullmatch(
        r"Get Webhooks: 401: .*[^.]\. Run `enrich check` to see what is wrong with the token\.", refused[1]
    )
    assert [(row[0], row[-1]) for row in well] == [("sandbox", "active"), ("sandbox", "active")]

    ran = await stack.enrich("list", "--json")
    assert ran.code == 1
    refused, *well = json.loads(ran.out)
    assert (refused["store"], refused["error"][:18]) == ("other", "Get Webhooks: 401:")
    assert len(well) == 2
    assert (await stack.enrich("list", "--store", "sandbox")).code == 0


async def test_an_invalid_time_is_not_shown(stack: HooksStack, monkeypatch: pytest.MonkeyPatch) -> None:
    async def hooks(*_: object, **__: object) -> list[dict[str, Any]]:
        return [{"scope": "[red]x[/nothing]", "destination": OURS, "updated_at": 10**20}]

    monkeypatch.setattr("service.bigcommerce.clients.core_api.Core.hooks", hooks)
    ran = await stack.enrich("list")
    assert ran.code == 0
    assert "[red]x[/nothing]" in ran.out
    assert json.loads((await stack.enrich("list", "--json")).out)[-1]["updated_at"] is None
