from typing import Any

import httpx
import pytest

from service.bigcommerce import StoreApi
from service.bigcommerce.clients.b2b_api import B2B, MAX_PAGES
from service.bigcommerce.complete_answers import says_already_exists
from service.bigcommerce.models import Record, Values
from service.errors import AlreadyExists, CredentialsRefused, NotFound, Refused, TryAgain, Unsure
from tests.fakes.upstream import FakeUpstream

VALUES = Values("PO-1", {"Cost Center": "A"})
CREATE = "POST /api/v3/io/orders"
ORDER = "GET /api/v3/io/orders/123"
UPDATE = "PUT /api/v3/io/orders/123"
LIST = "GET /api/v3/io/orders"
RECORD = {"id": 99, "bcOrderId": 123, "poNumber": "PO-1", "extraFields": [{"fieldName": "x", "fieldValue": "y"}]}


@pytest.fixture
def b2b(api: StoreApi) -> B2B:
    return api.b2b


def success(data: Any, **meta: Any) -> dict[str, Any]:
    return {"code": 200, "data": data, "meta": {"message": "SUCCESS", **meta}}


def refusal(status: int, message: str) -> tuple[int, dict[str, Any]]:
    return status, {"code": status, "data": {}, "meta": {"message": message}}


async def test_record_is_created_with_the_values(b2b: B2B, upstream: FakeUpstream) -> None:
    upstream.on(CREATE, success(RECORD))
    record = await b2b.create_order(123, 321, VALUES)
    assert (record.order_id, record.po_number, record.extra_fields) == (123, "PO-1", {"x": "y"})
    assert upstream.bodies(CREATE) == [
        {
            "bcOrderId": 123,
            "customerId": 321,
            "poNumber": "PO-1",
            "extraFields": [{"fieldName": "Cost Center", "fieldValue": "A"}],
        }
    ]


@pytest.mark.parametrize("answer", [success([]), success(None), success("x"), (200, [1]), 204])
async def test_record_was_created_even_if_the_answer_has_an_unexpected_shape(
    b2b: B2B, upstream: FakeUpstream, answer: Any
) -> None:
    upstream.on(CREATE, answer)
    assert await b2b.create_order(123, 321, VALUES) == Record(order_id=123)


ABOUT_SOMETHING_ELSE = [
    {"errMsg": "busy"},
    {**RECORD, "bcOrderId": 124},
    {"id": 1, "companyId": 7},
    [{"fieldName": "F"}],
]


@pytest.mark.parametrize("data", ABOUT_SOMETHING_ELSE)
async def test_write_is_unsure_if_its_answer_is_about_something_else(
    b2b: B2B, upstream: FakeUpstream, data: Any
) -> None:
    upstream.on(CREATE, success(data))
    upstream.on(UPDATE, success(data))
    with pytest.raises(Unsure):
        await b2b.create_order(123, 321, VALUES)
    with pytest.raises(Unsure):
        await b2b.update_order(123, VALUES)


@pytest.mark.parametrize("status", [400, 409, 422])
async def test_create_of_an_existing_record_is_already_exists(b2b: B2B, upstream: FakeUpstream, status: int) -> None:
    upstream.on(CREATE, refusal(status, "The order already exists."))
    with pytest.raises(AlreadyExists) as refused:
        await b2b.create_order(123, 321, VALUES)
    assert refused.value.status == status
    assert refused.value.message == "The order already exists."


@pytest.mark.parametrize(
    ("status", "message"),
    [(400, "Customer does not exist."), (400, ""), (409, "Conflict."), (422, "poNumber is already used")],
)
async def test_create_that_is_refused_for_another_reason_is_refused(
    b2b: B2B, upstream: FakeUpstream, status: int, message: str
) -> None:
    upstream.on(CREATE, refusal(status, message))
    with pytest.raises(Refused) as refused:
        await b2b.create_order(123, 321, VALUES)
    assert type(refused.value) is Refused


