import asyncio
from contextlib import suppress

import httpx
import pytest
from arq import ArqRedis
from pydantic import SecretStr
from structlog.testing import capture_logs

from service.bigcommerce import Api, Budget, Priority, StoreApi
from service.bigcommerce.transport import Call
from service.errors import CredentialsRefused, NotFound, OutOfBudget, TryAgain, Unsure, UpstreamError
from tests.fakes.upstream import STORE_HASH, FakeUpstream, account, store_api, transport_to

CORE_READ = Call("Get an Order", Api.CORE, "GET", "/v2/orders/1")
B2B_READ = Call("Get an Order", Api.B2B, "GET", "/v3/io/orders/1")
STOREFRONT_READ = Call("Get Order Details", Api.STOREFRONT, "GET", "/v2/orders/1/details")
B2B_WRITE = Call("Update an Order", Api.B2B, "PUT", "/v3/io/orders/1", json={"poNumber": "Ä-1 \ud800"})


@pytest.fixture
def upstream() -> FakeUpstream:
    upstream = FakeUpstream()
    upstream.on("GET /v2/orders/1", {"id": 1})
    upstream.on("GET /api/v3/io/orders/1", {"data": {"bcOrderId": 1}})
    upstream.on("PUT /api/v3/io/orders/1", {"data": {"bcOrderId": 1}})
    upstream.on("GET /api/v2/orders/1/details", {"data": {"id": 1}})
    return upstream


async def test_each_api_is_called_at_its_host_with_its_headers(upstream: FakeUpstream) -> None:
    async with store_api(upstream) as api:
        await api.call(CORE_READ)
        await api.call(B2B_READ)
        await api.call_with(SecretStr("buyer-token"), STOREFRONT_READ)
    core, b2b, storefront = upstream.requests
    assert str(core.url) == "https://core.test/stores/abc123/v2/orders/1"
    assert core.headers["X-Auth-Token"] == "access-token"
    assert "X-Store-Hash" not in core.headers
    assert str(b2b.url) == "https://b2b.test/api/v3/io/orders/1"
    assert (b2b.headers["X-Auth-Token"], b2b.headers["X-Store-Hash"]) == ("access-token", "abc123")
    assert str(storefront.url) == "https://b2b.test/api/v2/orders/1/details"
    assert storefront.headers["Authorization"] == "Bearer buyer-token"
    assert "X-Auth-Token" not in storefront.headers


async def test_body_is_json_whatever_the_text_holds(upstream: FakeUpstream) -> None:
    async with store_api(upstream) as api:
        await api.call(B2B_WRITE)
    assert upstream.requests[0].headers["Content-Type"] == "application/json"
    assert upstream.bodies("PUT /api/v3/io/orders/1") == [{"poNumber": "Ä-1 \ud800"}]


async def test_store_hash_cannot_lead_to_another_path(upstream: FakeUpstream) -> None:
    async with transport_to(upstream) as transport:
        store = account("access-token")
        await StoreApi(transport, type(store)("../x?y", store.access_tokens)).call(CORE_READ)
    assert upstream.requests[0].url.raw_path == b"/stores/..%2Fx%3Fy/v2/orders/1"


async def test_parameter_that_is_none_is_not_sent(upstream: FakeUpstream) -> None:
    async with store_api(upstream) as api:
        await api.call(Call("x", Api.CORE, "GET", "/v2/orders/1", params={"a": None, "b&": "1 +&", "c[]": [1, 2]}))
    assert upstream.requests[0].url.query == b"b%26=1+%2B%26&c%5B%5D=1&c%5B%5D=2"


async def test_second_token_is_tried_at_once_when_the_first_is_refused(upstream: FakeUpstream) -> None:
    upstream.on("PUT /api/v3/io/orders/1", 401, {"data": {}})
    async with store_api(upstream, tokens=("old-token", "new-token")) as api:
        await api.call(B2B_WRITE)
        assert api.calls == 2
    assert [request.headers["X-Auth-Token"] for request in upstream.requests] == ["old-token", "new-token"]


async def test_accepted_token_is_tried_first_from_then_on(upstream: FakeUpstream) -> None:
    upstream.on("GET /v2/orders/1", 401, {"id": 1})
    store = account("old-token", "new-token")
    async with transport_to(upstream) as transport:
        await StoreApi(transport, store).call(CORE_READ)
        await StoreApi(transport, store).call(B2B_READ)
    assert upstream.requests[-1].headers["X-Auth-Token"] == "new-token"
    assert len(upstream.requests) == 3


async def test_credentials_are_refused_when_every_token_is(upstream: FakeUpstream) -> None:
    upstream.on("GET /v2/orders/1", 401)
    async with store_api(upstream, tokens=("old-token", "new-token")) as api:
        with pytest.raises(CredentialsRefused) as refused:
            await api.call(CORE_READ)
        assert api.calls == 2
    assert refused.value.status == 401


