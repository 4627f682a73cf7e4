"""The control API: what it takes, what it shows, and what it says of mistakes."""

from collections.abc import AsyncIterator
from typing import Any

import pytest

from service.sandbox.demo import DEMO_STORE
from tests.fakes.sandbox import RunningSandbox, StillClock, called_sandbox, running_sandbox


@pytest.fixture
def clock() -> StillClock:
    return StillClock()


@pytest.fixture
async def sandbox(clock: StillClock) -> AsyncIterator[RunningSandbox]:
    async with called_sandbox(clock) as sandbox:
        yield sandbox


@pytest.mark.parametrize(
    ("method", "path", "body", "names"),
    [
        ("PUT", "/stores/new", {"access_tokens": "x"}, "access_tokens"),
        ("PUT", "/stores/new", {"customers": [{"id": 0}]}, "customers.0.id"),
        ("PUT", "/stores/new", {"users": [{"customer_id": 1, "company_id": 2}]}, "no company 2"),
        ("PUT", "/stores/new", {"client_secret": ""}, "client_secret"),
        ("POST", "/stores/sandbox/orders", {"colour": "red"}, "not a field of an order: colour"),
        ("POST", "/stores/sandbox/orders", {"status_id": 15}, "status_id"),
        ("PUT", "/faults", {"error_rate": 2}, "error_rate"),
        ("PUT", "/faults", {"rate": 1}, "rate"),
        ("PUT", "/faults", {"operations": ["Fly"]}, "there is no Fly"),
        ("PUT", "/faults", {"nonsense_as": ["poem"]}, "nonsense_as"),
        ("PUT", "/stores/sandbox/hooks", {"active": True}, "is_active"),
        ("PUT", "/stores/sandbox/users/199", {"company_id": 1}, "company_id: there is no company 1"),
        ("PUT", "/stores/sandbox/users/199", {}, "company_id"),
        ("PUT", "/stores/sandbox/companies/5001/status", {"status": 9}, "status"),
    ],
)
async def test_a_mistake_is_400_and_named(
    sandbox: RunningSandbox, method: str, path: str, body: dict[str, Any], names: str
) -> None:
    response = await sandbox.control.request(method, path, json=body)

    assert response.status_code == 400
    assert names in response.json()["error"]


async def test_what_is_not_json_is_400(sandbox: RunningSandbox) -> None:
    response = await sandbox.control.put("/faults", content=b"{")

    assert (response.status_code, response.json()) == (400, {"error": "the body is not JSON"})


async def test_unknown_stores_and_orders_are_404(sandbox: RunningSandbox) -> None:
    assert (await sandbox.control.post("/stores/other/orders", json={})).json() == {"error": "there is no store other"}
    assert (await sandbox.control.get("/stores/sandbox/orders/7")).status_code == 404


async def test_health_names_the_stores(sandbox: RunningSandbox) -> None:
    await sandbox.put_store("another")

    assert (await sandbox.control.get("/health")).json() == {"status": "ok", "stores": ["another", "sandbox"]}


async def test_a_store_keeps_its_orders_when_its_configuration_is_replaced(sandbox: RunningSandbox) -> None:
    order_id = (await sandbox.place_order())["id"]
    await sandbox.put_store(name="Other")
    kept = await sandbox.order(order_id)
    await sandbox.delete_store()
    await sandbox.put_store()

    assert kept["id"] == order_id
    assert (await sandbox.control.get(f"/stores/sandbox/orders/{order_id}")).status_code == 404


