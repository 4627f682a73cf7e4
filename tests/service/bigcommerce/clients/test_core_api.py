from datetime import datetime, timedelta, timezone
from typing import Any

import httpx
import pytest

from service.bigcommerce import StoreApi
from service.bigcommerce.clients.core_api import MAX_PAGES, Core
from service.errors import NotFound, TryAgain, Unsure
from tests.fakes.upstream import FakeUpstream

CREATED = datetime(2026, 1, 10, 22, 5, 30, 123456, tzinfo=timezone(timedelta(hours=1)))


@pytest.fixture
def core(api: StoreApi) -> Core:
    return api.core


def order_7(**changes: Any) -> dict[str, Any]:
    """A V2 order with what decides whether it is enriched."""
    created = "Sat, 10 Jan 2026 21:05:30 +0000"
    return {"id": 7, "customer_id": 11, "status_id": 11, "date_created": created, **changes}


def metafield(number: int) -> dict[str, Any]:
    return {"namespace": "checkout", "key": f"key {number}", "value": "x"}


def query(upstream: FakeUpstream, index: int = -1) -> dict[str, str]:
    return dict(upstream.requests[index].url.params)


async def test_order_is_returned_unchanged(core: Core, upstream: FakeUpstream) -> None:
    order = {**order_7(), "total_inc_tax": "10.0000", "billing_address": {"form_fields": []}}
    upstream.on("GET /v2/orders/7", order)
    assert await core.order(7) == order
    assert query(upstream) == {}


async def test_order_comes_with_consignments_when_they_are_wanted(core: Core, upstream: FakeUpstream) -> None:
    upstream.on("GET /v2/orders/7", order_7(consignments={}), order_7())
    await core.order(7, consignments=True)
    assert query(upstream) == {"include": "consignments.line_items", "consignment_structure": "object"}
    with pytest.raises(TryAgain):
        await core.order(7, consignments=True)


async def test_order_in_a_list_of_one_is_unwrapped(core: Core, upstream: FakeUpstream) -> None:
    upstream.on("GET /v2/orders/7", [order_7()])
    assert await core.order(7) == order_7()


@pytest.mark.parametrize("answer", [(404, {}), (404, [{"status": 404, "message": "Not there."}])])
async def test_missing_order_is_not_found(core: Core, upstream: FakeUpstream, answer: Any) -> None:
    upstream.on("GET /v2/orders/7", answer)
    with pytest.raises(NotFound):
        await core.order(7)


INCOMPLETE = [
    {},
    {"id": 7},
    order_7(id=8),
    order_7(customer_id=None),
    order_7(status_id="paid"),
    order_7(date_created=None),
    order_7(date_created="soon"),
    {"data": order_7(), "meta": {}},
]


@pytest.mark.parametrize("answer", ["text", 5, [{}, {}], [1], [], None, *INCOMPLETE])
async def test_order_of_an_unexpected_shape_is_transient(core: Core, upstream: FakeUpstream, answer: Any) -> None:
    upstream.on("GET /v2/orders/7", (200, answer))
    with pytest.raises(TryAgain):
        await core.order(7)


async def test_order_id_must_be_a_number(core: Core) -> None:
    with pytest.raises(ValueError, match="format code 'd'"):
        await core.order("7/../8")  # type: ignore[arg-type]


async def test_orders_are_queried_with_the_given_parameters(core: Core, upstream: FakeUpstream) -> None:
    upstream.on("GET /v2/orders", [order_7(), order_7(id=8)])
    orders = await core.orders(min_id=7, max_id=9, min_date_created=CREATED, limit=2, page=3, consignments=True)
    assert orders == [order_7(), order_7(id=8)]
    assert query(upstream) == {
        "min_id": "7",
        "max_id": "9",
        "min_date_created": "2026-01-10T21:05:30.123456+00:00",
        "limit": "2",
        "page": "3",
        "sort": "id:asc",
        "include": "consignments.line_items",
        "consignment_structure": "object",
    }


async def test_orders_of_a_customer_are_queried(core: Core, upstream: FakeUpstream) -> None:
    upstream.on("GET /v2/orders", 204)
    await core.orders(customer_id=321, min_id=8)
    assert query(upstream) == {"customer_id": "321", "min_id": "8", "limit": "250", "page": "1", "sort": "id:asc"}


