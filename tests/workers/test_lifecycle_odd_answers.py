"""The life of an order where BigCommerce, another app or the cache says something unexpected."""

import json
from typing import Any

import httpx
import pytest

from service.orders.state.entry import Entry, Stage, Status
from tests.fakes.job_stack import ACCOUNT, CUSTOMER, RECORD, JobStack, failure
from tests.fakes.upstream import STORE_HASH

USER = f"GET /api/v3/io/users/customer/{CUSTOMER}"
COMPANY = "GET /api/v3/io/companies/12"
CONFIGS = "GET /api/v3/io/orders/extra-fields"
CREATE = "POST /api/v3/io/orders"
HALF_A_PAIR, SENDABLE = "cut \ud83d", "cut \ufffd"


async def in_time(job_stack: JobStack) -> Entry:
    """The order's end, when it was told of at once."""
    await job_stack.webhook()
    return await job_stack.run_until_finished()


async def late(job_stack: JobStack) -> Entry:
    """The order's end, when it was told of after its window and has a record."""
    if job_stack.record.po_number is None:
        job_stack.record.make()
    job_stack.clock.tick(60)
    await job_stack.webhook()
    return await job_stack.run_until_finished()


def sent(job_stack: JobStack) -> dict[str, Any]:
    """The fields of the one Update."""
    (body,) = job_stack.upstream.bodies(f"PUT {RECORD}")
    return {field["fieldName"]: field["fieldValue"] for field in body["extraFields"]}


# ── who ordered ─────────────────────────────────────────────────────────────────────────────────────────────────


async def test_a_company_id_as_text_is_one(job_stack: JobStack) -> None:
    job_stack.configure(fields=ACCOUNT)
    job_stack.upstream.on(USER, {"code": 200, "data": {"id": "1", "companyId": "12"}})

    assert (await in_time(job_stack)).status is Status.CREATED
    assert job_stack.record.fields == {"F": "fv", "Acc": "E1"}


@pytest.mark.parametrize("missing", [COMPANY, CONFIGS])
async def test_a_missing_company_or_config_says_nothing_of_the_customer(job_stack: JobStack, missing: str) -> None:
    job_stack.configure(fields=ACCOUNT)
    answers = job_stack.upstream._script[missing]
    job_stack.upstream.on(missing, failure(404, "Company not found"), failure(404, "Not found"), *answers)

    assert (await late(job_stack)).status is Status.UPDATED
    assert not await job_stack.cache.is_no_company_user(CUSTOMER)


async def test_only_the_user_that_is_not_there_makes_no_company_user(job_stack: JobStack) -> None:
    job_stack.upstream.on(USER, failure(404, "User not found"))
    job_stack.upstream.on(CREATE, failure(422, "The customer is not a B2B user."))

    entry = await in_time(job_stack)

    assert (entry.status, entry.reason) == (Status.SKIPPED, "not_a_company_user")
    assert await job_stack.cache.is_no_company_user(CUSTOMER)


# ── what somebody else left on the record ───────────────────────────────────────────────────────────────────────


async def test_a_carried_field_that_bigcommerce_refuses_does_not_cost_the_po(job_stack: JobStack) -> None:
    job_stack.record.make(Old="x", Acc="kept")

    def refuse_old(request: httpx.Request) -> Any:
        fields = json.loads(request.content).get("extraFields", [])
        if any(field["fieldName"] == "Old" for field in fields):
            return failure(400, "extra field Old does not exist")
        return job_stack.record.update(request)

    job_stack.upstream.on(f"PUT {RECORD}", refuse_old)
    entry = await late(job_stack)

    assert (entry.status, entry.verified) == (Status.UPDATED, True)
    assert (job_stack.record.po_number, job_stack.record.fields) == ("PO1", {"Old": "x", "Acc": "kept", "F": "fv"})


