"""Orders, metafields, customers and webhooks of the core API, as documented."""

from collections.abc import AsyncIterator
from typing import Any

import pytest

from tests.fakes.sandbox import RunningSandbox, StillClock, called_sandbox

V2 = "/stores/sandbox/v2"
V3 = "/stores/sandbox/v3"


@pytest.fixture
def clock() -> StillClock:
    return StillClock()


@pytest.fixture
async def sandbox(clock: StillClock) -> AsyncIterator[RunningSandbox]:
    async with called_sandbox(clock) as sandbox:
        yield sandbox


async def placed(sandbox: RunningSandbox, **fields: Any) -> int:
    return int((await sandbox.place_order(**{"customer_id": 101, **fields}))["id"])


async def get(sandbox: RunningSandbox, path: str, **query: Any) -> Any:
    response = await sandbox.api.get(path, params=query)
    assert response.status_code == 200, response.text
    return response.json()


# --- orders


async def test_an_order_is_a_bare_object_with_whole_seconds(sandbox: RunningSandbox) -> None:
    order_id = await placed(
        sandbox, billing_address={"form_fields": [{"name": "PO Number", "value": "A-1"}]}, customer_message="ship: now"
    )

    order = await get(sandbox, f"{V2}/orders/{order_id}")

    assert order["id"] == order_id
    assert order["date_created"] == "Sat, 10 Jan 2026 21:00:00 +0000"
    assert (order["status_id"], order["status"]) == (11, "Awaiting Fulfillment")
    assert order["billing_address"]["form_fields"] == [{"name": "PO Number", "value": "A-1"}]
    assert order["billing_address"]["city"] == "Austin"
    assert order["products"]["resource"] == f"/orders/{order_id}/products"
    assert order["shipping_addresses"]["url"].endswith(f"{V2}/orders/{order_id}/shipping_addresses")


async def test_consignments_come_in_the_same_answer_when_asked_for(sandbox: RunningSandbox) -> None:
    order_id = await placed(sandbox, products=[{"sku": "A"}], shipping_addresses=[{"city": "Waco"}])

    one = await get(
        sandbox,
        f"{V2}/orders/{order_id}",
        include="consignments.line_items",
        consignment_structure="object",
    )
    (listed,) = await get(sandbox, f"{V2}/orders", include="consignments", consignment_structure="object")

    (shipping,) = one["consignments"]["shipping"]
    assert (shipping["city"], shipping["line_items"][0]["sku"]) == ("Waco", "A")
    assert "sku" not in listed["consignments"]["shipping"][0]["line_items"][0]
    (product,) = await get(sandbox, f"{V2}/orders/{order_id}/products")
    assert product == shipping["line_items"][0]
    (address,) = await get(sandbox, f"{V2}/orders/{order_id}/shipping_addresses")
    assert address["city"] == "Waco"


async def test_an_unknown_order_is_404(sandbox: RunningSandbox) -> None:
    response = await sandbox.api.get(f"{V2}/orders/4711")

    assert response.status_code == 404
    assert response.json()[0]["status"] == 404


async def test_no_order_is_204_without_a_body(sandbox: RunningSandbox) -> None:
    response = await sandbox.api.get(f"{V2}/orders", params={"min_id": 5000})

    assert (response.status_code, response.content) == (204, b"")


async def test_orders_are_filtered_sorted_and_paged(sandbox: RunningSandbox, clock: StillClock) -> None:
    orders = []
    for status_id in (11, 0, 11):
        orders.append(await placed(sandbox, status_id=status_id))
        clock.tick(10)

    async def listed(**query: Any) -> list[int]:
        return [order["id"] for order in await get(sandbox, f"{V2}/orders", **query)]

    assert await listed() == orders
    assert await listed(min_id=orders[1]) == orders[1:]
    assert await listed(min_id=orders[1], max_id=orders[1]) == [orders[1]]
    assert await listed(min_date_created="Sat, 10 Jan 2026 21:00:10 +0000") == orders[1:]
    assert await listed(min_date_created="2026-01-10T21:00:11Z") == orders[2:]
    assert await listed(sort="id:desc", limit=2) == [orders[2], orders[1]]
    assert await listed(limit=2, page=2) == [orders[2]]
    assert await listed(status_id=0) == [orders[1]]
    assert (await sandbox.api.get(f"{V2}/orders", params={"sort": "colour"})).status_code == 400
    assert (await sandbox.api.get(f"{V2}/orders", params={"min_date_created": "soon"})).status_code == 400


