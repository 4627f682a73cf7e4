"""``enrich orders assign`` and ``reassign`` against a sandbox and a real Redis."""

import asyncio
import io
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from arq import ArqRedis

from service.bigcommerce.clients.core_api import Core
from service.cli.orders import companies
from service.orders.document.cache import Cache
from service.orders.state.ledger import Ledger
from service.orders.state.order_entry import Entry, Status
from service.orders.state.transitions import Transitions
from service.redis.client import connect
from tests.fakes.cli import CommandResult, Enrich
from tests.fakes.orders import worker_thread
from tests.fakes.sandbox import RunningSandbox, running_sandbox
from tests.fakes.stores_file import SANDBOX_STORES

pytestmark = pytest.mark.integration

BUYER = 300
"""Has placed orders, and then joined Company 5001."""
YESTERDAY = 86_400.0


USERS = [{"customer_id": BUYER, "company_id": 5001}, {"customer_id": 101, "company_id": 5002}]
COMPANIES = [
    {"id": 5001, "name": "Great Buys", "customer_group_id": 21},
    {"id": 5002, "name": "Northwind", "customer_group_id": 22},
]


class CompaniesStack:
    """A sandbox, a Redis, and the command."""

    def __init__(self, sandbox: RunningSandbox, redis: ArqRedis, redis_url: str, enrich: Enrich) -> None:
        self.sandbox, self.redis, self.redis_url, self._enrich = sandbox, redis, redis_url, enrich

    async def enrich(self, *words: str) -> CommandResult:
        return await asyncio.to_thread(self._enrich, "orders", *words)

    async def place(self, customer_id: int = BUYER) -> int:
        order = await self.sandbox.place_order(customer_id=customer_id, age=YESTERDAY)
        order_id: int = order["id"]
        return order_id

    async def finish(self, order_id: int, status: Status, reason: str | None = None) -> None:
        """Save the order in the ledger as finished."""
        await Transitions(self.redis).finish(
            Entry("sandbox", order_id, status=status, reason=reason, customer_id=BUYER)
        )

    async def join(self) -> None:
        """The buyer joins the Company."""
        await self.sandbox.put_store(companies=COMPANIES, users=USERS)

    async def company_of(self, order_id: int) -> int | None:
        page = await self.sandbox.api.get("/api/v3/io/orders", params={"bcOrderId": order_id})
        company_id: int | None = page.json()["data"][0]["companyId"]
        return company_id

    async def statuses(self, *order_ids: int) -> dict[int, Status]:
        return await Ledger(self.redis).statuses("sandbox", order_ids)

    async def sources(self, *order_ids: int) -> set[str | None]:
        return {entry.source for entry in await Ledger(self.redis).get_many("sandbox", order_ids)}