@pytest.mark.parametrize(("status", "error"), [(403, CredentialsRefused), (404, NotFound), (500, TryAgain)])
async def test_no_other_token_is_tried_on_any_other_answer(
    upstream: FakeUpstream, status: int, error: type[Exception]
) -> None:
    upstream.on("GET /v2/orders/1", (status, {}))
    async with store_api(upstream, tokens=("old-token", "new-token")) as api:
        with pytest.raises(error):
            await api.call(CORE_READ)
    assert len(upstream.requests) == 1


@pytest.mark.parametrize("tokens", [(), ("",), ("new\nline",), ("ключ",), ("two words",)])
async def test_token_that_is_invalid_in_a_header_is_refused_without_a_call(
    upstream: FakeUpstream, tokens: tuple[str, ...]
) -> None:
    async with store_api(upstream, tokens=tokens) as api:
        with pytest.raises(CredentialsRefused, match="no access token"):
            await api.call(CORE_READ)
    assert upstream.requests == []


async def test_answer_has_the_times_of_sending_and_answering(upstream: FakeUpstream) -> None:
    ticks = iter([100.0, 100.5])
    async with store_api(upstream, clock=lambda: next(ticks)) as api:
        answer = await api.call(CORE_READ)
    assert (answer.sent_at, answer.answered_at) == (100.0, 100.5)


async def test_upstreams_clock_is_measured_with_refusals_too(upstream: FakeUpstream) -> None:
    upstream.on("GET /v2/orders/1", httpx.Response(404, json={}, headers={"Date": "Thu, 01 Jan 1970 00:01:50 GMT"}))
    async with transport_to(upstream, clock=lambda: 100.0) as transport:
        with pytest.raises(NotFound):
            await StoreApi(transport, account("access-token")).call(CORE_READ)
        assert transport.upstream_clock.now() == 110.5


async def test_upstreams_clock_is_not_measured_with_cached_answers(upstream: FakeUpstream) -> None:
    headers = {"Date": "Thu, 01 Jan 1970 00:01:50 GMT", "Age": "7"}
    upstream.on("GET /v2/orders/1", httpx.Response(200, json={"id": 1}, headers=headers))
    async with transport_to(upstream, clock=lambda: 100.0) as transport:
        await StoreApi(transport, account("access-token")).call(CORE_READ)
        assert transport.upstream_clock.now() == 100.0


async def test_every_call_is_one_event_without_query_body_or_token(upstream: FakeUpstream) -> None:
    left = httpx.Response(200, json={"id": 1}, headers={"X-Rate-Limit-Requests-Left": "7"})
    upstream.on("GET /v2/orders/1", left)
    upstream.on("PUT /api/v3/io/orders/1", 500)
    async with store_api(upstream) as api:
        with capture_logs() as events:
            await api.call(Call("Get an Order", Api.CORE, "GET", "/v2/orders/1", params={"email": "a@b.c"}))
            with pytest.raises(TryAgain):
                await api.call(B2B_WRITE)
    for event in events:
        assert event.pop("ms") >= 0
    assert events == [
        {
            "event": "upstream_call",
            "log_level": "debug",
            "api": "core",
            "operation": "Get an Order",
            "status": 200,
            "verdict": "ok",
            "quota_left": 7,
        },
        {
            "event": "upstream_call",
            "log_level": "debug",
            "api": "b2b",
            "operation": "Update an Order",
            "status": 500,
            "verdict": "Unsure",
            "quota_left": None,
        },
    ]


async def test_calls_are_counted_for_each_unit_of_work(upstream: FakeUpstream) -> None:
    order = {"id": 1, "customer_id": 11, "status_id": 11, "date_created": "Sat, 10 Jan 2026 21:05:30 +0000"}
    upstream.on("GET /v2/orders/1", order, httpx.ConnectError("x"))
    upstream.on("GET /api/v3/io/orders/1", {"data": {"bcOrderId": 1, "poNumber": None, "extraFields": None}})
    async with transport_to(upstream) as transport:
        one, other = (StoreApi(transport, account("access-token")) for _ in range(2))
        await one.core.order(1)
        with pytest.raises(TryAgain):
            await one.core.order(1)
        await other.b2b.order(1)
    assert (one.calls, other.calls) == (2, 1)


async def test_redirect_is_not_followed_even_by_a_client_that_would(upstream: FakeUpstream) -> None:
    upstream.on("GET /v2/orders/1", httpx.Response(302, headers={"Location": "https://evil.test/"}))
    async with store_api(upstream) as api:
        with pytest.raises(Exception, match="302"):
            await api.call(CORE_READ)
    assert len(upstream.requests) == 1


