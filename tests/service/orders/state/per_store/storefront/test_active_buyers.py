"""Who has ordered lately: the most active first, forgotten after 30 days, and never more than are of use."""

import pytest
from arq import ArqRedis

from service.orders.state.per_store.storefront import active_buyers
from service.orders.state.per_store.storefront.active_buyers import ActiveBuyer, ActiveBuyers

STORE, NOW, DAY_S = "abc123", 1_795_000_000.0, 86_400.0
ADA, BEN, CLEO = (ActiveBuyer(customer_id, 1) for customer_id in (101, 102, 103))


@pytest.fixture
def buyers(redis: ArqRedis) -> ActiveBuyers:
    return ActiveBuyers(redis)


async def ordered(buyers: ActiveBuyers, buyer: ActiveBuyer, *days_ago: float) -> None:
    for days in days_ago:
        await buyers.note_order(STORE, buyer, at=NOW - days * DAY_S)


async def test_who_orders_most_comes_first(buyers: ActiveBuyers) -> None:
    await ordered(buyers, ADA, 1)
    await ordered(buyers, BEN, 3, 2, 1)
    await ordered(buyers, CLEO, 2, 1)
    assert await buyers.most_active(STORE, now=NOW) == [BEN, CLEO, ADA]
    assert await buyers.most_active("other", now=NOW) == []


async def test_an_order_counts_half_after_ten_days(buyers: ActiveBuyers) -> None:
    await ordered(buyers, ADA, 25, 24, 23)  # 0.56 together
    await ordered(buyers, BEN, 1)
    assert await buyers.most_active(STORE, now=NOW) == [BEN, ADA]


async def test_a_buyer_is_one_for_each_channel(buyers: ActiveBuyers) -> None:
    await ordered(buyers, ADA, 1)
    await ordered(buyers, ActiveBuyer(101, 7), 1, 0)
    assert await buyers.most_active(STORE, now=NOW) == [ActiveBuyer(101, 7), ADA]


async def test_who_has_not_ordered_for_30_days_is_forgotten(redis: ArqRedis, buyers: ActiveBuyers) -> None:
    await ordered(buyers, ADA, 30.1)
    await ordered(buyers, BEN, 40, 29.9)
    await ordered(buyers, CLEO, 1, 31)  # noted late, such as by a backfill
    assert await buyers.most_active(STORE, now=NOW, forget=False) == [CLEO, BEN]
    assert await redis.zcard(f"enrich:buyers-activity:{STORE}") == 3
    assert await buyers.most_active(STORE, now=NOW) == [CLEO, BEN]
    for key in await redis.keys("enrich:buyers-*"):
        assert await redis.zcard(key) == 2
        assert await redis.ttl(key) > 29 * DAY_S


async def test_only_the_most_active_are_kept(
    redis: ArqRedis, buyers: ActiveBuyers, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(active_buyers, "MAX_BUYERS", 2)
    await ordered(buyers, ADA, 3)
    await ordered(buyers, BEN, 2)
    await ordered(buyers, CLEO, 1)
    assert await buyers.most_active(STORE, now=NOW) == [CLEO, BEN]
    assert [await redis.zcard(key) for key in await redis.keys("enrich:buyers-*")] == [2, 2]


async def test_who_is_forgotten_comes_back_with_the_next_order(buyers: ActiveBuyers) -> None:
    await ordered(buyers, ADA, 2, 1)
    await buyers.forget(STORE, [ADA])
    assert await buyers.most_active(STORE, now=NOW) == []
    await ordered(buyers, ADA, 0)
    assert await buyers.most_active(STORE, now=NOW) == [ADA]
