"""The sandbox's storefront Create an Order: as the buyer, inside the same ten seconds, out of its own quota."""

from collections.abc import AsyncIterator
from typing import Any

import pytest

from tests.fakes.sandbox import RunningSandbox, StillClock, called_sandbox
from tests.service.sandbox.apis.storefront.test_buyer_orders import ADA, BEN, ORDERS, SUE, ZOE, bearer

FIELDS = [{"fieldName": "Account No", "fieldValue": "E1"}]


@pytest.fixture
def clock() -> StillClock:
    return StillClock()


@pytest.fixture
async def sandbox(clock: StillClock) -> AsyncIterator[RunningSandbox]:
    async with called_sandbox(clock, storefront_quota=3) as sandbox:
        yield sandbox


async def create(sandbox: RunningSandbox, order_id: int, customer_id: int = ADA, **body: Any) -> tuple[int, Any]:
    sent = {"orderId": order_id, "poNumber": "PO-1", "extraFields": FIELDS, **body}
    answer = await sandbox.api.post(ORDERS, headers=await bearer(sandbox, customer_id), json=sent)
    return answer.status_code, answer.json()


@pytest.mark.parametrize(("flag", "keeps"), [({}, True), ({"isSaveOrderComment": "1"}, False)])
async def test_a_buyer_creates_the_record_of_an_own_order(
    sandbox: RunningSandbox, flag: dict[str, Any], *, keeps: bool
) -> None:
    order_id = (await sandbox.place_order(customer_id=ADA))["id"]
    assert await create(sandbox, order_id, **flag) == (
        200,
        {"code": 200, "message": "SUCCESS", "data": [{"orderId": order_id}]},
    )
    order = await sandbox.order(order_id)
    assert order["record"]["po_number"] == "PO-1"
    assert order["record"]["company_id"] == 5001
    assert [(write["operation"], write["api"], write["keeps_comment"]) for write in order["writes"]] == [
        ("Create an Order", "storefront", keeps)
    ]


@pytest.mark.parametrize(
    ("placed_by", "buyer", "body"),
    [
        (BEN, ADA, {}),  # another buyer's order
        (ZOE, ZOE, {}),  # a shopper of no Company
        (SUE, SUE, {}),  # a Super Admin
        (ADA, ADA, {"orderId": 4711}),
        (ADA, ADA, {"isSaveOrderComment": "yes"}),
    ],
)
async def test_others_orders_are_refused_as_documented(
    sandbox: RunningSandbox, placed_by: int, buyer: int, body: dict[str, Any]
) -> None:
    order_id = (await sandbox.place_order(customer_id=placed_by))["id"]
    status, answer = await create(sandbox, order_id, buyer, **body)
    assert (status, answer["code"], answer["data"]) == (400, 40013, {})
    assert (await sandbox.order(order_id))["writes"] == []


async def test_a_record_is_created_once_and_within_ten_seconds(sandbox: RunningSandbox, clock: StillClock) -> None:
    first, second = [(await sandbox.place_order(customer_id=ADA))["id"] for _ in range(2)]
    await create(sandbox, first)
    assert (await create(sandbox, first))[1]["message"] == "The order already exists."
    clock.tick(10.0)
    assert (await create(sandbox, second))[1]["message"] == "The order already exists."


async def test_its_quota_is_its_own(sandbox: RunningSandbox, clock: StillClock) -> None:
    orders = [(await sandbox.place_order(customer_id=ADA))["id"] for _ in range(5)]
    headers = await bearer(sandbox)
    sent = [
        (await sandbox.api.post(ORDERS, headers=headers, json={"orderId": order_id, "extraFields": FIELDS}))
        for order_id in orders
    ]
    assert [answer.status_code for answer in sent] == [200, 200, 200, 429, 429]
    assert float(sent[-1].headers["X-Request-Window-Resets-After"].split()[0]) == pytest.approx(60.0, abs=1)
    answer = await sandbox.api.post(
        "/api/v3/io/orders", json={"bcOrderId": orders[3], "customerId": ADA, "extraFields": FIELDS}
    )
    assert answer.status_code == 200
