"""What a buyer typed at the checkout, passed on by the platform's own server."""

from collections.abc import Mapping
from typing import Any

import pytest

from service.sandbox.options import LIKE
from tests.fakes.sandbox import RunningSandbox, StillClock, called_sandbox

TYPED: dict[str, Any] = {"customer_id": 101, "buyer_po": "BUYER", "buyer_extra_fields": {"Cost Center": "CC-B"}}
OURS = {"Account No": "1", "Cost Center": "CC-1"}


@pytest.fixture
def clock() -> StillClock:
    return StillClock()


async def create(sandbox: RunningSandbox, order_id: int, fields: Mapping[str, str] = OURS) -> int:
    body = {
        "bcOrderId": order_id,
        "customerId": 101,
        "poNumber": "OURS",
        "extraFields": [{"fieldName": name, "fieldValue": value} for name, value in fields.items()],
    }
    return (await sandbox.api.post("/api/v3/io/orders", json=body)).status_code


async def record(sandbox: RunningSandbox, order_id: int) -> tuple[str, dict[str, str]] | None:
    answer = await sandbox.api.get(f"/api/v3/io/orders/{order_id}")
    if answer.status_code == 404:
        return None
    (row,) = answer.json()["data"]
    return row["poNumber"], {each["fieldName"]: each["fieldValue"] for each in row["extraFields"]}


@pytest.mark.parametrize("after", [0.3, 3.0])
async def test_the_platform_makes_the_record_with_what_was_typed(clock: StillClock, after: float) -> None:
    async with called_sandbox(clock, platform_writes_after=[after]) as sandbox:
        order_id = (await sandbox.place_order(**TYPED))["id"]
        assert await record(sandbox, order_id) is None
        clock.tick(after)
        assert await record(sandbox, order_id) == ("BUYER", {"Cost Center": "CC-B"})
        assert await create(sandbox, order_id) == 400


@pytest.mark.parametrize(
    ("overwrites_po", "replaces_fields", "expected"),
    [
        (True, True, ("BUYER", {"Cost Center": "CC-B"})),
        (True, False, ("BUYER", {"Account No": "1", "Cost Center": "CC-B"})),
        (False, True, ("OURS", {"Cost Center": "CC-B"})),
        (False, False, ("OURS", {"Account No": "1", "Cost Center": "CC-B"})),
    ],
)
@pytest.mark.parametrize("after", [3.0, 15.0])
async def test_a_write_that_lands_after_a_create_overwrites_what_the_options_say(
    clock: StillClock, after: float, overwrites_po: bool, replaces_fields: bool, expected: Any
) -> None:
    options = {"platform_overwrites_po": overwrites_po, "platform_replaces_fields": replaces_fields}
    async with called_sandbox(clock, platform_writes_after=[after], **options) as sandbox:
        order_id = (await sandbox.place_order(**TYPED))["id"]
        clock.tick(1)
        assert await create(sandbox, order_id) == 200
        clock.tick(after - 1.5)
        assert await record(sandbox, order_id) == ("OURS", OURS)
        clock.tick(1)
        assert await record(sandbox, order_id) == expected


async def test_an_update_after_the_platforms_write_stays(clock: StillClock) -> None:
    async with called_sandbox(clock, platform_writes_after=[3.0]) as sandbox:
        order_id = (await sandbox.place_order(**TYPED))["id"]
        await create(sandbox, order_id)
        clock.tick(5)
        body = {"poNumber": "AGAIN", "extraFields": [{"fieldName": "Account No", "fieldValue": "2"}]}
        assert (await sandbox.api.put(f"/api/v3/io/orders/{order_id}", json=body)).status_code == 200
        clock.tick(60)
        assert await record(sandbox, order_id) == ("AGAIN", {"Account No": "2"})


async def test_where_nothing_was_typed_nothing_is_overwritten(clock: StillClock) -> None:
    async with called_sandbox(clock, platform_writes_after=[3.0]) as sandbox:
        order_id = (await sandbox.place_order(customer_id=101))["id"]
        await create(sandbox, order_id)
        clock.tick(60)
        assert await record(sandbox, order_id) == ("OURS", OURS)


async def test_the_additional_text_comes_with_that_write(clock: StillClock) -> None:
    async with called_sandbox(clock, platform_writes_after=[3.0]) as sandbox:
        order_id = (await sandbox.place_order(customer_id=101, buyer_text="Dock 4"))["id"]
        await create(sandbox, order_id)
        shown = []
        for _ in range(2):
            (row,) = (await sandbox.api.get(f"/api/v3/io/orders/{order_id}")).json()["data"]
            shown.append(row["extraInfo"])
            clock.tick(5)
        assert shown == [{}, {"additionalText": "Dock 4"}]


async def test_like_july_2026_the_write_is_first_or_comes_after_a_create(clock: StillClock) -> None:
    async with called_sandbox(clock, **LIKE["2026-07"]) as sandbox:
        first, second = [(await sandbox.place_order(**TYPED))["id"] for _ in range(2)]
        clock.tick(1)
        assert [await create(sandbox, order_id) for order_id in (first, second)] == [400, 200]
        assert [await record(sandbox, order_id) for order_id in (first, second)] == [
            ("BUYER", {"Cost Center": "CC-B"}),
            ("OURS", OURS),
        ]
        clock.tick(3)
        assert await record(sandbox, second) == ("BUYER", {"Cost Center": "CC-B"})


async def test_an_order_may_have_a_time_of_its_own(clock: StillClock) -> None:
    async with called_sandbox(clock) as sandbox:
        order_id = (await sandbox.place_order(**TYPED, platform_writes_after=0.3))["id"]
        clock.tick(1)
        assert await record(sandbox, order_id) == ("BUYER", {"Cost Center": "CC-B"})