async def test_calls_have_no_cookie_and_a_user_agent(upstream: FakeUpstream) -> None:
    upstream.on("GET /v2/orders/1", httpx.Response(200, headers={"Set-Cookie": "a=b"}, json={"id": 1}))
    async with store_api(upstream) as api:
        for _ in range(2):
            await api.call(CORE_READ)
    for request in upstream.requests:
        assert request.headers["User-Agent"].startswith("b2b-order-enrichment/")
        assert request.headers["Accept"] == "application/json"
        assert "Cookie" not in request.headers


# The budget


@pytest.fixture
def budget(redis: ArqRedis) -> Budget:
    return Budget(redis)


async def left(budget: Budget, api: Api = Api.CORE) -> int:
    state = await budget.left(STORE_HASH, api)
    assert state
    return state.left


def answer_with_quota(status: int, left: int) -> httpx.Response:
    headers = {
        "X-Rate-Limit-Time-Window-Ms": "30000",
        "X-Rate-Limit-Time-Reset-Ms": "20000",
        "X-Rate-Limit-Requests-Quota": "150",
        "X-Rate-Limit-Requests-Left": str(left),
    }
    return httpx.Response(status, json={}, headers=headers)


async def test_call_beyond_the_budget_is_neither_sent_nor_counted(upstream: FakeUpstream, budget: Budget) -> None:
    upstream.on("GET /v2/orders/1", answer_with_quota(200, 0))
    async with store_api(upstream, budget=budget) as api:
        await api.call(CORE_READ)
        with pytest.raises(OutOfBudget) as refusal:
            await api.call(CORE_READ)
        assert api.calls == 1
    assert len(upstream.requests) == 1
    assert (refusal.value.operation, refusal.value.status) == ("Get an Order", None)
    assert 19 < refusal.value.seconds < 20.01


async def test_priority_can_change_between_calls(upstream: FakeUpstream, budget: Budget) -> None:
    upstream.on("GET /v2/orders/1", answer_with_quota(200, 50))
    async with store_api(upstream, budget=budget) as api:
        await api.call(CORE_READ)
        api.priority = Priority.VERIFY
        with pytest.raises(OutOfBudget):
            await api.call(CORE_READ)
        api.priority = Priority.CREATE
        await api.call(CORE_READ)


@pytest.mark.parametrize(("status", "leaves"), [(200, 70), (404, 70), (503, 70), (429, 0)])
async def test_every_answer_corrects_the_budget(
    upstream: FakeUpstream, budget: Budget, status: int, leaves: int
) -> None:
    upstream.on("GET /v2/orders/1", answer_with_quota(status, 70))
    async with store_api(upstream, budget=budget) as api:
        with suppress(UpstreamError):
            await api.call(CORE_READ)
    assert await left(budget) == leaves


async def test_429_of_an_overloaded_platform_does_not_correct_the_budget(
    upstream: FakeUpstream, budget: Budget
) -> None:
    upstream.on("GET /v2/orders/1", 429)
    async with store_api(upstream, budget=budget) as api:
        with pytest.raises(TryAgain):
            await api.call(CORE_READ)
    assert await left(budget) == 149


async def test_call_without_an_answer_stays_spent(upstream: FakeUpstream, budget: Budget) -> None:
    def cancelled(_: httpx.Request) -> httpx.Response:
        raise asyncio.CancelledError

    upstream.on("PUT /api/v3/io/orders/1", httpx.ReadTimeout("lost"), cancelled)
    async with store_api(upstream, budget=budget) as api:
        with pytest.raises(Unsure):
            await api.call(B2B_WRITE)
        with pytest.raises(asyncio.CancelledError):
            await api.call(B2B_WRITE)
        assert api.calls == 2
    assert await left(budget, Api.B2B) == 148


async def test_each_tried_token_spends_a_call(upstream: FakeUpstream, budget: Budget) -> None:
    upstream.on("PUT /api/v3/io/orders/1", 401, {"data": {}})
    async with store_api(upstream, tokens=("old-token", "new-token"), budget=budget) as api:
        await api.call(B2B_WRITE)
    assert await left(budget, Api.B2B) == 148


async def test_answers_of_the_storefront_correct_no_budget(upstream: FakeUpstream, budget: Budget) -> None:
    headers = {"X-Requests-Allocated": "9 times/7 s", "X-Requests-Remaining": "1 times"}
    answer = httpx.Response(200, json={"data": {}}, headers=headers | {"X-Request-Window-Resets-After": "7 s"})
    upstream.on("GET /api/v2/orders/1/details", answer)
    async with store_api(upstream, budget=budget) as api:
        await api.call_with(SecretStr("buyer-token"), STOREFRONT_READ)
        assert await budget.left(STORE_HASH, Api.B2B) is None
        api.priority = Priority.BACKGROUND
        await api.call_with(SecretStr("buyer-token"), STOREFRONT_READ)
    assert await left(budget, Api.B2B) == 149