ENVELOPED = [
    (400, Refused),
    (40013, Refused),
    (401, CredentialsRefused),
    (404, NotFound),
    ("404", NotFound),
    (429, TryAgain),
    (500, TryAgain),
]


@pytest.mark.parametrize(("code", "error"), ENVELOPED)
async def test_error_within_a_200_is_mapped_by_its_code(
    b2b: B2B, upstream: FakeUpstream, code: Any, error: type[Exception]
) -> None:
    body = {"code": code, "data": {"errMsg": "No: access-token"}, "meta": {"message": "No."}}
    upstream.on(ORDER, body)
    upstream.on(CREATE, body)
    with pytest.raises(error) as read:
        await b2b.order(123)
    assert str(read.value).endswith("No.; No: ***")
    with pytest.raises(Unsure if code == 500 else error) as write:
        await b2b.create_order(123, 321, VALUES)
    assert "access-token" not in str(write.value)


async def test_already_exists_may_be_reported_within_a_200(b2b: B2B, upstream: FakeUpstream) -> None:
    upstream.on(CREATE, refusal(400, "The order already exists.")[1])
    with pytest.raises(AlreadyExists):
        await b2b.create_order(123, 321, VALUES)


@pytest.mark.parametrize("code", [200, 201, 0, None, "SUCCESS", True, [500]])
async def test_other_codes_within_a_200_are_no_errors(b2b: B2B, upstream: FakeUpstream, code: Any) -> None:
    upstream.on(ORDER, {**success(RECORD), "code": code})
    assert (await b2b.order(123)).order_id == 123


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        ("The order already exists.", True),
        ("order ALREADY exist", True),
        ("bcOrderId 123 already  exists; Bad Request", True),
        ("Order does not exist.", False),
        ("The customer exists already in another company", False),
        ("", False),
    ],
)
def test_already_exists_is_recognized_by_its_message(message: str, *, expected: bool) -> None:
    assert says_already_exists(message) is expected


async def test_create_whose_answer_is_lost_is_unsure(b2b: B2B, upstream: FakeUpstream) -> None:
    upstream.on(CREATE, httpx.ReadTimeout("lost"))
    with pytest.raises(Unsure):
        await b2b.create_order(123, 321, VALUES)


@pytest.mark.parametrize("data", [RECORD, [RECORD], [{"bcOrderId": 5}, RECORD]])
async def test_record_is_read_from_object_or_array(b2b: B2B, upstream: FakeUpstream, data: Any) -> None:
    upstream.on(ORDER, success(data))
    record = await b2b.order(123)
    assert (record.order_id, record.po_number) == (123, "PO-1")


@pytest.mark.parametrize("answer", [refusal(404, "Order Does Not Exist.")])
async def test_missing_record_is_not_found(b2b: B2B, upstream: FakeUpstream, answer: Any) -> None:
    upstream.on(ORDER, answer)
    with pytest.raises(NotFound):
        await b2b.order(123)


INCOMPLETE = [
    {"errMsg": "upstream is busy"},
    {"id": 123, "poNumber": "PO-1", "extraFields": []},
    {"bcOrderId": 5, "poNumber": "PO-1", "extraFields": []},
    {"bcOrderId": 123, "poNumber": "PO-1"},
    {"bcOrderId": 123, "extraFields": []},
    {"bcOrderId": 123, "poNumber": ["PO-1"], "extraFields": []},
    {"bcOrderId": 123, "poNumber": None, "extraFields": "none"},
    {"bcOrderId": 123, "poNumber": None, "extraFields": [{"fieldName": "Cost Center"}]},
    {"bcOrderId": 123, "poNumber": None, "extraFields": [{"fieldValue": "CC-1"}]},
    {"bcOrderId": 123, "poNumber": None, "extraFields": ["CC-1"]},
]


