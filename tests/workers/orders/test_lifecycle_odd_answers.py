"""The life of an order with unexpected answers of BigCommerce, other apps or the cache."""

import json
from typing import Any

import httpx
import pytest

from service.orders.state.order_entry import Entry, Stage, Status
from tests.fakes.stacks.job_stack import ACCOUNT, CUSTOMER, RECORD, JobStack, failure
from tests.fakes.upstream import STORE_HASH

USER = f"GET /api/v3/io/users/customer/{CUSTOMER}"
COMPANY = "GET /api/v3/io/companies/12"
CONFIGS = "GET /api/v3/io/orders/extra-fields"
CREATE = "POST /api/v3/io/orders"
LONE_SURROGATE, SENDABLE = "cut \ud83d", "cut \ufffd"


async def run_in_time(job_stack: JobStack) -> Entry:
    """Run the order to its end; its webhook arrives at once."""
    await job_stack.webhook()
    return await job_stack.run_until_finished()


async def run_late(job_stack: JobStack) -> Entry:
    """Run the order to its end; it has a record, and its webhook arrives after the window."""
    if job_stack.record.po_number is None:
        job_stack.record.make()
    job_stack.clock.tick(60)
    await job_stack.webhook()
    return await job_stack.run_until_finished()


def sent_fields(job_stack: JobStack) -> dict[str, Any]:
    """The fields of the one Update."""
    (body,) = job_stack.upstream.bodies(f"PUT {RECORD}")
    return {field["fieldName"]: field["fieldValue"] for field in body["extraFields"]}


# ── the customer ──────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_company_id_may_be_text(job_stack: JobStack) -> None:
    job_stack.configure(fields=ACCOUNT)
    job_stack.upstream.on(USER, {"code": 200, "data": {"id": "1", "companyId": "12"}})

    assert (await run_in_time(job_stack)).status is Status.CREATED
    assert job_stack.record.fields == {"F": "fv", "Acc": "E1"}


@pytest.mark.parametrize("missing", [COMPANY, CONFIGS])
async def test_missing_company_or_config_does_not_skip_the_customer(job_stack: JobStack, missing: str) -> None:
    job_stack.configure(fields=ACCOUNT)
    answers = job_stack.upstream._script[missing]
    job_stack.upstream.on(missing, failure(404, "Company not found"), failure(404, "Not found"), *answers)

    assert (await run_late(job_stack)).status is Status.UPDATED
    assert not await job_stack.cache.is_no_company_user(CUSTOMER)


async def test_missing_user_is_cached_as_no_company_user(job_stack: JobStack) -> None:
    job_stack.upstream.on(USER, failure(404, "User not found"))
    job_stack.upstream.on(CREATE, failure(422, "The customer is not a B2B user."))

    entry = await run_in_time(job_stack)

    assert (entry.status, entry.reason) == (Status.SKIPPED, "not_a_company_user")
    assert await job_stack.cache.is_no_company_user(CUSTOMER)


# ── values of others on the record ────────────────────────────────────────────────────────────────────────────────────


async def test_refused_carried_field_is_left_out_and_the_po_is_sent(job_stack: JobStack) -> None:
    job_stack.record.make(Old="x", Acc="kept")

    def refuse_old(request: httpx.Request) -> Any:
        fields = json.loads(request.content).get("extraFields", [])
        if any(field["fieldName"] == "Old" for field in fields):
            return failure(400, "extra field Old does not exist")
        return job_stack.record.update(request)

    job_stack.upstream.on(f"PUT {RECORD}", refuse_old)
    entry = await run_late(job_stack)

    assert (entry.status, entry.verified) == (Status.UPDATED, True)
    assert (job_stack.record.po_number, job_stack.record.fields) == ("PO1", {"Old": "x", "Acc": "kept", "F": "fv"})