async def test_orders_of_a_time_are_counted(core: Core, upstream: FakeUpstream) -> None:
    upstream.on("GET /v2/orders/count", {"statuses": [{"id": 11, "count": 3}], "count": 3}, {"count": None}, [])
    asked: dict[str, Any] = {"min_id": 7, "min_date_created": CREATED, "max_date_created": CREATED + timedelta(days=1)}

    assert [await core.count_orders(**asked) for _ in range(3)] == [3, None, None]
    assert query(upstream) == {
        "min_id": "7",
        "min_date_created": "2026-01-10T21:05:30.123456+00:00",
        "max_date_created": "2026-01-11T21:05:30.123456+00:00",
    }


async def test_no_order_that_matches_is_an_empty_list(core: Core, upstream: FakeUpstream) -> None:
    upstream.on("GET /v2/orders", 204)
    assert await core.orders() == []


@pytest.mark.parametrize("answer", [{}, [{"id": None}], [order_7(), order_7(id="x")], {"data": []}, 5])
async def test_list_of_orders_that_is_incomplete_is_tried_again(
    core: Core, upstream: FakeUpstream, answer: Any
) -> None:
    upstream.on("GET /v2/orders", (200, answer))
    with pytest.raises(TryAgain):
        await core.orders()


async def test_metafields_are_read_to_the_last_page(core: Core, upstream: FakeUpstream) -> None:
    def page(request: httpx.Request) -> Any:
        number = int(request.url.params["page"])
        pagination = {"total": 3, "per_page": 1, "current_page": number, "total_pages": 3}
        return {"data": [metafield(number)], "meta": {"pagination": pagination}}

    upstream.on("GET /v3/orders/7/metafields", page)
    assert await core.metafields(7) == [metafield(1), metafield(2), metafield(3)]
    assert len(upstream.requests) == 3


async def test_list_without_page_numbers_ends_with_a_page_that_is_not_full(core: Core, upstream: FakeUpstream) -> None:
    full = {"data": [metafield(1)] * 250}
    upstream.on("GET /v3/orders/7/metafields", full, {"data": [metafield(2)], "meta": {"pagination": None}})
    assert len(await core.metafields(7)) == 251


async def test_empty_page_before_the_last_one_is_tried_again(core: Core, upstream: FakeUpstream) -> None:
    upstream.on("GET /v3/orders/7/metafields", {"data": [], "meta": {"pagination": {"total_pages": 9}}})
    with pytest.raises(TryAgain):
        await core.metafields(7)
    assert len(upstream.requests) == 1


async def test_endless_list_is_given_up(core: Core, upstream: FakeUpstream) -> None:
    upstream.on("GET /v3/orders/7/metafields", {"data": [metafield(1)] * 250})
    with pytest.raises(TryAgain, match="does not end"):
        await core.metafields(7)
    assert len(upstream.requests) == MAX_PAGES


async def test_metafields_of_many_orders_are_queried_by_time_and_namespace(core: Core, upstream: FakeUpstream) -> None:
    upstream.on("GET /v3/orders/metafields", {"data": [{**metafield(1), "resource_id": 7}]})
    found = await core.orders_metafields(created_since=CREATED, namespaces=["checkout", "erp"])
    assert found == [{**metafield(1), "resource_id": 7}]
    assert query(upstream) == {
        "date_created:min": "2026-01-10T21:05:30",
        "namespace:in": "checkout,erp",
        "limit": "250",
        "page": "1",
    }


async def test_customer_comes_with_the_requested_parts(core: Core, upstream: FakeUpstream) -> None:
    customer = {"id": 11, "attributes": [], "form_fields": []}
    upstream.on("GET /v3/customers", {"data": [customer]}, {"data": [{"id": 11}]})
    assert await core.customer(11, attributes=True, form_fields=True) == customer
    assert query(upstream) == {"id:in": "11", "include": "attributes,formfields"}
    await core.customer(11)
    assert query(upstream) == {"id:in": "11"}
    with pytest.raises(TryAgain):
        await core.customer(11, attributes=True)