async def test_an_order_shows_its_writes_and_attempts(sandbox: RunningSandbox) -> None:
    order_id = (await sandbox.place_order(customer_id=101))["id"]
    body = {"bcOrderId": order_id, "customerId": 101, "extraFields": [{"fieldName": "Account No", "fieldValue": "1"}]}
    await sandbox.api.post("/api/v3/io/orders", json=body)
    await sandbox.api.post("/api/v3/io/orders", json=body)
    await sandbox.api.put(f"/api/v3/io/orders/{order_id}", json={**body, "poNumber": "A-1"})

    seen = await sandbox.order(order_id)

    at = StillClock().now
    assert (seen["creates"], seen["updates"]) == (2, 1)
    assert seen["writes"] == [
        {
            "operation": "Create an Order",
            "received_at": at,
            "at": at,
            "po_number": None,
            "extra_fields": {"Account No": "1"},
            "api": "b2b",
            "keeps_comment": None,
        },
        {
            "operation": "Update an Order",
            "received_at": at,
            "at": at,
            "po_number": "A-1",
            "extra_fields": {"Account No": "1"},
            "api": "b2b",
            "keeps_comment": None,
        },
    ]
    assert seen["record"] == {
        "written_at": at,
        "company_id": 5001,
        "po_number": "A-1",
        "extra_fields": {"Account No": "1"},
    }
    assert (await sandbox.calls())["b2b"] == {
        "Create an Order": {"200": 1, "400": 1},
        "Update an Order": {"200": 1},
    }


async def test_a_storefront_token_is_issued_without_a_call_of_a_quota(sandbox: RunningSandbox) -> None:
    order_id = (await sandbox.place_order(customer_id=101))["id"]
    headers = {"Authorization": f"Bearer {(await sandbox.issue_token(101)).get_secret_value()}"}
    body = {"orderId": order_id, "extraFields": [{"fieldName": "Account No", "fieldValue": "1"}]}
    assert (await sandbox.calls())["total"] == 0
    assert (await sandbox.api.post("/api/v2/orders", headers=headers, json=body)).status_code == 200


async def test_a_delayed_write_shows_when_it_was_received() -> None:
    async with running_sandbox(faults={"latency": 0.2}) as sandbox:
        order_id = (await sandbox.place_order(customer_id=101))["id"]
        fields = [{"fieldName": "Account No", "fieldValue": "1"}]
        await sandbox.api.post(
            "/api/v3/io/orders", json={"bcOrderId": order_id, "customerId": 101, "extraFields": fields}
        )

        (write,) = (await sandbox.order(order_id))["writes"]

        assert write["at"] - write["received_at"] >= 0.1


async def test_an_order_shows_when_each_version_of_its_record_was_first_read(clock: StillClock) -> None:
    async with called_sandbox(clock) as sandbox:
        order_id = (await sandbox.place_order(customer_id=101, record_after=0))["id"]
        placed_at = clock.now
        clock.tick(1)
        await sandbox.api.get(f"/api/v3/io/orders/{order_id}")
        await sandbox.write_record(order_id, po_number="A-1")
        clock.tick(1)
        await sandbox.api.get(f"/api/v3/io/orders/{order_id}")
        await sandbox.api.get(f"/api/v3/io/orders/{order_id}")

        assert (await sandbox.order(order_id))["reads"] == [
            {"at": placed_at + 1, "written_at": placed_at},
            {"at": placed_at + 2, "written_at": placed_at + 1},
        ]


async def test_others_can_change_one_extra_field_or_wipe_all_values(sandbox: RunningSandbox) -> None:
    order_id = (await sandbox.place_order(customer_id=101, record_after=0, buyer_extra_fields={"Source": "web"}))["id"]

    changed = await sandbox.write_record(order_id, po_number="A-1", changed_fields={"Cost Center": "CC-9"})
    wiped = await sandbox.write_record(order_id, po_number="", extra_fields={})

    assert (changed["po_number"], changed["extra_fields"]) == ("A-1", {"Source": "web", "Cost Center": "CC-9"})
    assert (wiped["po_number"], wiped["extra_fields"]) == ("", {})


@pytest.mark.parametrize(
    ("path", "body", "names"),
    [
        ("", {"colour": "red"}, "not a field of an order: colour"),
        ("", {"status_id": 15}, "status_id"),
        ("/metafields", {"checkout": {"po_number": "A-1"}}, "metafields"),
        ("/metafields", {"metafields": {"checkout": {"po_number": ""}}}, "metafields.checkout.po_number"),
    ],
)
async def test_a_mistaken_change_of_an_order_is_400_and_named(
    sandbox: RunningSandbox, path: str, body: dict[str, Any], names: str
) -> None:
    order_id = (await sandbox.place_order())["id"]

    response = await sandbox.control.put(f"/stores/sandbox/orders/{order_id}{path}", json=body)

    assert response.status_code == 400
    assert names in response.json()["error"]