async def test_refusal_without_field_name_leaves_out_unknown_fields(job_stack: JobStack) -> None:
    job_stack.record.make(Gone="x")

    def refuse(request: httpx.Request) -> Any:
        return failure(400, "Invalid.") if b"Gone" in request.content else job_stack.record.update(request)

    job_stack.upstream.on(f"PUT {RECORD}", refuse)

    assert (await run_late(job_stack)).status is Status.UPDATED
    assert job_stack.record.po_number == "PO1"


async def test_empty_fields_of_the_record_are_not_sent(job_stack: JobStack) -> None:
    job_stack.record.make(Num=None, F="", Note="  ")

    assert (await run_late(job_stack)).status is Status.UPDATED
    assert sent_fields(job_stack) == {"F": "fv"}


@pytest.mark.parametrize("value", [["a", "b"], {"x": 1}, [{"y": None}]])
async def test_list_or_object_of_others_is_carried_unchanged(job_stack: JobStack, value: Any) -> None:
    job_stack.record.make(Tags=value)

    assert (await run_late(job_stack)).status is Status.UPDATED
    assert sent_fields(job_stack) == {"Tags": value, "F": "fv"}


@pytest.mark.parametrize("value", [["theirs"], {"x": 1}])
async def test_list_or_object_in_our_field_is_kept(job_stack: JobStack, value: Any) -> None:
    job_stack.record.make(F=value)

    entry = await run_late(job_stack)

    assert (entry.status, entry.kept) == (Status.UPDATED, ["F"])
    assert (job_stack.record.po_number, job_stack.record.fields) == ("PO1", {"F": value})


async def test_lone_surrogate_is_carried_and_kept(job_stack: JobStack) -> None:
    job_stack.record.make(Note=LONE_SURROGATE)
    job_stack.order["staff_notes"] = LONE_SURROGATE
    job_stack.order["customer_message"] = LONE_SURROGATE

    entry = await run_late(job_stack)

    assert (entry.status, entry.verified) == (Status.UPDATED, True)
    assert (entry.po_number, entry.fields) == (SENDABLE, {"F": SENDABLE})
    assert job_stack.record.fields == {"Note": LONE_SURROGATE, "F": SENDABLE}


async def test_added_carriage_returns_do_not_fail_verification(job_stack: JobStack) -> None:
    job_stack.order["staff_notes"] = "a\nb"

    def create(request: httpx.Request) -> Any:
        answer = job_stack.record.create(request)
        job_stack.record.fields["F"] = "a\r\nb"
        return answer

    job_stack.upstream.on(CREATE, create)
    entry = await run_in_time(job_stack)

    assert (entry.status, entry.verified) == (Status.CREATED, True)


# ── our values and values of others ───────────────────────────────────────────────────────────────────────────────────


async def test_update_with_kept_po_and_lost_answer_is_updated(job_stack: JobStack) -> None:
    job_stack.record.make("BUYER")

    def lost(request: httpx.Request) -> Exception:
        job_stack.record.update(request)
        return httpx.ReadTimeout("lost")

    job_stack.upstream.on(f"PUT {RECORD}", lost)
    entry = await run_late(job_stack)

    assert (entry.status, entry.kept) == (Status.UPDATED, ["po_number"])
    assert len(job_stack.upstream.bodies(f"PUT {RECORD}")) == 1


async def test_po_overwritten_at_once_is_not_verified(job_stack: JobStack) -> None:
    """Create an Order was accepted, but another app's PO is on the record."""

    def create(request: httpx.Request) -> Any:
        answer = job_stack.record.create(request)
        job_stack.record.po_number = "OTHER"
        return answer

    job_stack.upstream.on(CREATE, create)
    entry = await run_in_time(job_stack)

    assert (entry.status, entry.verified, entry.kept) == (Status.CREATED, False, ["po_number"])
    assert job_stack.record.po_number == "OTHER"


async def test_update_notes_its_times(job_stack: JobStack) -> None:
    entry = await run_late(job_stack)

    assert {Stage.SENT, Stage.ANSWERED, Stage.VERIFIED} <= entry.times.keys()
    assert entry.create_age is None


