"""Credentials, quotas, headers and faults: what every call meets before and after its work."""

from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from tests.fakes.sandbox import RunningSandbox, StillClock, called_sandbox, running_sandbox

CORE = "/stores/sandbox/v2/orders"
B2B = "/api/v3/io/orders"


@pytest.fixture
def clock() -> StillClock:
    return StillClock()


@pytest.fixture
async def sandbox(clock: StillClock) -> AsyncIterator[RunningSandbox]:
    async with called_sandbox(clock) as sandbox:
        yield sandbox


async def statuses(sandbox: RunningSandbox, path: str, times: int) -> list[int]:
    return [(await sandbox.api.get(path)).status_code for _ in range(times)]


@pytest.mark.parametrize(
    ("path", "headers"),
    [
        (CORE, {"X-Auth-Token": "wrong"}),
        (B2B, {"X-Auth-Token": "wrong"}),
        (B2B, {"X-Store-Hash": "other"}),
        (B2B, {"X-Store-Hash": ""}),
        ("/stores/other/v2/orders", {}),
    ],
)
async def test_wrong_credentials_are_401(sandbox: RunningSandbox, path: str, headers: dict[str, str]) -> None:
    assert (await sandbox.api.get(path, headers=headers)).status_code == 401


async def test_both_tokens_of_a_rotation_are_accepted(sandbox: RunningSandbox) -> None:
    await sandbox.put_store(access_token=["new", "sandbox-access-token"])
    assert await statuses(sandbox, CORE, 1) == [204]
    await sandbox.put_store(access_token="new")
    assert await statuses(sandbox, CORE, 1) == [401]


async def test_core_quota_is_reported_and_enforced(sandbox: RunningSandbox, clock: StillClock) -> None:
    first = await sandbox.api.get(CORE)
    clock.tick(12.5)
    assert await statuses(sandbox, CORE, 149) == [204] * 149
    refused = await sandbox.api.get(CORE)
    clock.tick(17.5)

    assert first.headers["X-Rate-Limit-Requests-Left"] == "149"
    assert refused.status_code == 429
    assert {name: value for name, value in refused.headers.items() if name.startswith("x-rate")} == {
        "x-rate-limit-time-window-ms": "30000",
        "x-rate-limit-time-reset-ms": "17500",
        "x-rate-limit-requests-quota": "150",
        "x-rate-limit-requests-left": "0",
    }
    assert await statuses(sandbox, CORE, 1) == [204]


async def test_b2b_quota_is_reported_with_units(clock: StillClock) -> None:
    async with called_sandbox(clock, b2b_quota=2) as sandbox:
        assert await statuses(sandbox, B2B, 2) == [200, 200]
        clock.tick(59.603)
        refused = await sandbox.api.get(B2B)

        assert refused.status_code == 429
        assert refused.json()["code"] == 429
        assert refused.headers["X-Requests-Allocated"] == "2 times/60 s"
        assert refused.headers["X-Requests-Remaining"] == "0 times"
        assert refused.headers["X-Request-Window-Resets-After"] == "0.397 s"
        assert await statuses(sandbox, CORE, 1) == [204]
        assert (await sandbox.calls())["over_quota"] == {"core": 0, "b2b": 1, "storefront": 0}


async def test_every_timestamp_is_on_the_platforms_own_clock(sandbox: RunningSandbox) -> None:
    await sandbox.faults(clock_skew=3600)
    placed = await sandbox.place_order(customer_id=101, record_after=0)

    response = await sandbox.api.get(f"{CORE}/{placed['id']}")
    record = (await sandbox.api.get(f"{B2B}/{placed['id']}")).json()["data"][0]
    listed = await sandbox.api.get(CORE, params={"min_date_created": "2026-01-10T22:00:00Z"})

    assert response.headers["Date"] == "Sat, 10 Jan 2026 22:00:00 GMT"
    assert response.json()["date_created"] == "Sat, 10 Jan 2026 22:00:00 +0000"
    assert record["createdAt"] == 1_768_082_400
    assert listed.status_code == 200
    assert placed["created_at"] == 1_768_078_800.5


async def test_b2b_edition_can_be_down_alone(sandbox: RunningSandbox) -> None:
    await sandbox.faults(b2b_down=True)
    assert (await statuses(sandbox, B2B, 1), await statuses(sandbox, CORE, 1)) == ([503], [204])
    await sandbox.faults()
    assert await statuses(sandbox, B2B, 1) == [200]


async def test_one_stores_credentials_can_be_refused(sandbox: RunningSandbox) -> None:
    await sandbox.faults(refuse_credentials=["sandbox"])

    assert await statuses(sandbox, CORE, 1) + await statuses(sandbox, B2B, 1) == [401, 401]


async def test_errors_come_before_any_work(sandbox: RunningSandbox) -> None:
    order_id = (await sandbox.place_order(customer_id=101))["id"]
    await sandbox.faults(error_rate=1)

    answer = await create(sandbox, order_id)

    assert answer.status_code in {500, 502, 503}
    assert (await sandbox.order(order_id))["record"] is None


