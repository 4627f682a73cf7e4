import inspect
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from service import errors
from service.bigcommerce.apis import Api
from service.bigcommerce.transport import Answer, Call
from service.errors import (
    CredentialsRefused,
    NotFound,
    Refused,
    TryAgain,
    Unsure,
    UpstreamError,
    WaitUntil,
)
from tests.fakes.upstream import FakeUpstream, store_api

READ = Call("Read", Api.B2B, "GET", "/v3/io/x")
WRITES = [Call("Write", Api.B2B, method, "/v3/io/x", json={}) for method in ("POST", "PUT", "DELETE")]
TRANSIENT_STATUSES = {*range(300, 400), 408, 425}


def subclasses(error: type[Exception]) -> Iterator[type[Exception]]:
    for subclass in error.__subclasses__():
        yield subclass
        yield from subclasses(subclass)


def all_of_httpx() -> set[type[Exception]]:
    """Every exception of httpx, by its class tree and by its namespace."""
    tree: set[type[Exception]] = {
        httpx.HTTPError,
        *subclasses(httpx.HTTPError),
        httpx.StreamError,
        *subclasses(httpx.StreamError),
    }
    named: set[type[Exception]] = {
        item for _, item in inspect.getmembers(httpx, inspect.isclass) if issubclass(item, Exception)
    }
    return {error for error in tree | named if error.__module__.startswith("httpx")}


def instance(error: type[Exception]) -> Exception:
    if error is httpx.HTTPStatusError:
        return httpx.HTTPStatusError("x", request=httpx.Request("GET", "http://x"), response=httpx.Response(500))
    if issubclass(error, httpx.ResponseNotRead | httpx.RequestNotRead | httpx.StreamConsumed | httpx.StreamClosed):
        return error()
    return error("x")


NEVER_SENT = {
    httpx.ConnectError,
    httpx.ConnectTimeout,
    httpx.PoolTimeout,
    httpx.ProxyError,
    httpx.UnsupportedProtocol,
}
NO_COMPLETE_ANSWER = {
    *subclasses(httpx.TransportError),
    httpx.TransportError,
    httpx.RequestError,
    httpx.DecodingError,
    httpx.TooManyRedirects,
} - NEVER_SENT
PROGRAMMING_ERRORS = {
    httpx.HTTPError,  # only its subclasses are ever raised
    httpx.HTTPStatusError,  # raise_for_status is never called
    httpx.InvalidURL,
    httpx.CookieConflict,
    httpx.StreamError,
    *subclasses(httpx.StreamError),
}


async def outcome(upstream: FakeUpstream, call: Call) -> Answer | UpstreamError:
    async with store_api(upstream) as api:
        try:
            return await api.call(call)
        except UpstreamError as error:
            return error


def test_every_exception_of_httpx_is_covered_here() -> None:
    assert all_of_httpx() == NEVER_SENT | NO_COMPLETE_ANSWER | PROGRAMMING_ERRORS


@pytest.mark.parametrize("error", sorted(NO_COMPLETE_ANSWER, key=str))
async def test_without_a_complete_answer_a_read_is_transient_and_a_write_unsure(
    upstream: FakeUpstream, error: type[Exception]
) -> None:
    for method in ("GET", "POST", "PUT", "DELETE"):
        upstream.on(f"{method} /api/v3/io/x", instance(error))
    assert type(await outcome(upstream, READ)) is TryAgain
    for write in WRITES:
        assert type(await outcome(upstream, write)) is Unsure


@pytest.mark.parametrize("error", sorted(NEVER_SENT, key=str))
async def test_a_call_that_was_never_sent_is_transient_even_for_a_write(
    upstream: FakeUpstream, error: type[Exception]
) -> None:
    for method in ("GET", "POST", "PUT", "DELETE"):
        upstream.on(f"{method} /api/v3/io/x", instance(error))
    for call in (READ, *WRITES):
        assert type(await outcome(upstream, call)) is TryAgain


@pytest.mark.parametrize("error", sorted(PROGRAMMING_ERRORS, key=str))
async def test_programming_error_is_not_swallowed(upstream: FakeUpstream, error: type[Exception]) -> None:
    upstream.on("GET /api/v3/io/x", instance(error))
    async with store_api(upstream) as api:
        with pytest.raises(error):
            await api.call(READ)


def expected(status: int, *, is_from_api: bool, is_write: bool) -> type[UpstreamError]:
    if status in (401, 403):
        return CredentialsRefused
    if status == 404 and is_from_api:
        return NotFound
    if status == 429:
        return TryAgain
    if not is_from_api or status in TRANSIENT_STATUSES or status == 404 or status >= 500:
        return Unsure if is_write else TryAgain
    return Refused


API_ERROR = {"code": 1, "data": {}, "meta": {"message": "No."}}


@pytest.mark.parametrize("body", [None, API_ERROR, {"message": "no Route matched"}, "<html>No.</html>"])
async def test_every_status_but_2xx_has_its_error(upstream: FakeUpstream, body: Any) -> None:
    for status in range(300, 600):
        content = {"text": body} if isinstance(body, str) else {"json": body}
        for call in (READ, *WRITES):
            upstream.on(f"{call.method} /api/v3/io/x", httpx.Response(status, **content))
            error = await outcome(upstream, call)
            assert isinstance(error, UpstreamError)
            assert type(error) is expected(status, is_from_api=body is API_ERROR, is_write=call is not READ)
            assert error.status == status
            assert error.operation == call.operation
            assert error.message


@pytest.mark.parametrize("status", [600, 799, 999])
async def test_a_status_above_599_is_transient(upstream: FakeUpstream, status: int) -> None:
    upstream.on("GET /api/v3/io/x", status)
    assert type(await outcome(upstream, READ)) is TryAgain