async def test_a_change_in_an_unknown_company_is_404(sandbox: RunningSandbox) -> None:
    response = await sandbox.control.put("/stores/sandbox/companies/1/status", json={"status": 1})

    assert (response.status_code, response.json()) == (404, {"error": "there is no company 1"})


async def test_staff_can_edit_an_order(sandbox: RunningSandbox) -> None:
    order_id = (await sandbox.place_order(billing_address={"city": "Waco"}, products=[{"sku": "A"}]))["id"]

    await sandbox.edit_order(order_id, staff_notes="PO 4711", billing_address={"zip": "76701"}, status_id=2)
    document = (await sandbox.order(order_id))["order"]
    await sandbox.edit_order(order_id, products=[{"sku": "B"}, {"sku": "C"}], shipping_addresses=[{"city": "Bonn"}])
    products = (await sandbox.api.get(f"/stores/sandbox/v2/orders/{order_id}/products")).json()
    (address,) = (await sandbox.api.get(f"/stores/sandbox/v2/orders/{order_id}/shipping_addresses")).json()

    assert (document["staff_notes"], document["status_id"]) == ("PO 4711", 2)
    assert (document["billing_address"]["city"], document["billing_address"]["zip"]) == ("Waco", "76701")
    assert ([product["sku"] for product in products], address["city"]) == (["B", "C"], "Bonn")


async def test_a_customer_becomes_a_company_user_and_stays_the_same_user(sandbox: RunningSandbox) -> None:
    user = "/api/v3/io/users/customer/199"
    before = await sandbox.api.get(user)

    joined = await sandbox.put_user(199, 5002)
    found = (await sandbox.api.get(user)).json()["data"]
    await sandbox.put_user(199, 5003, extra_fields={"Desk": "7"})
    changed = (await sandbox.api.get(user)).json()["data"]

    assert before.status_code == 404
    assert (found["id"], found["companyId"]) == (joined["user_id"], 5002)
    assert (changed["id"], changed["companyId"]) == (joined["user_id"], 5003)
    assert changed["extraFields"] == [{"fieldName": "Desk", "fieldValue": "7"}]


async def test_the_status_of_a_company_is_shown(sandbox: RunningSandbox) -> None:
    await sandbox.set_company_status(5001, 0)

    shown = (await sandbox.api.get("/api/v3/io/companies/5001")).json()["data"]

    assert shown["companyStatus"] == "0"


async def test_all_webhooks_can_be_switched_off_and_on(sandbox: RunningSandbox) -> None:
    hook = {"scope": "store/order/created", "destination": "https://example.com/hooks"}
    await sandbox.api.post("/stores/sandbox/v3/hooks", json=hook)

    await sandbox.switch_hooks(on=False)
    off = (await sandbox.api.get("/stores/sandbox/v3/hooks")).json()["data"]
    await sandbox.switch_hooks(on=True)
    on = (await sandbox.api.get("/stores/sandbox/v3/hooks")).json()["data"]

    assert [[hook["is_active"] for hook in hooks] for hooks in (off, on)] == [[False], [True]]


async def test_faults_left_out_go_back_to_their_defaults(sandbox: RunningSandbox) -> None:
    usual = (await sandbox.control.get("/faults")).json()
    changed = await sandbox.faults(read_lag=2)

    assert changed == usual | {"read_lag": 2}
    assert await sandbox.faults(latency=1) == usual | {"latency": 1}


async def test_the_demo_store_has_people_of_every_kind(sandbox: RunningSandbox) -> None:
    users = {user.customer_id for user in DEMO_STORE.users}

    assert [customer.id for customer in DEMO_STORE.customers if customer.id not in users] == [150, 199]
    assert [admin.customer_id for admin in DEMO_STORE.super_admins] == [150]
    assert {user.company_id for user in DEMO_STORE.users} == {company.id for company in DEMO_STORE.companies}
    assert all(company.extra_fields["ERP Account"] for company in DEMO_STORE.companies)
    assert [config.field_name for config in DEMO_STORE.extra_fields if config.is_required] == ["Account No"]