@pytest.mark.parametrize("data", ["x", [1], [], {}, None, *INCOMPLETE])
async def test_record_that_is_incomplete_is_tried_again(b2b: B2B, upstream: FakeUpstream, data: Any) -> None:
    """What the answer does not show could be a buyer's PO number."""
    upstream.on(ORDER, success(data))
    with pytest.raises(TryAgain):
        await b2b.order(123)


@pytest.mark.parametrize("answer", [(200, []), {"code": 200}])
async def test_record_of_an_unexpected_shape_is_transient(b2b: B2B, upstream: FakeUpstream, answer: Any) -> None:
    upstream.on(ORDER, answer)
    with pytest.raises(TryAgain):
        await b2b.order(123)


async def test_update_writes_the_values_and_returns_the_record(b2b: B2B, upstream: FakeUpstream) -> None:
    upstream.on(UPDATE, success([RECORD]))
    record = await b2b.update_order(123, Values("PO-1", {}))
    assert record is not None
    assert record.po_number == "PO-1"
    assert upstream.bodies(UPDATE) == [{"poNumber": "PO-1"}]


async def test_update_without_a_record_in_the_answer_is_none(b2b: B2B, upstream: FakeUpstream) -> None:
    upstream.on(UPDATE, {"code": 200, "message": "SUCCESS"})
    assert await b2b.update_order(123, VALUES) is None


async def test_update_without_a_required_extra_field_is_refused_with_its_name(b2b: B2B, upstream: FakeUpstream) -> None:
    upstream.on(UPDATE, refusal(422, "[Cost Center] is a required extra field"))
    with pytest.raises(Refused, match=r"\[Cost Center\] is a required extra field"):
        await b2b.update_order(123, VALUES)


async def test_page_of_records_is_queried_with_the_given_parameters(b2b: B2B, upstream: FakeUpstream) -> None:
    upstream.on(LIST, success([RECORD, {"id": 1}], pagination={"totalCount": 5, "limit": 2, "offset": 0}))
    page = await b2b.orders(
        min_created=1, max_created=2, min_modified=3, max_modified=4, order_id=5, company_id=6, limit=2,
        channel_ids=[1, 7],
    )  # fmt: skip
    assert [Record.model_validate(row).order_id for row in page.items] == [123, 0]
    assert (page.total, page.next_offset) == (5, 2)
    assert upstream.requests[0].url.params.multi_items() == [
        ("minCreated", "1"),
        ("maxCreated", "2"),
        ("minModified", "3"),
        ("maxModified", "4"),
        ("bcOrderId", "5"),
        ("companyId", "6"),
        ("showExtra", "true"),
        ("limit", "2"),
        ("offset", "0"),
        ("sortBy", "createdAt"),
        ("orderBy", "ASC"),
        ("channelIds[]", "1"),
        ("channelIds[]", "7"),
    ]


async def test_total_is_read_from_meta_itself_too(b2b: B2B, upstream: FakeUpstream) -> None:
    upstream.on(LIST, success([RECORD], totalCount="9", limit=1, offset=0))
    page = await b2b.orders(limit=1)
    assert (page.total, page.next_offset) == (9, 1)


async def test_page_without_a_total_is_the_last_when_it_is_not_full(b2b: B2B, upstream: FakeUpstream) -> None:
    upstream.on(LIST, {"code": 200, "data": [RECORD], "meta": None})
    page = await b2b.orders()
    assert (page.total, page.next_offset) == (None, None)


async def test_extra_field_configs_are_read_to_the_last_page(b2b: B2B, upstream: FakeUpstream) -> None:
    names = [f"field {number}" for number in range(450)]

    def page(request: httpx.Request) -> Any:
        limit, offset = int(request.url.params["limit"]), int(request.url.params["offset"])
        rows = [{"fieldName": name} for name in names[offset : offset + limit]]
        return success(rows, pagination={"totalCount": len(names)})

    upstream.on("GET /api/v3/io/orders/extra-fields", page)
    assert [config.field_name for config in await b2b.extra_field_configs()] == names
    assert len(upstream.requests) == 3