def test_every_type_of_upstream_error_is_covered_by_tests() -> None:
    here = {CredentialsRefused, NotFound, TryAgain, Unsure, Refused, WaitUntil}
    # See test_b2b_api.py, test_quota_budget.py, test_buyer_session.py.
    elsewhere = {errors.AlreadyExists, errors.OutOfBudget, errors.BuyerRefused}
    assert set(subclasses(errors.UpstreamError)) == here | elsewhere


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"X-Request-Window-Resets-After": "0.397 s"}, 0.397),
        ({"X-Rate-Limit-Time-Reset-Ms": "1500"}, 1.5),
        ({"X-Rate-Limit-Time-Reset-Ms": "0"}, 0.0),
    ],
)
async def test_call_over_quota_waits_until_the_window_resets(
    upstream: FakeUpstream, headers: dict[str, str], seconds: float
) -> None:
    upstream.on("POST /api/v3/io/x", httpx.Response(429, headers=headers))
    error = await outcome(upstream, WRITES[0])
    assert isinstance(error, WaitUntil)
    assert error.seconds == seconds


async def test_429_with_an_invalid_reset_is_transient(upstream: FakeUpstream) -> None:
    upstream.on("POST /api/v3/io/x", httpx.Response(429, headers={"X-Request-Window-Resets-After": "soon"}))
    assert type(await outcome(upstream, WRITES[0])) is TryAgain


@pytest.mark.parametrize("content", [b"", b"<html>", b'{"data": ', b'{"x": NaN}', b"\xff\xfe\x00", b"[" * 100_000])
async def test_a_2xx_that_is_not_json_is_transient_or_unsure(upstream: FakeUpstream, content: bytes) -> None:
    for method in ("GET", "POST"):
        upstream.on(f"{method} /api/v3/io/x", httpx.Response(200, content=content))
    assert type(await outcome(upstream, READ)) is TryAgain
    assert type(await outcome(upstream, WRITES[0])) is Unsure


async def test_a_2xx_that_is_too_large_is_transient_or_unsure(
    upstream: FakeUpstream, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("service.bigcommerce.transport.MAX_BODY_BYTES", 100)
    for method in ("GET", "POST"):
        upstream.on(f"{method} /api/v3/io/x", {"data": "x" * 100})
    assert type(await outcome(upstream, READ)) is TryAgain
    assert type(await outcome(upstream, WRITES[0])) is Unsure


async def test_204_is_an_answer_without_a_body(upstream: FakeUpstream) -> None:
    upstream.on("GET /api/v3/io/x", 204)
    answer = await outcome(upstream, READ)
    assert isinstance(answer, Answer)
    assert answer.body is None


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ({"code": 400, "data": {}, "meta": {"message": "The order already exists."}}, "The order already exists."),
        ({"code": 422, "data": {"errMsg": "Cost Center is a required extra field"}, "meta": {"message": "Bad."}},
         "Bad.; Cost Center is a required extra field"),
        ({"code": 422, "data": {"errMsg": "Same."}, "meta": {"message": "Same."}}, "Same."),
        ({"code": 40013, "data": {}, "message": "No permission"}, "No permission"),
        ([{"status": 404, "message": "The requested resource was not found."}],
         "The requested resource was not found."),
        ({"status": 422, "title": "Bad input", "type": "http://x", "errors": {"scope": "is unknown", "x": {}}},
         "Bad input; scope: is unknown"),
        ({"title": "Bad input", "detail": "Syntax error", "errors": [{"message": "a"}, 3]},
         "Bad input; Syntax error; a"),
        ({"data": {"errMsg": None}, "meta": {"message": 7}}, "Bad Request"),
        ({"data": None, "meta": None}, "Bad Request"),
        ("text", "Bad Request"),
        ({"meta": {"message": "Order of <jane.doe+x@shop.example.com>, #1 @ home"}}, "Order of *** #1 @ home"),
        ({"meta": {"message": "two\nlines\x1b[31m and \ud800 more"}}, "two lines [31m and more"),
    ],
)  # fmt: skip
async def test_the_message_is_bigcommerces_own(upstream: FakeUpstream, body: Any, message: str) -> None:
    for route, call in (("GET /api/v3/io/x", READ), ("GET /v2/x", Call("Read", Api.CORE, "GET", "/v2/x"))):
        upstream.on(route, (400, body) if body != "text" else httpx.Response(400, text="<html>"))
        error = await outcome(upstream, call)
        assert isinstance(error, Refused | TryAgain)
        assert error.message == message


async def test_message_is_cut_to_500_characters(upstream: FakeUpstream) -> None:
    upstream.on("GET /api/v3/io/x", (400, {"meta": {"message": "x" * 600}}))
    error = await outcome(upstream, READ)
    assert isinstance(error, Refused)
    assert error.message == "x" * 500


@pytest.mark.parametrize("padding", ["", "x" * 490])
async def test_a_token_that_bigcommerce_quotes_is_redacted(upstream: FakeUpstream, padding: str) -> None:
    upstream.on("GET /api/v3/io/x", (400, {"meta": {"message": f"{padding}unknown: access-token!"}}))
    error = await outcome(upstream, READ)
    assert isinstance(error, Refused)
    assert "access-" not in str(error)


async def test_a_nonstandard_status_has_a_message_too(upstream: FakeUpstream) -> None:
    upstream.on("GET /api/v3/io/x", 599)
    error = await outcome(upstream, READ)
    assert isinstance(error, TryAgain)
    assert error.message == "no message"
