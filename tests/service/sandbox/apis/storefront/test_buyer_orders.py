"""The sandbox's storefront API: tokens, who sees which orders, its own quota, both forms of an answer."""

from collections.abc import AsyncIterator
from typing import Any

import pytest

from tests.fakes.sandbox import RunningSandbox, StillClock, called_sandbox

AUTH, ORDERS, IMAGES = "/api/io/auth/customers/storefront", "/api/v2/orders", "/api/v2/orders/images"
ORDERED = "/api/v2/ordered-products"
ADA, BEN, CLEO, SUE, ZOE = 101, 102, 103, 150, 199
DAY_S = 86_400


@pytest.fixture
def clock() -> StillClock:
    return StillClock()


@pytest.fixture
def options() -> dict[str, Any]:
    """The sandbox's options; tests override it."""
    return {}


@pytest.fixture
async def sandbox(clock: StillClock, options: dict[str, Any]) -> AsyncIterator[RunningSandbox]:
    async with called_sandbox(clock, **options) as sandbox:
        yield sandbox


async def bearer(sandbox: RunningSandbox, customer_id: int = ADA, **body: Any) -> dict[str, str]:
    answer = await sandbox.api.post(AUTH, json={"customerId": customer_id, **body})
    assert answer.status_code == 200
    return {"Authorization": f"Bearer {answer.json()['data']['token'][0]}"}


async def place(sandbox: RunningSandbox, customer_id: int = ADA, **placed: Any) -> int:
    order = await sandbox.place_order(customer_id=customer_id, **{"age": 60, "buyer_po": "A-1", **placed})
    order_id: int = order["id"]
    return order_id


async def seen(sandbox: RunningSandbox, headers: dict[str, str], **params: Any) -> list[int]:
    answer = await sandbox.api.get(ORDERS, headers=headers, params=params)
    assert answer.status_code == 200
    return [row["orderId"] for row in answer.json()["data"]["list"]]


async def test_a_token_acts_as_its_customer(sandbox: RunningSandbox) -> None:
    order_id = await place(sandbox, buyer_extra_fields={"Source": "web"})
    headers = await bearer(sandbox)

    details = (await sandbox.api.get(f"{ORDERS}/{order_id}/details", headers=headers)).json()["data"]
    assert (details["id"], details["customer_id"], details["poNumber"]) == (order_id, ADA, "A-1")
    assert details["extraFields"] == [{"fieldName": "Source", "fieldValue": "web"}]
    assert details["products"][0]["product_id"] == 111
    products = (await sandbox.api.get(f"{ORDERS}/{order_id}/products", headers=headers)).json()["data"]
    assert products == [{"productId": "111", "quantity": 2, "variantId": "211", "optionList": []}]
    images = (await sandbox.api.get(IMAGES, headers=headers, params={"orderIds[]": order_id})).json()["data"]
    assert [image["orderId"] for image in images] == [order_id]


@pytest.mark.parametrize("headers", [{}, {"Authorization": "Bearer nonsense"}, {"Authorization": "Bearer "}])
async def test_a_bad_token_is_401(sandbox: RunningSandbox, headers: dict[str, str]) -> None:
    answer = await sandbox.api.get(ORDERS, headers=headers)
    assert (answer.status_code, answer.json()["code"], answer.json()["message"]) == (401, 401, "Unauthorized")


async def test_a_token_expires_after_a_day(sandbox: RunningSandbox, clock: StillClock) -> None:
    headers = await bearer(sandbox)
    clock.tick(DAY_S - 1)
    assert (await sandbox.api.get(ORDERS, headers=headers)).status_code == 200
    clock.tick(1)
    assert (await sandbox.api.get(ORDERS, headers=headers)).status_code == 401


async def test_a_token_is_for_customers_of_the_store_and_asked_for_with_its_access_token(
    sandbox: RunningSandbox,
) -> None:
    assert (await sandbox.api.post(AUTH, json={"customerId": 9999})).status_code == 404
    assert (await sandbox.api.post(AUTH, json={})).status_code == 422
    refused = await sandbox.api.post(AUTH, json={"customerId": ADA}, headers={"X-Auth-Token": "other"})
    assert refused.status_code == 401
    await bearer(sandbox, ZOE)


async def test_a_buyer_sees_own_orders_of_their_company_only(sandbox: RunningSandbox) -> None:
    await sandbox.put_user(ADA, 5001, role=2)
    own = await place(sandbox)
    subsidiary, colleague, other = (
        await place(sandbox, company_id=5003),
        await place(sandbox, BEN),
        await place(sandbox, CLEO),
    )
    headers = await bearer(sandbox)

    assert await seen(sandbox, headers) == [own]
    assert await seen(sandbox, headers, isShowMy=1) == [own]
    for hidden in (subsidiary, colleague, other, 9999):
        for part in ("details", "products"):
            refused = await sandbox.api.get(f"{ORDERS}/{hidden}/{part}", headers=headers)
            assert (refused.status_code, refused.json()["data"]) == (404, {"errMsg": "Order Does not Exist"})
    assert (await sandbox.api.get(IMAGES, headers=headers, params={"orderIds[]": other})).json()["data"] == []


