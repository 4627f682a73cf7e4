"""``enrich orders assign`` and ``retry`` with real workers: what they queue is enriched."""

import asyncio
import json
from pathlib import Path

import pytest

from service.orders.state.order_entry import Status
from service.sandbox.demo import DEMO_STORE
from tests.fakes.cli import COMMAND
from tests.fakes.deployment import RULES, Deployment, deployed

pytestmark = pytest.mark.integration

BUYER = 300


async def enrich(deployment: Deployment, *words: str) -> tuple[int | None, str, str]:
    environ = {name: value for name, value in deployment.environ.items() if name != "ENRICH_LOG_LEVEL"}
    process = await asyncio.create_subprocess_exec(
        *COMMAND,
        *words,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env=environ,
    )
    out, errors = await process.communicate()
    return process.returncode, out.decode(), errors.decode()


async def join(deployment: Deployment) -> None:
    """The buyer becomes a user of Ada's Company."""
    store = DEMO_STORE.model_dump(mode="json", by_alias=True)
    await deployment.sandbox.put_store(
        **{**store, "users": [*store["users"], {"customer_id": BUYER, "company_id": 5001}]}
    )


@pytest.mark.chaos
async def test_a_buyer_who_joins_a_company_has_all_orders_enriched(tmp_path: Path) -> None:
    async with deployed(tmp_path) as deployment:
        old = await deployment.place(1, customer_id=BUYER, age=86_400.0)
        recent = await deployment.place(2, customer_id=BUYER, record_after=0)
        skipped = (await deployment.wait_until_finished([recent]))[recent]
        await join(deployment)
        code, out, errors = await enrich(
            deployment, "orders", "assign", "--customer", str(BUYER), "--yes", "--wait", "--timeout", "60", "--json"
        )
        answer = json.loads(out)
        entries = await deployment.wait_until_finished([old, recent])
        await deployment.assert_enriched({old: 1, recent: 2})
        # No cached answer about the buyer affects the next order.
        fresh = await deployment.place(3, customer_id=BUYER)
        created = (await deployment.wait_until_finished([fresh]))[fresh]

    assert (skipped.status, skipped.reason) == (Status.SKIPPED, "not_a_company_user")
    assert (code, errors) == (0, "")
    assert (answer["moved"], answer["company_id"], answer["left_alone"]) == (2, 5001, {})
    assert [(item["order_id"], item["order"]["outcome"]) for item in answer["orders"]] == [
        (old, "updated"),
        (recent, "updated"),
    ]
    assert {(entry.status, entry.verified, entry.source) for entry in entries.values()} == {
        (Status.UPDATED, True, "assign")
    }
    assert created.status is Status.CREATED


@pytest.mark.parametrize(
    ("follow", "words", "expected"),
    [
        ("24h", ["{order_id}"], (Status.WAITING, "value", "Account No")),
        pytest.param("0s", ["--reason", "account no"], (Status.FAILED, "Account No", None), marks=pytest.mark.chaos),
    ],
)
async def test_an_order_without_a_required_value_is_enriched_after_the_cause_was_fixed(
    tmp_path: Path, follow: str, words: list[str], expected: tuple[Status, str, str | None]
) -> None:
    rules = RULES.replace("incomplete_orders =", f'follow = "{follow}"\nincomplete_orders =')
    async with deployed(tmp_path, rules=rules) as deployment:
        store = DEMO_STORE.model_dump(mode="json", by_alias=True)
        bare = [{**company, "extra_fields": {}} for company in store["companies"]]
        await deployment.sandbox.put_store(**{**store, "companies": bare})
        order_id = await deployment.place(1, record_after=0)
        if expected[0] is Status.FAILED:
            await deployment.wait_until_finished([order_id])
        else:
            await deployment.wait_until_waiting(order_id)
        before = await deployment.ledger.get(deployment.stores[0], order_id)
        await deployment.sandbox.put_store(**store)
        code, out, errors = await enrich(
            deployment,
            "orders",
            "retry",
            *(word.format(order_id=order_id) for word in words),
            "--wait",
            "--timeout",
            "60",
            "--json",
        )
        await deployment.assert_enriched({order_id: 1})

    assert before is not None
    assert (before.status, before.reason, before.rule) == expected
    assert (code, errors) == (0, "")
    assert [item["order"]["outcome"] for item in json.loads(out)] == ["updated"]