@pytest.mark.parametrize("data", [[{"fieldName": None}, {"fieldName": "a"}], {"bcOrderId": 123}, {}, None])
async def test_configs_that_are_incomplete_are_tried_again(b2b: B2B, upstream: FakeUpstream, data: Any) -> None:
    upstream.on("GET /api/v3/io/orders/extra-fields", success(data))
    with pytest.raises(TryAgain):
        await b2b.extra_field_configs()


async def test_empty_page_before_the_end_of_a_list_is_tried_again(b2b: B2B, upstream: FakeUpstream) -> None:
    upstream.on("GET /api/v3/io/orders/extra-fields", success([], pagination={"totalCount": 3}))
    with pytest.raises(TryAgain):
        await b2b.extra_field_configs()


async def test_endless_list_is_given_up(b2b: B2B, upstream: FakeUpstream) -> None:
    upstream.on("GET /api/v3/io/orders/extra-fields", success([{"fieldName": "a"}] * 200))
    with pytest.raises(TryAgain, match="does not end"):
        await b2b.extra_field_configs()
    assert len(upstream.requests) == MAX_PAGES


async def test_products_of_an_order_are_listed(b2b: B2B, upstream: FakeUpstream) -> None:
    upstream.on("GET /api/v3/io/orders/123/products", success([{"productId": 1}]))
    assert await b2b.order_products(123) == [{"productId": 1}]


async def test_orders_are_assigned_and_reassigned_by_customer(b2b: B2B, upstream: FakeUpstream) -> None:
    upstream.on("PUT /api/v3/io/customers/321/orders/b2b", success({"total": 3}))
    upstream.on("PUT /api/v3/io/customers/321/orders/company", success({"total": "2"}), success(None))
    assert await b2b.assign_customer_orders(321) == 3
    assert await b2b.reassign_orders(321, 77) == 2
    assert await b2b.reassign_orders(321, 77) == 0
    assert upstream.bodies("PUT /api/v3/io/customers/321/orders/company")[0] == {"bcGroupId": 77}


async def test_user_is_found_by_customer_id(b2b: B2B, upstream: FakeUpstream) -> None:
    upstream.on("GET /api/v3/io/users/customer/321", success({"id": 1, "companyId": 7}))
    assert await b2b.user_of_customer(321) == {"id": 1, "companyId": 7}


@pytest.mark.parametrize("answer", [refusal(404, "User does not exist")])
async def test_customer_who_is_not_a_company_user_is_not_found(b2b: B2B, upstream: FakeUpstream, answer: Any) -> None:
    upstream.on("GET /api/v3/io/users/customer/321", answer)
    with pytest.raises(NotFound):
        await b2b.user_of_customer(321)


OF_NO_USER = [
    {"id": 1},
    {"companyId": 7},
    {"fieldName": "Cost Center"},
    {"id": 1, "companyId": 7, "customerId": 322},
    {**RECORD, "id": 1, "companyId": 7},
]


@pytest.mark.parametrize("data", [[], None, {}, *OF_NO_USER])
async def test_user_that_is_incomplete_is_tried_again(b2b: B2B, upstream: FakeUpstream, data: Any) -> None:
    upstream.on("GET /api/v3/io/users/customer/321", success(data))
    with pytest.raises(TryAgain):
        await b2b.user_of_customer(321)


async def test_company_is_returned_unchanged(b2b: B2B, upstream: FakeUpstream) -> None:
    company = {"companyName": "Great Buys", "extraFields": []}
    upstream.on("GET /api/v3/io/companies/7", success(company))
    assert await b2b.company(7) == company


@pytest.mark.parametrize(
    "company", [{"companyName": "Great Buys"}, {"companyId": 8, "extraFields": []}, {"email": "x", "extraFields": []}]
)
async def test_company_that_is_incomplete_is_tried_again(b2b: B2B, upstream: FakeUpstream, company: Any) -> None:
    upstream.on("GET /api/v3/io/companies/7", success(company))
    with pytest.raises(TryAgain):
        await b2b.company(7)