async def test_orders_are_counted_by_the_same_filter(sandbox: RunningSandbox) -> None:
    await placed(sandbox, age=7200)
    await placed(sandbox)
    last = await placed(sandbox, status_id=0)

    counted = await get(sandbox, f"{V2}/orders/count", min_date_created="Sat, 10 Jan 2026 20:30:00 +0000")

    assert counted["count"] == 2
    assert {status["name"]: status["count"] for status in counted["statuses"] if status["count"]} == {
        "Incomplete": 1,
        "Awaiting Fulfillment": 1,
    }
    assert (await get(sandbox, f"{V2}/orders/count", min_id=last))["count"] == 1


async def test_a_page_has_fifty_orders_by_default(sandbox: RunningSandbox) -> None:
    for _ in range(60):
        await placed(sandbox)

    assert len(await get(sandbox, f"{V2}/orders")) == 50
    assert len(await get(sandbox, f"{V2}/orders", limit=250)) == 60


# --- V3


async def test_metafields_of_one_order_and_across_orders(sandbox: RunningSandbox, clock: StillClock) -> None:
    first = await placed(sandbox, metafields={"checkout": {"po_number": "A-1"}, "erp": {"site": "7"}})
    clock.tick(60)
    second = await placed(sandbox, metafields={"checkout": {"po_number": "B-2"}})

    own = (await get(sandbox, f"{V3}/orders/{first}/metafields"))["data"]
    across = await get(sandbox, f"{V3}/orders/metafields", **{"namespace:in": "checkout,other"})
    recent = await get(sandbox, f"{V3}/orders/metafields", **{"date_created:min": "2026-01-10T21:01:00+00:00"})

    assert [(field["namespace"], field["key"], field["value"]) for field in own] == [
        ("checkout", "po_number", "A-1"),
        ("erp", "site", "7"),
    ]
    assert [(field["resource_id"], field["value"]) for field in across["data"]] == [(first, "A-1"), (second, "B-2")]
    assert [field["resource_id"] for field in recent["data"]] == [second]


async def test_an_order_changes_its_date_with_each_change_but_not_with_its_metafields(
    sandbox: RunningSandbox, clock: StillClock
) -> None:
    first, second, third = [await placed(sandbox) for _ in range(3)]

    async def changed_since(moment: str) -> list[int]:
        query = {"min_date_modified": moment, "sort": "date_modified:asc"}
        response = await sandbox.api.get(f"{V2}/orders", params=query)
        return [order["id"] for order in response.json()] if response.content else []

    clock.tick(10)
    await sandbox.set_status(third, 2)
    clock.tick(10)
    await sandbox.edit_order(first, staff_notes="PO 4711")
    clock.tick(10)
    await sandbox.write_metafields(second, {"checkout": {"po_number": "A-1"}})

    assert await changed_since("Sat, 10 Jan 2026 21:00:01 +0000") == [third, first]
    assert await changed_since("2026-01-10T21:00:20Z") == [first]
    assert await changed_since("2026-01-10T21:00:21Z") == []
    order = await get(sandbox, f"{V2}/orders/{first}")
    assert order["date_created"] == "Sat, 10 Jan 2026 21:00:00 +0000"
    assert order["date_modified"] == "Sat, 10 Jan 2026 21:00:20 +0000"


async def test_metafields_of_an_order_are_written_read_and_deleted(sandbox: RunningSandbox, clock: StillClock) -> None:
    order_id = await placed(sandbox, metafields={"erp": {"site": "7"}})
    path = f"{V3}/orders/{order_id}/metafields"
    clock.tick(10)

    body = {"namespace": "checkout", "key": "po_number", "value": "A-26", "permission_set": "app_only"}
    created = (await sandbox.api.post(path, json=body)).json()["data"]
    clock.tick(10)
    updated = (await sandbox.api.put(f"{path}/{created['id']}", json={"value": "A-27"})).json()["data"]

    assert created["date_created"] == created["date_modified"] == "2026-01-10T21:00:10+00:00"
    assert (created["resource_id"], created["resource_type"], created["value"]) == (order_id, "order", "A-26")
    assert updated == created | {"value": "A-27", "date_modified": "2026-01-10T21:00:20+00:00"}
    assert (await get(sandbox, f"{path}/{created['id']}"))["data"] == updated
    modified = await get(sandbox, f"{V3}/orders/metafields", **{"date_modified:min": "2026-01-10T21:00:20+00:00"})
    assert modified["data"] == [updated]
    older = await get(sandbox, f"{V3}/orders/metafields", **{"date_modified:max": "2026-01-10T21:00:19+00:00"})
    assert [each["key"] for each in older["data"]] == ["site"]
    assert (await sandbox.api.delete(f"{path}/{created['id']}")).status_code == 204
    assert (await sandbox.api.get(f"{path}/{created['id']}")).status_code == 404
    assert [each["key"] for each in (await get(sandbox, path))["data"]] == ["site"]