@pytest.fixture
async def stack(
    enrich: Enrich, folder: Path, redis_url: str, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[CompaniesStack]:
    monkeypatch.setenv("REDIS_URL", redis_url)
    async with running_sandbox() as sandbox, connect(redis_url) as redis:
        (folder / "stores.toml").write_text(SANDBOX_STORES.format(url=sandbox.url))
        yield CompaniesStack(sandbox, redis, redis_url, enrich)


def answered(ran: CommandResult) -> dict[str, Any]:
    answer: dict[str, Any] = json.loads(ran.out)
    return answer


async def test_orders_from_before_the_company_are_moved_and_those_not_enriched_are_queued(
    stack: CompaniesStack,
) -> None:
    unknown, skipped, failed, good, guest_like = [await stack.place() for _ in range(5)]
    await stack.place(customer_id=101)
    await stack.finish(skipped, Status.SKIPPED, "not_a_company_user")
    await stack.finish(failed, Status.FAILED, "B2B Edition has no record of this order")
    await stack.finish(good, Status.UPDATED)
    await stack.finish(guest_like, Status.SKIPPED, "no_values")
    await stack.join()
    ran = await stack.enrich("assign", "--customer", "300", "--yes")

    assert ran.code == 0
    assert ran.out.splitlines() == [
        "B2B Edition moved 5 orders of customer 300.",
        *(f"order {order_id} of sandbox: queued" for order_id in (unknown, skipped, failed)),
        "Not changed: 1 skipped, 1 updated.",
    ]
    assert [await stack.company_of(order_id) for order_id in (unknown, good)] == [5001, 5001]
    assert await stack.sources(unknown, skipped, failed) == {"assign"}
    assert await stack.statuses(good, guest_like) == {good: Status.UPDATED, guest_like: Status.SKIPPED}


async def test_the_cached_answer_that_the_buyer_has_no_company_is_deleted(stack: CompaniesStack) -> None:
    cache = Cache(stack.redis, "sandbox")
    await cache.remember_no_company_user(BUYER)
    await cache.remember_no_company_user(199)
    await stack.join()
    assert (await stack.enrich("assign", "--customer", "300", "--yes")).code == 0

    assert not await cache.is_no_company_user(BUYER)
    assert await cache.is_no_company_user(199)


async def test_a_second_run_moves_nothing_and_queues_orders_that_are_not_enriched(stack: CompaniesStack) -> None:
    order_id = await stack.place()
    await stack.join()
    await stack.sandbox.api.put(f"/api/v3/io/customers/{BUYER}/orders/b2b")
    answer = answered(await stack.enrich("assign", "--customer", "300", "--yes", "--json"))

    assert (answer["moved"], [item["order_id"] for item in answer["orders"]]) == (0, [order_id])
    again = answered(await stack.enrich("assign", "--customer", "300", "--yes", "--json"))
    assert (again["orders"], again["left_alone"]) == ([], {"queued": 1})


async def test_a_dry_run_changes_nothing(stack: CompaniesStack) -> None:
    known, unknown = await stack.place(), await stack.place()
    await stack.finish(known, Status.SKIPPED, "not_a_company_user")
    await stack.join()
    ran = await stack.enrich("assign", "--customer", "300", "--dry-run", "--wait")

    assert ran == CommandResult(
        0,
        "Dry run: Move orders of customer 300 of store sandbox to Company 5001, and enrich 2 of their 2 orders.\n"
        f"order {known} of sandbox: would be queued; its status is skipped (not_a_company_user)\n"
        f"order {unknown} of sandbox: would be queued; its status is unknown\n",
        "",
    )
    assert await stack.company_of(known) is None
    assert await stack.statuses(known, unknown) == {known: Status.SKIPPED}
    answer = answered(await stack.enrich("assign", "--customer", "300", "--dry-run", "--json"))
    assert (answer["moved"], {item["result"] for item in answer["orders"]}) == (None, {"dry_run"})


@pytest.mark.parametrize("is_inclusive", [True, False])
async def test_the_orders_of_a_buyer_are_found_on_all_pages_whether_min_id_is_inclusive_or_not(
    stack: CompaniesStack, monkeypatch: pytest.MonkeyPatch, is_inclusive: bool
) -> None:
    list_orders, queries = Core.orders, []

    async def in_small_pages(self: Core, **query: Any) -> list[dict[str, Any]]:
        queries.append(query)
        page = await list_orders(self, **query)
        return [order for order in page if is_inclusive or order["id"] != query["min_id"]][:3]

    monkeypatch.setattr(companies, "PER_PAGE", 3)
    monkeypatch.setattr(Core, "orders", in_small_pages)
    order_ids = [await stack.place() for _ in range(5)]
    await stack.join()
    answer = answered(await stack.enrich("assign", "--customer", "300", "--dry-run", "--json"))

    assert [item["order_id"] for item in answer["orders"]] == order_ids
    assert [query["min_id"] for query in queries][:2] == [None, order_ids[2]]


async def test_wait_reports_the_outcomes(stack: CompaniesStack) -> None:
    first, second = await stack.place(), await stack.place()
    await stack.join()

    def attempt(entry: Entry) -> None:
        entry.status = Status.UPDATED if entry.order_id == first else Status.FAILED

    with worker_thread(stack.redis_url, attempt, "sandbox"):
        ran = await stack.enrich("assign", "--customer", "300", "--yes", "--wait", "--json")

    assert (ran.code, ran.err) == (1, "")
    outcomes = {item["order_id"]: item["order"]["outcome"] for item in answered(ran)["orders"]}
    assert outcomes == {first: "updated", second: "failed"}


async def test_orders_are_reassigned_to_the_company_of_a_group_and_finished_ones_are_not_requeued(
    stack: CompaniesStack,
) -> None:
    good, failed = await stack.place(), await stack.place()
    await stack.finish(good, Status.CREATED)
    await stack.finish(failed, Status.FAILED, "Cost Center")
    await stack.join()
    ran = await stack.enrich("reassign", "--customer", "300", "--group", "22", "--yes")

    assert ran.code == 0
    assert ran.out.splitlines() == [
        "B2B Edition moved 2 orders of customer 300.",
        f"order {failed} of sandbox: queued",
        "Not changed: 1 created.",
    ]
    assert await stack.company_of(good) == 5002
    assert await stack.sources(failed) == {"reassign"}


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (
            "assign --customer 199 --yes",
            "--customer 199: is not a Company user (User does not exist.). Add the buyer to a Company in B2B Edition "
            "first. Use the customer ID of the store.\n",
        ),
        (
            "reassign --customer 300 --group 99 --yes",
            "--group 99: was refused by B2B Edition (User does not exist or action not supported for this user). "
            "It must be the customer group of one Company, in a store with Dependent Companies.\n",
        ),
        (
            "assign --customer 300",
            "--yes: is required without a terminal. The question was: Move orders of customer 300 of store "
            "sandbox to Company 5001, and enrich 1 of their 1 orders?\n",
        ),
    ],
)
async def test_a_mistake_is_one_line_and_changes_nothing(
    stack: CompaniesStack, monkeypatch: pytest.MonkeyPatch, words: str, line: str
) -> None:
    order_id = await stack.place()
    await stack.join()
    monkeypatch.setattr("sys.stdin", io.StringIO("y\n"))

    assert await stack.enrich(*words.split()) == CommandResult(2, "", line)
    assert await stack.company_of(order_id) is None
    assert await stack.statuses(order_id) == {}