async def test_user_without_the_extra_fields_that_rules_read_is_tried_again(b2b: B2B, upstream: FakeUpstream) -> None:
    upstream.on("GET /api/v3/io/users/customer/321", success({"id": 1, "companyId": 7}))
    assert await b2b.user_of_customer(321)
    with pytest.raises(TryAgain):
        await b2b.user_of_customer(321, extra_fields=True)


OF_NO_COMPANY = [
    {"companyId": 8, "companyName": "Other"},
    {"id": 1, "companyId": 7, "customerId": 321, "extraFields": []},
    {"id": 1, "companyId": 7, "role": 1, "extraFields": []},
    {**RECORD, "companyId": 7},
]


@pytest.mark.parametrize("data", OF_NO_COMPANY)
async def test_company_that_is_something_else_is_tried_again(b2b: B2B, upstream: FakeUpstream, data: Any) -> None:
    upstream.on("GET /api/v3/io/companies/7", success(data))
    with pytest.raises(TryAgain):
        await b2b.company(7)


# ── Super Admins ──────────────────────────────────────────────────────────────────────────────────────────────────────

SUPER_ADMINS, INFO = "GET /api/v3/io/companies/super-admins", "GET /api/v3/io/super-admins/info/11"


def listed(*rows: Any, total: int | None = None) -> dict[str, Any]:
    pagination = {"totalCount": len(rows) if total is None else total, "offset": 0, "limit": 200}
    return {"code": 200, "data": list(rows), "meta": {"message": "SUCCESS", "pagination": pagination}}


async def test_super_admins_are_listed_to_the_end(b2b: B2B, upstream: FakeUpstream) -> None:
    first = [{"id": str(number)} for number in range(1, 201)]
    upstream.on(SUPER_ADMINS, listed(*first, total=201), listed({"id": 201}, total=201))

    assert await b2b.super_admin_ids() == set(range(1, 202))
    assert [request.url.params["offset"] for request in upstream.requests] == ["0", "200"]


@pytest.mark.parametrize(
    "answer",
    [
        listed({"email": "x"}),
        listed({"id": 1}, {"id": 1}),
        listed(total=3),
        success(None),
        success({}),
        (404, {"message": "no Route matched"}),
        (404, {"code": 404, "message": "no Route matched"}),
        {"code": 404, "message": "no Route matched"},
    ],
)
async def test_list_of_super_admins_that_is_not_complete_is_tried_again(
    b2b: B2B, upstream: FakeUpstream, answer: Any
) -> None:
    upstream.on(SUPER_ADMINS, answer)
    with pytest.raises(TryAgain):
        await b2b.super_admin_ids()


async def test_details_of_a_super_admin_show_the_customer(b2b: B2B, upstream: FakeUpstream) -> None:
    upstream.on(INFO, success({"id": 11, "customerId": "343"}))
    assert await b2b.super_admin_customer(11) == 343


@pytest.mark.parametrize("data", [{"id": 11}, {"id": 12, "customerId": 343}, {"id": 11, "customerId": 0}, [], None])
async def test_details_without_the_customer_are_tried_again(b2b: B2B, upstream: FakeUpstream, data: Any) -> None:
    upstream.on(INFO, success(data))
    with pytest.raises(TryAgain):
        await b2b.super_admin_customer(11)


@pytest.mark.parametrize(
    "answer",
    [
        (404, {"message": "no Route matched"}),
        (404, {"code": 404, "message": "no Route matched"}),
        {"code": 404, "message": "no Route matched"},
        httpx.Response(404, html="<html>nginx</html>"),
        httpx.Response(404),
    ],
)
async def test_gateways_404_says_nothing_about_a_user(b2b: B2B, upstream: FakeUpstream, answer: Any) -> None:
    upstream.on("GET /api/v3/io/users/customer/321", answer)
    with pytest.raises(TryAgain):
        await b2b.user_of_customer(321)