@pytest.mark.parametrize("role", [0, 1])
async def test_admins_and_senior_buyers_see_the_orders_of_their_company(sandbox: RunningSandbox, role: int) -> None:
    await sandbox.put_user(ADA, 5001, role=role)
    own, colleague = await place(sandbox, age=120), await place(sandbox, BEN)
    await place(sandbox, CLEO)
    headers = await bearer(sandbox)

    assert await seen(sandbox, headers) == [own]
    assert await seen(sandbox, headers, isShowMy=1) == [colleague, own]
    assert (await sandbox.api.get(f"{ORDERS}/{colleague}/details", headers=headers)).status_code == 200


async def test_a_shopper_without_a_company_sees_own_orders(sandbox: RunningSandbox) -> None:
    own, _ = await place(sandbox, ZOE), await place(sandbox)
    assert await seen(sandbox, await bearer(sandbox, ZOE)) == [own]


async def test_a_buyer_sees_the_orders_of_the_tokens_channel(sandbox: RunningSandbox) -> None:
    first, seventh = await place(sandbox), await place(sandbox, channel_id=7)
    assert await seen(sandbox, await bearer(sandbox)) == [first]
    assert await seen(sandbox, await bearer(sandbox, channelId=7)) == [seventh]


async def test_lists_begin_thirty_days_ago_unless_a_date_is_given(sandbox: RunningSandbox) -> None:
    old, new = await place(sandbox, age=31 * DAY_S), await place(sandbox)
    headers = await bearer(sandbox)
    assert await seen(sandbox, headers) == [new]
    assert await seen(sandbox, headers, beginDateAt="01/01/2020") == [new, old]
    assert (await sandbox.api.get(ORDERS, headers=headers, params={"beginDateAt": "2020-01-01"})).status_code == 400
    rows = (await sandbox.api.get(ORDERED, headers=headers, params={"beginDateAt": "01/01/2020"})).json()["data"]
    assert [(row["productId"], row["orderedTimes"]) for row in rows["list"]] == [("111", "2")]


async def test_an_order_without_a_record_is_not_there_yet(sandbox: RunningSandbox, clock: StillClock) -> None:
    order_id = await place(sandbox, age=0, buyer_po=None)
    headers = await bearer(sandbox)
    assert await seen(sandbox, headers) == []
    clock.tick(11)
    assert await seen(sandbox, headers) == [order_id]


async def test_the_storefront_may_show_older_records(sandbox: RunningSandbox, clock: StillClock) -> None:
    order_id = await place(sandbox)
    await sandbox.write_record(order_id, po_number="A-2")
    headers = await bearer(sandbox)
    await sandbox.faults(storefront_lag=5)

    async def po_number() -> str:
        answer = await sandbox.api.get(f"{ORDERS}/{order_id}/details", headers=headers)
        text: str = answer.json()["data"]["poNumber"]
        return text

    assert await po_number() == "A-1"
    clock.tick(5)
    assert await po_number() == "A-2"


async def test_fields_that_buyers_may_not_see_are_left_out(sandbox: RunningSandbox) -> None:
    people = {"companies": [{"id": 5001, "name": "A"}], "users": [{"customer_id": ADA, "company_id": 5001}]}
    fields = [{"fieldName": "Internal", "visibleToEnduser": False}, {"fieldName": "Source"}]
    await sandbox.put_store("sandbox", **people, extra_fields=fields)
    await place(sandbox, buyer_extra_fields={"Internal": "x", "Source": "web"})
    (row,) = (await sandbox.api.get(ORDERS, headers=await bearer(sandbox))).json()["data"]["list"]
    assert row["extraFields"] == [{"fieldName": "Source", "fieldValue": "web"}]


@pytest.mark.parametrize("options", [{"storefront_quota": 2, "b2b_quota": 3}])
async def test_its_quota_is_its_own(sandbox: RunningSandbox, clock: StillClock) -> None:
    headers = await bearer(sandbox)
    answers = [await sandbox.api.get(ORDERS, headers=headers) for _ in range(3)]
    assert [answer.status_code for answer in answers] == [200, 200, 429]
    assert answers[2].headers["X-Request-Window-Resets-After"] == "60.000 s"
    await bearer(sandbox)
    calls = await sandbox.calls()
    assert calls["over_quota"] == {"core": 0, "b2b": 0, "storefront": 1}
    assert calls["storefront"] == {"Get All Orders": {"200": 2, "429": 1}}
    clock.tick(60)
    assert (await sandbox.api.get(ORDERS, headers=headers)).status_code == 200


@pytest.mark.parametrize(
    "options",
    [{"storefront_fields_as": "object", "storefront_paginator_in": "body", "storefront_images": False}],
)
async def test_other_forms_of_the_answers(sandbox: RunningSandbox) -> None:
    await place(sandbox, buyer_extra_fields={"Source": "web"})
    headers = await bearer(sandbox)
    body = (await sandbox.api.get(ORDERS, headers=headers)).json()
    assert body["paginator"] == {"totalCount": 1, "offset": 0, "limit": 10}
    (row,) = body["data"]["list"]
    assert row["extraFields"] == {"extraFields": [{"fieldName": "Source", "fieldValue": "web"}]}
    assert "imageUrl" not in (await sandbox.api.get(ORDERED, headers=headers)).json()["data"]["list"][0]


@pytest.mark.parametrize(("faults", "status"), [({"b2b_down": True}, 503), ({"refuse_buyers": True}, 401)])
async def test_faults_reach_the_storefront(sandbox: RunningSandbox, faults: dict[str, Any], status: int) -> None:
    headers = await bearer(sandbox)
    await sandbox.faults(**faults)
    assert (await sandbox.api.get(ORDERS, headers=headers)).status_code == status