async def test_a_lost_answer_comes_after_the_work(sandbox: RunningSandbox) -> None:
    order_id = (await sandbox.place_order(customer_id=101))["id"]
    await sandbox.faults(lost_answer_rate=1, lost_answer_as="504", operations=["Create an Order"])

    answer = await create(sandbox, order_id)

    assert answer.status_code == 504
    seen = await sandbox.order(order_id)
    assert seen["record"]["po_number"] == "A-1"
    assert [write["operation"] for write in seen["writes"]] == ["Create an Order"]
    assert await statuses(sandbox, B2B, 1) == [200]


async def test_a_connection_is_cut_after_the_work() -> None:
    async with running_sandbox() as sandbox:
        order_id = (await sandbox.place_order(customer_id=101))["id"]
        await sandbox.faults(lost_answer_rate=1, lost_answer_as="cut")

        with pytest.raises(httpx.TransportError):
            await create(sandbox, order_id)

        assert (await sandbox.order(order_id))["record"]["po_number"] == "A-1"
        assert (await sandbox.calls())["b2b"] == {"Create an Order": {"cut": 1}}


async def test_a_late_answer_comes_after_the_work() -> None:
    async with running_sandbox() as sandbox:
        order_id = (await sandbox.place_order(customer_id=101))["id"]
        await sandbox.faults(lost_answer_rate=1, lost_answer_as="late", hang_seconds=0.1)

        answer = await create(sandbox, order_id)

        assert answer.status_code == 200
        assert answer.elapsed.total_seconds() >= 0.1


@pytest.mark.parametrize(
    ("kind", "status", "text"),
    [
        ("error_in_200", 200, '"errMsg"'),
        ("page_503", 503, "<html>"),
        ("page_404", 404, "<html>"),
        ("no_route", 404, '{"message":"no Route matched"}'),
    ],
)
async def test_an_answer_can_be_nonsense(sandbox: RunningSandbox, kind: str, status: int, text: str) -> None:
    await sandbox.faults(nonsense_rate=1, nonsense_as=[kind])

    answer = await sandbox.api.get(CORE)

    assert answer.status_code == status
    assert text in answer.text
    assert (await sandbox.calls())["core"] == {"Get All Orders": {"nonsense": 1}}


async def test_an_answer_can_be_that_of_another_endpoint(sandbox: RunningSandbox) -> None:
    other = await sandbox.api.get("/api/v3/io/companies/5001")
    await sandbox.faults(nonsense_rate=1, nonsense_as=["other_endpoint"])

    answer = await sandbox.api.get(B2B)

    assert (answer.status_code, answer.json()) == (200, other.json())


async def test_half_of_the_calls_with_nonsense_answers_are_carried_out(sandbox: RunningSandbox) -> None:
    placed = [(await sandbox.place_order(customer_id=101))["id"] for _ in range(40)]
    await sandbox.faults(nonsense_rate=1, seed=3)
    for order_id in placed:
        await create(sandbox, order_id)

    creates = [len((await sandbox.order(order_id))["writes"]) for order_id in placed]

    assert set(creates) == {0, 1}
    assert 10 < sum(creates) < 30


async def test_other_apps_can_use_up_the_quota(sandbox: RunningSandbox, clock: StillClock) -> None:
    await sandbox.faults(exhausted=["b2b"])
    refused = await sandbox.api.get(B2B)
    await sandbox.faults()

    assert (refused.status_code, refused.headers["X-Requests-Remaining"]) == (429, "0 times")
    assert await statuses(sandbox, B2B, 1) + await statuses(sandbox, CORE, 1) == [429, 204]
    clock.tick(60)
    assert await statuses(sandbox, B2B, 1) == [200]


async def test_faults_can_be_kept_to_one_api(sandbox: RunningSandbox) -> None:
    await sandbox.faults(error_rate=1, apis=["b2b"])

    assert await statuses(sandbox, CORE, 3) == [204] * 3
    assert 200 not in await statuses(sandbox, B2B, 3)


async def test_the_same_seed_brings_the_same_faults(sandbox: RunningSandbox) -> None:
    async def run(seed: int) -> list[int]:
        await sandbox.faults(error_rate=0.5, seed=seed)
        return await statuses(sandbox, CORE, 30)

    first = await run(7)
    assert await run(7) == first
    assert await run(8) != first
    assert 204 in first
    assert set(first) & {500, 502, 503}


async def test_latency_and_hanging_delay_calls() -> None:
    async with running_sandbox() as sandbox:
        await sandbox.faults(latency=0.1)
        slow = await sandbox.api.get(CORE)
        await sandbox.faults(hang_rate=1, hang_seconds=30, apis=["core"])
        with pytest.raises(httpx.ReadTimeout):
            await sandbox.api.get(CORE, timeout=0.1)

        assert slow.elapsed.total_seconds() >= 0.1


async def create(sandbox: RunningSandbox, order_id: Any) -> httpx.Response:
    fields = [{"fieldName": "Account No", "fieldValue": "ERP-10001"}]
    body = {"bcOrderId": order_id, "customerId": 101, "poNumber": "A-1", "extraFields": fields}
    return await sandbox.api.post(B2B, json=body)