# ── the cache ─────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("garbage", ["garbage", "[]", "3", '["then", []]', '{"v": 2}', b"\xff\xfe", "WRONG SHAPE"])
async def test_unreadable_cache_entry_is_fetched_again(job_stack: JobStack, garbage: str | bytes) -> None:
    if garbage == "WRONG SHAPE":
        garbage = json.dumps([job_stack.clock.now, {"v": 2}])
    await job_stack.redis.set(f"enrich:cache:{STORE_HASH}:extra-field-configs", garbage)

    assert (await run_in_time(job_stack)).status is Status.CREATED
    assert job_stack.upstream.asked.count(CONFIGS) == 1


# ── answers that do not decide ────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("status", [400, 409, 422])
async def test_already_exists_is_recognized_with_any_4xx_status(job_stack: JobStack, status: int) -> None:
    job_stack.record.make("PO1", F="fv")
    job_stack.upstream.on(CREATE, failure(status, "The order already exists."))

    entry = await run_in_time(job_stack)

    assert (entry.status, entry.verified) == (Status.UNCHANGED, True)


@pytest.mark.parametrize("status", [301, 302, 307, 308])
async def test_redirect_is_retried(job_stack: JobStack, status: int) -> None:
    away = httpx.Response(status, headers={"Location": "https://status.example.com"}, text="<html>")
    job_stack.upstream.on("GET /v2/orders/1", away, away, lambda _: job_stack.order)
    job_stack.upstream.on(CREATE, away, job_stack.record.create)

    entry = await run_in_time(job_stack)

    assert (entry.status, entry.verified) == (Status.CREATED, True)


async def test_404_of_a_proxy_is_retried(job_stack: JobStack) -> None:
    page = httpx.Response(404, html="<html>nginx</html>")
    job_stack.upstream.on("GET /v2/orders/1", page, lambda _: job_stack.order)
    job_stack.upstream.on(f"GET {RECORD}", page, failure(404, "Order Does Not Exist."), job_stack.record.read)
    job_stack.upstream.on(USER, page, {"code": 200, "data": {"id": 1, "companyId": 12}})

    assert (await run_late(job_stack)).status is Status.UPDATED
    assert not await job_stack.cache.is_no_company_user(CUSTOMER)


async def test_error_inside_a_200_is_handled_by_its_code(job_stack: JobStack) -> None:
    gone = {"code": 404, "data": {"errMsg": "Order Does Not Exist."}, "meta": {"message": "x"}}
    job_stack.upstream.on(f"GET {RECORD}", gone, gone, job_stack.record.read)
    job_stack.upstream.on(CREATE, {"code": 500, "data": {}, "meta": {"message": "Oops."}}, job_stack.record.create)

    entry = await run_in_time(job_stack)

    assert (entry.status, entry.verified) == (Status.CREATED, True)
    assert len(job_stack.upstream.bodies(CREATE)) == 2
    assert job_stack.upstream.bodies(f"PUT {RECORD}") == []


async def test_quota_that_resets_at_once_is_retried_at_once(job_stack: JobStack) -> None:
    spent = httpx.Response(429, headers={"X-Request-Window-Resets-After": "0 s", "X-Requests-Remaining": "0 times"})
    job_stack.upstream.on(CREATE, spent, job_stack.record.create)

    assert (await run_in_time(job_stack)).status is Status.CREATED


async def test_reason_contains_no_email_address(job_stack: JobStack) -> None:
    job_stack.configure(fields='"G" = { from = "order.id", required = true }')
    job_stack.upstream.on(CONFIGS, {"code": 200, "data": [{"fieldName": "F"}, {"fieldName": "G"}], "meta": {}})
    job_stack.upstream.on(CREATE, failure(422, "Order of jane.doe@example.com cannot be taken"))

    entry = await run_in_time(job_stack)

    assert (entry.status, entry.reason) == (Status.FAILED, "Order of *** cannot be taken")