async def test_a_refusal_that_names_nothing_leaves_out_what_the_store_lacks(job_stack: JobStack) -> None:
    job_stack.record.make(Gone="x")

    def refuse(request: httpx.Request) -> Any:
        return failure(400, "Invalid.") if b"Gone" in request.content else job_stack.record.update(request)

    job_stack.upstream.on(f"PUT {RECORD}", refuse)

    assert (await late(job_stack)).status is Status.UPDATED
    assert job_stack.record.po_number == "PO1"


async def test_empty_fields_of_the_record_are_not_sent(job_stack: JobStack) -> None:
    job_stack.record.make(Num=None, F="", Note="  ")

    assert (await late(job_stack)).status is Status.UPDATED
    assert sent(job_stack) == {"F": "fv"}


@pytest.mark.parametrize("value", [["a", "b"], {"x": 1}, [{"y": None}]])
async def test_a_list_or_an_object_of_somebodys_is_carried_as_it_is(job_stack: JobStack, value: Any) -> None:
    job_stack.record.make(Tags=value)

    assert (await late(job_stack)).status is Status.UPDATED
    assert sent(job_stack) == {"Tags": value, "F": "fv"}


@pytest.mark.parametrize("value", [["theirs"], {"x": 1}])
async def test_a_list_or_an_object_in_our_field_is_kept(job_stack: JobStack, value: Any) -> None:
    job_stack.record.make(F=value)

    entry = await late(job_stack)

    assert (entry.status, entry.kept) == (Status.UPDATED, ["F"])
    assert (job_stack.record.po_number, job_stack.record.fields) == ("PO1", {"F": value})


async def test_half_a_surrogate_pair_is_carried_and_kept(job_stack: JobStack) -> None:
    job_stack.record.make(Note=HALF_A_PAIR)
    job_stack.order["staff_notes"] = HALF_A_PAIR
    job_stack.order["customer_message"] = HALF_A_PAIR

    entry = await late(job_stack)

    assert (entry.status, entry.verified) == (Status.UPDATED, True)
    assert (entry.po_number, entry.fields) == (SENDABLE, {"F": SENDABLE})
    assert job_stack.record.fields == {"Note": HALF_A_PAIR, "F": SENDABLE}


async def test_lines_that_come_back_with_a_carriage_return_are_verified(job_stack: JobStack) -> None:
    job_stack.order["staff_notes"] = "a\nb"

    def create(request: httpx.Request) -> Any:
        answer = job_stack.record.create(request)
        job_stack.record.fields["F"] = "a\r\nb"
        return answer

    job_stack.upstream.on(CREATE, create)
    entry = await in_time(job_stack)

    assert (entry.status, entry.verified) == (Status.CREATED, True)


# ── whose value it is ───────────────────────────────────────────────────────────────────────────────────────────


async def test_a_kept_po_and_an_update_whose_answer_was_lost_is_updated(job_stack: JobStack) -> None:
    job_stack.record.make("BUYER")

    def lost(request: httpx.Request) -> Exception:
        job_stack.record.update(request)
        return httpx.ReadTimeout("lost")

    job_stack.upstream.on(f"PUT {RECORD}", lost)
    entry = await late(job_stack)

    assert (entry.status, entry.kept) == (Status.UPDATED, ["po_number"])
    assert len(job_stack.upstream.bodies(f"PUT {RECORD}")) == 1


async def test_a_po_that_was_written_over_at_once_is_not_verified_as_ours(job_stack: JobStack) -> None:
    """Create an Order was taken, and somebody else's PO is on the record ever since."""

    def create(request: httpx.Request) -> Any:
        answer = job_stack.record.create(request)
        job_stack.record.po_number = "OTHER"
        return answer

    job_stack.upstream.on(CREATE, create)
    entry = await in_time(job_stack)

    assert (entry.status, entry.verified, entry.kept) == (Status.CREATED, False, ["po_number"])
    assert job_stack.record.po_number == "OTHER"


async def test_an_update_tells_when_it_was_sent(job_stack: JobStack) -> None:
    entry = await late(job_stack)

    assert {Stage.SENT, Stage.ANSWERED, Stage.VERIFIED} <= entry.times.keys()
    assert entry.create_age is None


