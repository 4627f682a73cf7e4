"""The sandbox's quotes, which became orders."""

from collections.abc import AsyncIterator
from typing import Any

import pytest

from tests.fakes.sandbox import RunningSandbox, StillClock, called_sandbox

QUOTES = "/api/v3/io/rfq"


@pytest.fixture
async def sandbox() -> AsyncIterator[RunningSandbox]:
    async with called_sandbox(StillClock()) as sandbox:
        yield sandbox


async def placed(sandbox: RunningSandbox, **fields: Any) -> str:
    return str((await sandbox.place_order(customer_id=101, **fields))["id"])


async def listed(sandbox: RunningSandbox, **query: Any) -> dict[str, Any]:
    response = await sandbox.api.get(QUOTES, params=query)
    assert response.status_code == 200, response.text
    data: dict[str, Any] = response.json()["data"]
    return data


async def test_quotes_are_listed_by_their_last_update_in_pages(sandbox: RunningSandbox) -> None:
    old = await placed(sandbox, quote={}, age=60)
    await placed(sandbox)
    new = await placed(sandbox, quote={})

    page = await listed(sandbox, limit=1)
    assert [each["bcOrderId"] for each in page["list"]] == [new]
    assert page["pagination"] == {"totalCount": 2, "offset": 0, "limit": 1}
    assert [each["bcOrderId"] for each in (await listed(sandbox, offset=1))["list"]] == [old]


async def test_only_quotes_of_the_channels_are_listed(sandbox: RunningSandbox) -> None:
    first, second = await placed(sandbox, quote={}), await placed(sandbox, quote={}, channel_id=12)

    async def orders(**query: Any) -> set[str]:
        return {each["bcOrderId"] for each in (await listed(sandbox, **query))["list"]}

    assert await orders() == {first}
    assert await orders(**{"channelIds[]": "12"}) == {second}
    assert await orders(**{"channelIds[]": "1,12"}) == {first, second}


async def test_a_quote_shows_its_order_and_what_was_placed(sandbox: RunningSandbox) -> None:
    quote = {"referenceNumber": "PO-2026-31", "extraFields": {"Cost Center": "CC-5"}, "salesRepName": "Isaac"}
    order_id = await placed(sandbox, quote=quote)
    (row,) = (await listed(sandbox))["list"]
    response = await sandbox.api.get(f"{QUOTES}/{row['quoteId']}", params={"date": "01/10/2026"})
    found = response.json()["data"]

    assert (row["bcOrderId"], row["referenceNumber"], row["status"]) == (order_id, "PO-2026-31", 4)
    assert (found["bcOrderId"], found["referenceNumber"]) == (order_id, "PO-2026-31")
    assert found["extraFields"] == [{"fieldName": "Cost Center", "fieldValue": "CC-5"}]
    assert found["salesRepInfo"]["salesRepName"] == "Isaac"
    assert row["createdAt"] == found["createdAt"] == row["updatedAt"] - 3600


@pytest.mark.parametrize(("path", "date", "status"), [("/1", "01/10/2026", 404), ("/{}", "", 400), ("/{}", "x", 400)])
async def test_a_quote_needs_its_id_and_a_date(sandbox: RunningSandbox, path: str, date: str, status: int) -> None:
    await placed(sandbox, quote={})
    (row,) = (await listed(sandbox))["list"]
    response = await sandbox.api.get(QUOTES + path.format(row["quoteId"]), params={"date": date})
    assert (response.status_code, response.json()["code"]) == (status, status)


async def test_another_sorting_is_refused(sandbox: RunningSandbox) -> None:
    assert (await sandbox.api.get(QUOTES, params={"sortBy": "createdAt"})).status_code == 400