async def test_an_app_writes_metafields_by_name(sandbox: RunningSandbox) -> None:
    order_id = await placed(sandbox, metafields={"erp": {"site": "7", "desk": "1"}})

    written = await sandbox.write_metafields(order_id, {"erp": {"site": "8", "desk": None, "gone": None, "door": "2"}})

    assert {each["key"]: each["value"] for each in written["metafields"]} == {"site": "8", "door": "2"}


@pytest.mark.parametrize(
    ("changes", "status"),
    [
        ({"key": "site"}, 409),
        ({"key": ""}, 422),
        ({"namespace": 7}, 422),
        ({"value": ""}, 422),
        ({"value": "x" * 65_536}, 422),
        ({"key": "other"}, 200),
    ],
)
async def test_an_invalid_or_doubled_metafield_is_refused(
    sandbox: RunningSandbox, changes: dict[str, Any], status: int
) -> None:
    path = f"{V3}/orders/{await placed(sandbox, metafields={'erp': {'site': '7', 'desk': '1'}})}/metafields"
    desk = (await get(sandbox, path, key="desk"))["data"][0]
    body = {"namespace": "erp", "key": "new", "value": "1", **changes}

    assert (await sandbox.api.post(path, json=body)).status_code == status
    if status != 200:
        assert (await sandbox.api.put(f"{path}/{desk['id']}", json=changes)).status_code == status
    assert (await sandbox.api.post(path, json={"namespace": "erp", "value": "1"})).status_code == 422
    assert (await sandbox.api.put(f"{path}/1", json={"value": "2"})).status_code == 404
    assert (await sandbox.api.post(f"{V3}/orders/7/metafields", json=body)).status_code == 404


async def test_v3_lists_have_pagination(sandbox: RunningSandbox) -> None:
    order_id = await placed(sandbox, metafields={"erp": {str(number): "x" for number in range(5)}})

    page = await get(sandbox, f"{V3}/orders/{order_id}/metafields", limit=2, page=3)

    assert [field["key"] for field in page["data"]] == ["4"]
    assert page["meta"]["pagination"] == {
        "total": 5,
        "count": 1,
        "per_page": 2,
        "current_page": 3,
        "total_pages": 3,
    }


async def test_customers_carry_attributes_and_form_fields_only_when_asked(sandbox: RunningSandbox) -> None:
    (plain,) = (await get(sandbox, f"{V3}/customers", **{"id:in": 101}))["data"]
    (whole,) = (await get(sandbox, f"{V3}/customers", **{"id:in": 101, "include": "attributes,formfields"}))["data"]
    unknown = (await get(sandbox, f"{V3}/customers", **{"id:in": 4711}))["data"]

    assert "attributes" not in plain
    assert "form_fields" not in plain
    (attribute,) = whole["attributes"]
    assert (attribute["attribute_name"], attribute["attribute_value"]) == ("Cost Center", "CC-110")
    assert whole["form_fields"][0]["value"] == "Purchasing"
    assert unknown == []


async def test_attribute_names_can_be_left_to_their_own_list(clock: StillClock) -> None:
    async with called_sandbox(clock, customer_attribute_names=False) as sandbox:
        (customer,) = (await get(sandbox, f"{V3}/customers", **{"id:in": 101, "include": "attributes"}))["data"]
        names = {each["id"]: each["name"] for each in (await get(sandbox, f"{V3}/customers/attributes"))["data"]}

        (attribute,) = customer["attributes"]
        assert "attribute_name" not in attribute
        assert names[attribute["attribute_id"]] == "Cost Center"


async def test_products_have_a_thumbnail(sandbox: RunningSandbox) -> None:
    images = (await get(sandbox, f"{V3}/catalog/products/111/images"))["data"]

    assert [image["is_thumbnail"] for image in images] == [False, True]


# --- webhooks