async def test_missing_customer_is_none(core: Core, upstream: FakeUpstream) -> None:
    upstream.on("GET /v3/customers", {"data": [], "meta": {}})
    assert await core.customer(11) is None


@pytest.mark.parametrize("answer", [{}, {"data": "x"}, {"data": [1]}, [], {"error": 1}])
async def test_unexpected_envelope_is_transient(core: Core, upstream: FakeUpstream, answer: Any) -> None:
    upstream.on("GET /v3/customers", (200, answer))
    with pytest.raises(TryAgain):
        await core.customer(11)


async def test_hooks_are_listed_by_scope_and_destination(core: Core, upstream: FakeUpstream) -> None:
    hook = {"id": 1, "scope": "store/order/created", "destination": "https://x.test/w?a=b"}
    upstream.on("GET /v3/hooks", {"data": [hook]})
    assert await core.hooks(scope="store/order/created", destination="https://x.test/w?a=b") == [hook]
    assert query(upstream)["destination"] == "https://x.test/w?a=b"


async def test_hook_is_created_updated_and_deleted(core: Core, upstream: FakeUpstream) -> None:
    upstream.on("POST /v3/hooks", {"data": {"id": 5}})
    upstream.on("PUT /v3/hooks/5", {"data": {"id": 5, "is_active": True}})
    upstream.on("DELETE /v3/hooks/5", {"data": {"id": 5}})
    assert await core.create_hook("store/order/created", "https://x.test/w", {"X-Key": "k"}) == {"id": 5}
    assert await core.update_hook(5, is_active=True) == {"id": 5, "is_active": True}
    await core.delete_hook(5)
    assert upstream.bodies("POST /v3/hooks") == [
        {
            "scope": "store/order/created",
            "destination": "https://x.test/w",
            "is_active": True,
            "headers": {"X-Key": "k"},
        }
    ]
    assert upstream.bodies("PUT /v3/hooks/5") == [{"is_active": True}]
    assert upstream.asked[-1] == "DELETE /v3/hooks/5"


async def test_hook_was_created_even_if_the_answer_has_an_unexpected_shape(core: Core, upstream: FakeUpstream) -> None:
    upstream.on("POST /v3/hooks", 204)
    assert await core.create_hook("store/order/created", "https://x.test/w", None) == {}


async def test_admin_info_has_the_blocked_domains(core: Core, upstream: FakeUpstream) -> None:
    upstream.on("GET /v3/hooks/admin", {"data": {"blocked_domains": []}})
    assert await core.hooks_admin() == {"blocked_domains": []}


async def test_images_of_a_product_are_listed(core: Core, upstream: FakeUpstream) -> None:
    upstream.on("GET /v3/catalog/products/3/images", {"data": [{"id": 1}]})
    assert await core.product_images(3) == [{"id": 1}]


async def test_an_order_is_made_and_returned(core: Core, upstream: FakeUpstream) -> None:
    upstream.on("POST /v2/orders", order_7(external_source="ERP"))
    assert (await core.create_order({"customer_id": 11}))["external_source"] == "ERP"
    assert upstream.bodies("POST /v2/orders") == [{"customer_id": 11}]


@pytest.mark.parametrize("answer", [{}, [], [order_7()], {"id": 7}, {"code": 200, "data": order_7()}])
async def test_an_answer_that_is_no_order_leaves_unsure_whether_one_was_made(
    core: Core, upstream: FakeUpstream, answer: Any
) -> None:
    upstream.on("POST /v2/orders", (200, answer))
    with pytest.raises(Unsure):
        await core.create_order({})


async def test_an_order_and_its_metafields_are_written(core: Core, upstream: FakeUpstream) -> None:
    upstream.on("PUT /v2/orders/7", order_7())
    upstream.on("POST /v3/orders/7/metafields", {"data": {}})
    await core.update_order(7, status_id=5)
    await core.create_metafield(7, "space", "key", "value")
    assert upstream.bodies("PUT /v2/orders/7") == [{"status_id": 5}]
    assert upstream.bodies("POST /v3/orders/7/metafields") == [
        {"permission_set": "app_only", "namespace": "space", "key": "key", "value": "value"}
    ]
