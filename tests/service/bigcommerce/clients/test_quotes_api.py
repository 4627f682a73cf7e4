"""The client for quotes: which answers are complete, and which are not answers."""

from typing import Any

import pytest

from service.bigcommerce import StoreApi
from service.bigcommerce.clients.quotes_api import PER_PAGE
from service.errors import NotFound, TryAgain, UpstreamError
from tests.fakes.upstream import FakeUpstream

LIST, DETAIL = "GET /api/v3/io/rfq", "GET /api/v3/io/rfq/195"
CREATED_AT = 1_744_061_400  # 7 April 2025, 21:30 UTC
ROW = {"quoteId": 195, "bcOrderId": "9025", "status": 4, "updatedAt": CREATED_AT, "createdAt": CREATED_AT}
QUOTE = {"bcOrderId": "9025", "referenceNumber": "PO-2026-31", "extraFields": [{"fieldName": "a", "fieldValue": "b"}]}


def success(data: Any, **meta: Any) -> dict[str, Any]:
    return {"code": 200, "data": data, "meta": {"message": "SUCCESS", **meta}}


def listed(*rows: Any, total: int | None = None) -> dict[str, Any]:
    return success({"list": list(rows), "pagination": {} if total is None else {"totalCount": total}})


# ── the list ────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_the_list_is_sorted_by_update_and_limited_to_channels(api: StoreApi, upstream: FakeUpstream) -> None:
    upstream.on(LIST, listed(ROW, total=1))
    page = await api.quotes.page(offset=3, channel_ids=[1, 12])
    assert page.items == [ROW]
    assert dict(upstream.requests[0].url.params) == {
        "sortBy": "updatedAt",
        "orderBy": "desc",
        "limit": "200",
        "offset": "3",
        "channelIds[]": "1,12",
    }


@pytest.mark.parametrize(
    ("answer", "next_offset"),
    [
        (listed(total=0), None),
        (success([]), None),
        (listed(ROW), None),
        (listed(ROW, total=1), None),
        (listed(ROW, total=2), 1),  # the API may allow fewer rows than were asked for
        (success([ROW], pagination={"totalCount": 2}), 1),
        (listed(*[ROW] * PER_PAGE), PER_PAGE),
    ],
)
async def test_the_next_page_is_known(
    api: StoreApi, upstream: FakeUpstream, answer: Any, next_offset: int | None
) -> None:
    upstream.on(LIST, answer)
    assert (await api.quotes.page()).next_offset == next_offset


@pytest.mark.parametrize(
    "row",
    [{**ROW, "bcOrderId": None}, {**ROW, "bcOrderId": ""}, {"quoteId": "9", "status": 7}, {**ROW, "quoteId": "5"}],
)
async def test_a_row_without_an_order_is_complete_if_it_says_so(
    api: StoreApi, upstream: FakeUpstream, row: dict[str, Any]
) -> None:
    upstream.on(LIST, listed(row))
    assert (await api.quotes.page()).items == [row]


@pytest.mark.parametrize(
    "answer",
    [
        listed({**ROW, "quoteId": None}),
        listed(ROW, {"quoteId": 196, "status": 4}),
        listed({"quoteId": 196}),
        listed(total=3),
        listed("text"),
        success({}),
        success(None),
        {"code": 200},
        [],
        "text",
        204,
    ],
)
async def test_an_incomplete_list_is_transient(api: StoreApi, upstream: FakeUpstream, answer: Any) -> None:
    upstream.on(LIST, answer if isinstance(answer, int) else (200, answer))
    with pytest.raises(TryAgain, match="Get All Quotes: 200: the answer has an unexpected shape"):
        await api.quotes.page()


# ── one quote ───────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("data", [QUOTE, [QUOTE], {**QUOTE, "bcOrderId": 9025, "referenceNumber": None}])
async def test_a_quote_is_returned_unchanged(api: StoreApi, upstream: FakeUpstream, data: Any) -> None:
    upstream.on(DETAIL, success(data))
    assert await api.quotes.quote(195, 9025, CREATED_AT) == (data[0] if isinstance(data, list) else data)
    assert dict(upstream.requests[0].url.params) == {"date": "04/07/2025"}


@pytest.mark.parametrize("created_at", [None, 10**18])
async def test_a_quote_without_a_date_is_asked_for_without_one(
    api: StoreApi, upstream: FakeUpstream, created_at: int | None
) -> None:
    upstream.on(DETAIL, success(QUOTE))
    await api.quotes.quote(195, 9025, created_at)
    assert dict(upstream.requests[0].url.params) == {}


@pytest.mark.parametrize(
    "data",
    [
        {**QUOTE, "bcOrderId": "9026"},
        {**QUOTE, "bcOrderId": None},
        {"bcOrderId": "9025", "extraFields": []},
        {"bcOrderId": "9025", "referenceNumber": "A"},
        {**QUOTE, "extraFields": [{"fieldName": "a"}]},
        {**QUOTE, "extraFields": "text"},
        {},
        [],
        None,
    ],
)
async def test_an_incomplete_quote_is_transient(api: StoreApi, upstream: FakeUpstream, data: Any) -> None:
    upstream.on(DETAIL, success(data))
    with pytest.raises(TryAgain, match="Get Quote Details: 200: the answer has an unexpected shape"):
        await api.quotes.quote(195, 9025, CREATED_AT)


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        ((404, {"code": 404, "data": {"errMsg": "No quote."}, "meta": {}}), NotFound),
        ({"code": 404, "data": {"errMsg": "No quote."}, "meta": {}}, NotFound),
        ((404, {"message": "no Route matched"}), TryAgain),
        (503, TryAgain),
    ],
)
async def test_only_the_apis_own_404_means_that_there_is_no_quote(
    api: StoreApi, upstream: FakeUpstream, answer: Any, error: type[UpstreamError]
) -> None:
    upstream.on(DETAIL, answer)
    with pytest.raises(error):
        await api.quotes.quote(195, 9025, CREATED_AT)