async def test_hooks_are_created_found_changed_and_deleted(sandbox: RunningSandbox) -> None:
    body = {"scope": "store/order/created", "destination": "https://a.example/hook", "headers": {"X-Key": "k"}}
    created = (await sandbox.api.post(f"{V3}/hooks", json=body)).json()["data"]
    path = f"{V3}/hooks/{created['id']}"

    assert created == created | body | {"is_active": True, "store_hash": "sandbox"}
    assert (await get(sandbox, path))["data"] == created
    assert (await get(sandbox, f"{V3}/hooks", scope="store/order/created"))["data"] == [created]
    assert (await get(sandbox, f"{V3}/hooks", destination="https://b.example/"))["data"] == []
    changed = (await sandbox.api.put(path, json={"is_active": False})).json()["data"]
    assert changed == created | {"is_active": False}
    assert (await get(sandbox, f"{V3}/hooks", is_active="false"))["data"] == [changed]
    assert (await sandbox.api.delete(path)).json()["data"] == changed
    assert (await sandbox.api.get(path)).status_code == 404


@pytest.mark.parametrize(
    "body",
    [
        {"scope": "store/order/created"},
        {"scope": "store/order/created", "destination": "not a url"},
        {"scope": "everything", "destination": "https://a.example/"},
        {"scope": "store/order/created", "destination": "https://a.example/", "headers": {"a": 1}},
    ],
)
async def test_an_invalid_hook_is_422(sandbox: RunningSandbox, body: dict[str, Any]) -> None:
    response = await sandbox.api.post(f"{V3}/hooks", json=body)

    assert response.status_code == 422
    assert response.json()["errors"]


async def test_one_hook_per_scope_and_destination_and_ten_per_scope(sandbox: RunningSandbox) -> None:
    async def create(number: int, scope: str = "store/order/created") -> int:
        body = {"scope": scope, "destination": f"https://{number}.example/"}
        return (await sandbox.api.post(f"{V3}/hooks", json=body)).status_code

    assert [await create(number) for number in range(10)] == [200] * 10
    assert await create(0, "store/order/statusUpdated") == 200
    assert await create(10) == 422
    assert await create(0) == 422


async def test_the_options_of_a_line_item_are_text_fields_by_default(sandbox: RunningSandbox) -> None:
    option = {"display_name": "PO Number", "display_value": "A-1"}
    order_id = await placed(sandbox, products=[{"sku": "A", "product_options": [option]}])

    (product,) = await get(sandbox, f"{V2}/orders/{order_id}/products")
    (shown,) = product["product_options"]

    assert shown["order_product_id"] == product["id"]
    assert (shown["display_name_merchant"], shown["value"], shown["type"]) == ("PO Number", "A-1", "Text field")


# --- orders made by API, payments of invoices


async def test_the_date_of_an_order_may_be_set_when_it_is_made(sandbox: RunningSandbox) -> None:
    order_id = await placed(sandbox, date_offset=-7 * 365 * 86_400)

    assert (await get(sandbox, f"{V2}/orders/{order_id}"))["date_created"] == "Sat, 12 Jan 2019 21:00:00 +0000"
    since_2020 = await sandbox.api.get(f"{V2}/orders", params={"min_date_created": "2020-01-01T00:00:00+00:00"})
    assert since_2020.status_code == 204
    assert [order["id"] for order in await get(sandbox, f"{V2}/orders", min_id=order_id)] == [order_id]


async def test_a_digital_order_has_one_download_and_its_type_comes_later(
    sandbox: RunningSandbox, clock: StillClock
) -> None:
    order_id = await placed(sandbox, digital=True, order_type="invoice payment", order_type_after=1.0)

    query = {"include": "consignments.line_items", "consignment_structure": "object"}
    order = await get(sandbox, f"{V2}/orders/{order_id}", **query)
    assert (order["order_is_digital"], order["items_total"]) == (True, 1)
    assert order["consignments"]["shipping"] == []
    ((item,),) = [download["line_items"] for download in order["consignments"]["downloads"]]
    assert (item["type"], item["quantity"]) == ("digital", 1)

    assert (await get(sandbox, f"{V3}/orders/{order_id}/metafields"))["data"] == []
    clock.tick(1.0)
    (metafield,) = (await get(sandbox, f"{V3}/orders/{order_id}/metafields"))["data"]
    assert (metafield["key"], metafield["value"]) == ("orderType", "invoice payment")