async def test_a_buyer_who_left_the_company_meanwhile_is_an_error(
    stack: CompaniesStack, monkeypatch: pytest.MonkeyPatch
) -> None:
    await stack.join()
    url = f"{stack.sandbox.url}/sandbox/stores/sandbox"
    monkeypatch.setattr(companies, "confirm", lambda *_, **__: httpx.put(url, json={}, trust_env=False))
    ran = await stack.enrich("assign", "--customer", "300")

    assert (ran.code, ran.out) == (2, "")
    assert ran.err.startswith("--customer 300: is not a Company user (User does not exist or action not support")


async def test_a_token_that_is_refused_is_one_line(stack: CompaniesStack, folder: Path) -> None:
    (folder / "stores.toml").write_text(
        SANDBOX_STORES.format(url=stack.sandbox.url).replace("sandbox-access-token", "old")
    )
    ran = await stack.enrich("assign", "--customer", "300", "--yes")
    assert (ran.code, ran.out) == (2, "")
    assert ran.err.startswith("Get User Details by BigCommerce Customer ID: 401: ")
    assert ran.err.count("\n") == 1


async def test_without_redis_nothing_is_moved(stack: CompaniesStack, monkeypatch: pytest.MonkeyPatch) -> None:
    order_id = await stack.place()
    await stack.join()
    monkeypatch.delenv("REDIS_URL")
    ran = await stack.enrich("assign", "--customer", "300", "--yes")

    assert (ran.code, ran.out) == (2, "")
    assert ran.err.startswith("REDIS_URL: is not set. ")
    assert await stack.company_of(order_id) is None
