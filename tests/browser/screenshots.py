"""``make screenshots``: pictures of the console for the docs, of a store with the orders of a day."""

import asyncio
import base64
import random
import sys
import tempfile
import time
from dataclasses import replace
from functools import partial
from pathlib import Path

from playwright.async_api import Page, async_playwright

from service.configuration import load_configuration
from service.hooks import set_destination
from service.orders.state.order_entry import Entry, Sent, Stage, Status
from service.orders.state.per_store.rules_archive import RulesArchive
from service.orders.state.queue import Queue
from service.orders.state.transitions import Transitions
from service.orders.statistics.counting import count_finished
from service.redis.client import connect
from service.rules.rule_evaluation import RuleSet
from service.sandbox.demo import DEMO_STORE
from tests.fakes.processes.threaded_sandbox import ServedSandbox, served_sandbox
from tests.fakes.running_console import CHROMIUM_ARGUMENTS, RunningConsole, find_chromium, running_console

FOLDER = Path(__file__).parents[2] / "deploy" / "docs" / "images"
WIDTH, HEIGHT = 1200, 760

STORES = r"""
[bigcommerce]
api_url = "{url}"
b2b_api_url = "{url}"
[stores.k8fjq2]
name = "Great Buys"
access_token = "sandbox-access-token"
client_secret = "secret"
[stores.k8fjq2.po_number]
from = ["order.billing_address.form_fields[?name=='PO Number'].value | [0]", "order.customer_message"]
match = 'PO[\s#:-]*([A-Z0-9-]+)'
[stores.k8fjq2.extra_fields]
"Cost Center" = { from = "metafields.checkout.cost_center", required = true }
"Ship Window" = { from = "order.customer_message", match = 'ship:(\S+)' }
"Source" = { value = "web" }

[stores.m2x9dd]
name = "Nordic Office Supplies"
access_token = "token"
client_secret = "secret"
po_number = "metafields.checkout.po_number"

[stores.p4vz71]
name = "Harbor Tools"
access_token = "token"
client_secret = "secret"
po_number = "order.staff_notes"
"""

# The stages up to the answer, in seconds since the order: a usual order, a little different each time.
_USUAL = (0.0, 0.4, 0.9, 0.92, 0.95, 1.2, 1.6, 2.1, 2.9)


def an_order(store: str, order_id: int, placed_at: float, rules: RuleSet, chance: random.Random) -> Entry:
    """An order that went well, mostly."""
    slower = 1 + chance.expovariate(2.5)
    times = {stage: placed_at + age * slower for stage, age in zip(Stage, _USUAL, strict=True)}
    po_number = f"PO-{chance.randrange(40_000, 49_999)}"
    fields = {"Cost Center": f"CC-{chance.randrange(100, 180)}", "Ship Window": f"2026-W{chance.randrange(40, 52)}"}
    entry = Entry(
        store,
        order_id,
        status=Status.CREATED,
        verified=True,
        po_number=po_number,
        fields={**fields, "Source": "web"},
        sent=Sent("create", po_number, {**fields, "Source": "web"}, answered=True),
        given={
            "po_number": (po_number, 0),
            **{name: (value, 0) for name, value in fields.items()},
            "Source": ("web", 0),
        },
        rules_version=rules.version,
        times=times,
        announced_at=times[Stage.WEBHOOK_SENT],
        create_age=_USUAL[6] * slower,
        attempts=1,
        upstream_calls=6,
        customer_id=chance.randrange(100, 160),
        source="webhook",
    )
    match chance.random():
        case luck if luck < 0.04:
            entry = replace(entry, status=Status.UPDATED, create_age=None)
            assert entry.sent
            entry.sent = replace(entry.sent, by="update")
        case luck if luck < 0.08:
            entry = Entry(store, order_id, status=Status.SKIPPED, reason="guest", times={Stage.CREATED: placed_at})
    return entry


def a_failed_order(store: str, order_id: int, placed_at: float, rules: RuleSet) -> Entry:
    """An order without a cost center, which its rule requires."""
    times = {stage: placed_at + age for stage, age in list(zip(Stage, _USUAL, strict=True))[:6]}
    return Entry(
        store,
        order_id,
        status=Status.FAILED,
        reason="Cost Center",
        given={"po_number": ("PO-41877", 0), "Source": ("web", 0)},
        rules_version=rules.version,
        times=times,
        attempts=3,
        upstream_calls=9,
        customer_id=118,
        source="webhook",
    )


def other_failed_orders(store: str, order_id: int) -> list[Entry]:
    """Orders of a store that have failed for other reasons."""
    taken = "Create an Order: 422: The Cost Center field does not take this value."
    reasons = [taken] * 4 + ["order_not_found"]
    return [
        Entry(store, order_id + each, status=Status.FAILED, reason=reason, times={Stage.CREATED: time.time() - 7200})
        for each, reason in enumerate(reasons)
    ]