# ── the cache ───────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("garbage", ["garbage", "[]", "3", '["then", []]', '{"v": 2}', b"\xff\xfe", "WRONG SHAPE"])
async def test_garbage_in_the_cache_costs_a_call_and_not_the_order(job_stack: JobStack, garbage: str | bytes) -> None:
    if garbage == "WRONG SHAPE":
        garbage = json.dumps([job_stack.clock.now, {"v": 2}])
    await job_stack.redis.set(f"enrich:cache:{STORE_HASH}:extra-field-configs", garbage)

    assert (await in_time(job_stack)).status is Status.CREATED
    assert job_stack.upstream.asked.count(CONFIGS) == 1


# ── answers that are no verdict ─────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("status", [400, 409, 422])
async def test_already_exists_is_understood_with_any_refusing_status(job_stack: JobStack, status: int) -> None:
    job_stack.record.make("PO1", F="fv")
    job_stack.upstream.on(CREATE, failure(status, "The order already exists."))

    entry = await in_time(job_stack)

    assert (entry.status, entry.verified) == (Status.UNCHANGED, True)


@pytest.mark.parametrize("status", [301, 302, 307, 308])
async def test_a_redirect_is_waited_out(job_stack: JobStack, status: int) -> None:
    away = httpx.Response(status, headers={"Location": "https://status.example.com"}, text="<html>")
    job_stack.upstream.on("GET /v2/orders/1", away, away, lambda _: job_stack.order)
    job_stack.upstream.on(CREATE, away, job_stack.record.create)

    entry = await in_time(job_stack)

    assert (entry.status, entry.verified) == (Status.CREATED, True)


async def test_an_edges_own_404_is_no_verdict(job_stack: JobStack) -> None:
    page = httpx.Response(404, html="<html>nginx</html>")
    job_stack.upstream.on("GET /v2/orders/1", page, lambda _: job_stack.order)
    job_stack.upstream.on(f"GET {RECORD}", page, failure(404, "Order Does Not Exist."), job_stack.record.read)
    job_stack.upstream.on(USER, page, {"code": 200, "data": {"id": 1, "companyId": 12}})

    assert (await late(job_stack)).status is Status.UPDATED
    assert not await job_stack.cache.is_no_company_user(CUSTOMER)


async def test_an_error_inside_a_200_is_judged_by_its_code(job_stack: JobStack) -> None:
    gone = {"code": 404, "data": {"errMsg": "Order Does Not Exist."}, "meta": {"message": "x"}}
    job_stack.upstream.on(f"GET {RECORD}", gone, gone, job_stack.record.read)
    job_stack.upstream.on(CREATE, {"code": 500, "data": {}, "meta": {"message": "Oops."}}, job_stack.record.create)

    entry = await in_time(job_stack)

    assert (entry.status, entry.verified) == (Status.CREATED, True)
    assert len(job_stack.upstream.bodies(CREATE)) == 2
    assert job_stack.upstream.bodies(f"PUT {RECORD}") == []


async def test_a_quota_that_has_reset_by_the_time_of_its_answer_costs_nothing(job_stack: JobStack) -> None:
    spent = httpx.Response(429, headers={"X-Request-Window-Resets-After": "0 s", "X-Requests-Remaining": "0 times"})
    job_stack.upstream.on(CREATE, spent, job_stack.record.create)

    assert (await in_time(job_stack)).status is Status.CREATED


async def test_no_address_of_a_shopper_is_in_the_reason(job_stack: JobStack) -> None:
    job_stack.configure(fields='"G" = { from = "order.id", required = true }')
    job_stack.upstream.on(CONFIGS, {"code": 200, "data": [{"fieldName": "F"}, {"fieldName": "G"}], "meta": {}})
    job_stack.upstream.on(CREATE, failure(422, "Order of jane.doe@example.com cannot be taken"))

    entry = await in_time(job_stack)

    assert (entry.status, entry.reason) == (Status.FAILED, "Order of *** cannot be taken")