async def stock(console: RunningConsole, stores_file: Path) -> None:
    """Put the orders of a day into the ledger."""
    chance, now = random.Random(7), time.time()
    async with connect(console.redis_url) as redis:
        for number, (store, configured) in enumerate(load_configuration(stores_file).stores.items()):
            await RulesArchive(redis).keep(store, configured.rules)
            await set_destination(redis, store, "https://enrich.example.com/webhooks/bigcommerce")
            orders = [
                an_order(store, 20_000 + 1000 * number + each, now - 86_000 + each * 800, configured.rules, chance)
                for each in range(105 - 40 * number)
            ]
            if number == 0:
                orders += [
                    a_failed_order(store, 20_400 + each, now - 1800 + each, configured.rules) for each in range(3)
                ]
            if number == 1:
                orders += other_failed_orders(store, 21_400)
            for order in orders:
                ended_at = max(order.times.values()) + 1
                counters = count_finished(order, merges=False, now=ended_at)
                await Transitions(redis, clock=partial(float, ended_at)).finish(order, counters=counters)


async def have_a_worker(console: RunningConsole) -> None:
    """Let the console think that a worker is alive, for ten seconds."""
    async with connect(console.redis_url) as redis:
        await Queue(redis).heartbeat("here:1", 0)


def place_orders(sandbox: ServedSandbox) -> None:
    """Place the orders that the rules editor shows: some buyers write the PO number into the comment."""
    sandbox.run(sandbox.sandbox.put_store("k8fjq2", **DEMO_STORE.model_dump(mode="json", by_alias=True)))
    for number, comment in enumerate(
        ("PO 41877, gate 4", "", "thanks!", "PO#40121 ship:W49", "", "PO-40133"), start=20_001
    ):
        fields = {"name": "PO Number", "value": f"PO-{number * 2}" if number % 2 else ""}
        order = {
            "customer_id": 101,
            "customer_message": comment,
            "staff_notes": f"PO {number + 27_300} by phone" if number % 2 == 0 else "",
            "billing_address": {"form_fields": [fields]},
            "metafields": {"checkout": {"cost_center": f"CC-{number - 19_800}"}},
        }
        sandbox.run(sandbox.sandbox.place_order("k8fjq2", **order))


async def edit_rules(page: Page, console: RunningConsole) -> None:
    """Open the rules editor, and add a source that two orders have."""
    await page.goto(console.url + "/rules/k8fjq2")
    sources = page.get_by_label("from:").first
    await page.locator("#comparison tbody tr").first.wait_for()
    await sources.fill(f"{await sources.input_value()}\norder.staff_notes")
    await page.locator("#comparison table ins").first.wait_for()


async def take(page: Page, name: str) -> None:
    """Take the picture of the page, as WebP: what a window shows of it."""
    devtools = await page.context.new_cdp_session(page)
    taken = await devtools.send("Page.captureScreenshot", {"format": "webp", "quality": 80})
    file = FOLDER / f"{name}.webp"
    file.write_bytes(base64.b64decode(taken["data"]))
    print(f"{FOLDER.name}/{file.name}: {file.stat().st_size // 1024} KB")  # noqa: T201


async def main() -> None:
    """Take all pictures."""
    program = find_chromium()
    if program is None:
        sys.exit("Chromium was not found. Install it, or set CHROMIUM to its path.")
    FOLDER.mkdir(exist_ok=True)
    with (
        served_sandbox() as sandbox,
        tempfile.TemporaryDirectory() as folder,
        running_console(Path(folder), STORES.replace("{url}", sandbox.url)) as console,
    ):
        place_orders(sandbox)
        await stock(console, Path(folder) / "stores.toml")
        async with async_playwright() as playwright:
            browser = await playwright.chromium.launch(executable_path=program, args=CHROMIUM_ARGUMENTS)
            page = await browser.new_page(viewport={"width": WIDTH, "height": HEIGHT}, color_scheme="light")
            await page.goto(await console.link(who="ana"))
            await page.get_by_role("button", name="Sign in").click()
            for name, path in {
                "overview": "/",
                "store": "/stores/k8fjq2",
                "orders": "/orders",
                "order": "/orders/k8fjq2/20030",
                "failures": "/failures",
                "failed-order": "/orders/k8fjq2/20400",
            }.items():
                await have_a_worker(console)
                await page.goto(console.url + path)
                await take(page, name)
            await edit_rules(page, console)
            await page.set_viewport_size({"width": 1440, "height": 900})
            await take(page, "rules")
            await browser.close()


if __name__ == "__main__":
    asyncio.run(main())
