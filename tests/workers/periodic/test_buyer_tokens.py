"""Tokens are fetched ahead: for Company users who order, most active first, 20 a minute, never for Super Admins."""

from typing import Any

import pytest
from arq import ArqRedis, Retry
from pydantic import SecretStr
from structlog.testing import capture_logs

from service.bigcommerce import Budget
from service.bigcommerce.quota_budget import Priority
from service.orders.state.job_kinds import FETCH_TOKENS
from service.orders.state.order_entry import Entry, Stage, Status
from service.orders.state.per_store.storefront.active_buyers import ActiveBuyer, ActiveBuyers
from service.orders.state.per_store.storefront.storefront_tokens import StorefrontTokens
from service.orders.state.per_store.storefront.token_problem import TokenProblem
from service.sandbox.demo import DEMO_STORE, DEMO_STORE_HASH
from tests.workers.stacks.stack import ADA, ZOE, Stack
from workers.orders.buyers.buyer_activity import note_active_buyer
from workers.periodic.buyer_tokens import BuyerTokenFetcher, ensure_token_jobs

FETCH, USER = "Get a B2B Storefront Token", "Get User Details by BigCommerce Customer ID"
BEN, SUE = 102, 150
MANY = range(2001, 2051)
DAY_S = 86_400.0


class Fetcher:
    """The periodic task of one store, run by run."""

    def __init__(self, stack: Stack) -> None:
        self.stack = stack
        self.use()

    def use(self, **keys: Any) -> None:
        """Restart the worker with these keys in the stores file."""
        self.resources = self.stack.resources(**{"overflow": "storefront", **keys})
        self.task = BuyerTokenFetcher(self.resources, clock=self.stack.clock)

    @property
    def buyers(self) -> ActiveBuyers:
        return ActiveBuyers(self.stack.redis)

    @property
    def tokens(self) -> StorefrontTokens:
        return StorefrontTokens(self.stack.redis, DEMO_STORE_HASH, [SecretStr("sandbox-access-token")])

    async def has_users(self) -> None:
        """The store has fifty more Company users."""
        store = DEMO_STORE.model_dump(mode="json", by_alias=True)
        users = [{"customer_id": customer, "company_id": 5001} for customer in MANY]
        await self.stack.sandbox.put_store(**{**store, "users": [*store["users"], *users]})

    async def ordered(self, customer_id: int, orders: int = 1, channel_id: int = 1) -> None:
        for _ in range(orders):
            buyer = ActiveBuyer(customer_id, channel_id)
            await self.buyers.note_order(DEMO_STORE_HASH, buyer, at=self.stack.clock())

    async def run(self) -> float:
        """Run once; returns in how many seconds the next run is due."""
        with pytest.raises(Retry) as retry:
            await self.task.run({}, DEMO_STORE_HASH)
        return (retry.value.defer_score or 0) / 1000

    async def next_minute(self) -> None:
        self.stack.clock.tick(60.0)
        await self.stack.redis.delete(f"enrich:storefront-fetched:{DEMO_STORE_HASH}")

    async def held(self, *customers: int) -> list[int]:
        """Those of the customers for whom a token is held."""
        held = await self.tokens.held_for([ActiveBuyer(customer, 1) for customer in customers])
        return [customer for customer, seconds in zip(customers, held, strict=True) if seconds]

    async def calls(self, operation: str = FETCH) -> int:
        return sum((await self.stack.sandbox.calls())["b2b"].get(operation, {}).values())


@pytest.fixture
async def fetcher(stack: Stack) -> Fetcher:
    return Fetcher(stack)


async def test_a_token_is_fetched_for_a_company_user_who_ordered(fetcher: Fetcher) -> None:
    await fetcher.ordered(ADA)
    assert await fetcher.run() == 60.0
    assert await fetcher.held(ADA, BEN) == [ADA]

    await fetcher.next_minute()
    await fetcher.run()
    assert await fetcher.calls() == 1, "a held token is not fetched again"


async def test_twenty_a_minute_are_fetched_the_most_active_first(fetcher: Fetcher) -> None:
    await fetcher.has_users()
    for customer in MANY:
        await fetcher.ordered(customer, orders=1 + (customer >= 2026))
    await fetcher.run()
    first = await fetcher.held(*MANY)
    assert len(first) == 20
    assert min(first) >= 2026

    # Whatever makes the job run again within the minute.
    assert 0 < await fetcher.run() <= 60.0
    assert await fetcher.calls() == 20
    await fetcher.next_minute()
    await fetcher.run()
    assert len(await fetcher.held(*MANY)) == await fetcher.calls() == 40


async def test_none_is_fetched_for_super_admins_and_shoppers_of_no_company(fetcher: Fetcher) -> None:
    await fetcher.stack.knows_super_admins(SUE)
    for customer in (SUE, ZOE, ADA):
        await fetcher.ordered(customer)
    await fetcher.run()
    assert await fetcher.held(SUE, ZOE, ADA) == [ADA]
    assert await fetcher.calls() == 1
    assert await fetcher.calls(USER) == 2, "of a Super Admin, nobody is asked"

    await fetcher.next_minute()
    await fetcher.run()
    assert await fetcher.calls(USER) == 2, "until they order again"


async def test_none_is_fetched_while_super_admins_are_unknown(fetcher: Fetcher) -> None:
    await fetcher.ordered(ADA)
    fetcher.stack.clock.tick(7201.0)
    await fetcher.run()
    assert await fetcher.held(ADA) == []
    assert "Super Admins" in (await TokenProblem(fetcher.stack.redis, DEMO_STORE_HASH).read() or "")


async def test_a_token_is_for_a_buyer_and_a_channel(fetcher: Fetcher) -> None:
    await fetcher.ordered(ADA, channel_id=7)
    await fetcher.run()
    assert await fetcher.tokens.get(ADA, 7) is not None
    assert await fetcher.held(ADA) == []


async def test_a_changed_access_token_makes_the_tokens_unreadable_and_they_are_fetched_again(fetcher: Fetcher) -> None:
    await StorefrontTokens(fetcher.stack.redis, DEMO_STORE_HASH, [SecretStr("the last one")]).put(
        ADA, 1, SecretStr("sealed with the last one")
    )
    await fetcher.ordered(ADA)
    assert await fetcher.tokens.get(ADA, 1) is None
    await fetcher.run()
    assert await fetcher.held(ADA) == [ADA]


async def test_a_token_is_renewed_before_it_is_gone(fetcher: Fetcher) -> None:
    await fetcher.ordered(ADA)
    await fetcher.run()
    (key,) = await fetcher.stack.redis.keys("enrich:storefront-token:*")
    before = await fetcher.stack.redis.get(key)
    await fetcher.stack.redis.expire(key, 599)
    await fetcher.next_minute()
    await fetcher.run()
    assert await fetcher.stack.redis.get(key) != before
    assert await fetcher.stack.redis.ttl(key) > 22 * 3600


async def test_a_buyer_who_is_refused_a_token_does_not_keep_others_from_theirs(fetcher: Fetcher) -> None:
    gone = 777
    store = DEMO_STORE.model_dump(mode="json", by_alias=True)
    await fetcher.ordered(gone, orders=3)
    await fetcher.ordered(ADA)
    # A Company user that the Users API has just shown, and that is deleted before the token is asked for.
    await fetcher.stack.sandbox.put_store(
        **{**store, "users": [*store["users"], {"customer_id": gone, "company_id": 5001}]}
    )
    await fetcher.resources.redis.delete(f"enrich:storefront-fetched:{DEMO_STORE_HASH}")
    original = BuyerTokenFetcher._fetch_one

    async def deleted_meanwhile(task: Any, store_: Any, tokens: Any, buyer: ActiveBuyer) -> bool:
        if buyer.customer_id == gone:
            await fetcher.stack.sandbox.put_store(**store)
        return await original(task, store_, tokens, buyer)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(BuyerTokenFetcher, "_fetch_one", deleted_meanwhile)
        await fetcher.run()
    assert await fetcher.held(gone, ADA) == [ADA]


@pytest.mark.parametrize(
    ("status", "level"), [(403, "warning"), (503, "warning")], ids=["no permission", "B2B Edition is down"]
)
async def test_trouble_is_kept_for_check_and_ends_no_task(fetcher: Fetcher, status: int, level: str) -> None:
    await fetcher.ordered(ADA)
    if status == 403:
        store = DEMO_STORE.model_dump(mode="json", by_alias=True)
        await fetcher.stack.sandbox.put_store(**{**store, "missing_scopes": ["b2b_modify"]})
    else:
        await fetcher.stack.sandbox.faults(b2b_down=True)
    with capture_logs() as logs:
        assert await fetcher.run() > 0
    assert [line["log_level"] for line in logs if line["event"] == "periodic_task_postponed"] == [level]
    assert f"{status}" in (await TokenProblem(fetcher.stack.redis, DEMO_STORE_HASH).read() or "")

    await fetcher.stack.sandbox.put_store(**DEMO_STORE.model_dump(mode="json", by_alias=True))
    await fetcher.stack.sandbox.faults()
    await fetcher.run()
    assert await fetcher.held(ADA) == [ADA]
    assert await TokenProblem(fetcher.stack.redis, DEMO_STORE_HASH).read() is None


async def test_the_calls_are_of_the_lowest_class(fetcher: Fetcher) -> None:
    transport, asked = fetcher.stack.transport, set[Priority]()
    budget = Budget(fetcher.stack.redis, clock=fetcher.stack.clock)
    transport._budget = budget
    spend = budget.spend

    async def note(store: str, api: Any, priority: Priority, **how: Any) -> Any:
        asked.add(priority)
        return await spend(store, api, priority, **how)

    budget.spend = note  # type: ignore[method-assign]
    await fetcher.ordered(ADA)
    await fetcher.run()
    assert asked == {Priority.BACKGROUND}


@pytest.mark.parametrize(
    ("keys", "is_queued"),
    [
        ({"overflow": "storefront"}, True),
        ({"overflow": "off"}, False),
        ({"overflow": "off", "order_comment": True}, True),
    ],
)
async def test_only_stores_that_write_as_their_buyers_have_the_task(
    fetcher: Fetcher, redis: ArqRedis, keys: dict[str, Any], *, is_queued: bool
) -> None:
    store = fetcher.stack.configured().store.model_copy(update=keys)
    await ensure_token_jobs(redis, [store], clock=fetcher.stack.clock)
    assert bool(await redis.zcard(FETCH_TOKENS.queue)) is is_queued


async def test_the_task_ends_when_its_store_no_longer_writes_as_its_buyers(fetcher: Fetcher) -> None:
    fetcher.use(overflow="off")
    await fetcher.ordered(ADA)
    await fetcher.task.run({}, DEMO_STORE_HASH)  # no Retry
    assert await fetcher.held(ADA) == []


async def test_who_ordered_before_the_key_was_set_is_taken_from_the_ledger_once(fetcher: Fetcher) -> None:
    now = fetcher.stack.clock()
    for order_id, (customer, age_s, status) in enumerate(
        [(ADA, 60.0, Status.CREATED), (BEN, 31 * DAY_S, Status.CREATED), (103, 60.0, Status.SKIPPED)], 1
    ):
        times = {Stage.CREATED: now - age_s}
        entry = Entry(DEMO_STORE_HASH, order_id, customer_id=customer, status=status, times=times)
        await fetcher.stack.transitions.finish(entry)
    await fetcher.run()
    assert await fetcher.held(ADA, BEN, 103) == [ADA]

    await fetcher.buyers.forget(DEMO_STORE_HASH, [ActiveBuyer(ADA, 1)])
    await fetcher.next_minute()
    await fetcher.run()
    assert await fetcher.buyers.most_active(DEMO_STORE_HASH, now=now) == []


@pytest.mark.parametrize(
    ("changes", "is_noted"),
    [
        ({"status": Status.CREATED}, True),
        ({"status": Status.UPDATED, "channel_id": 7}, True),
        ({"status": Status.UNCHANGED}, True),
        ({"status": Status.SKIPPED, "reason": "not_a_company_user"}, False),
        ({"status": Status.FAILED}, False),
        ({"status": Status.CREATED, "customer_id": 0}, False),
        ({"status": Status.CREATED, "age_s": 31 * DAY_S}, False),
        ({"status": Status.CREATED, "overflow": "off"}, False),
    ],
)
async def test_who_is_noted_as_a_buyer(fetcher: Fetcher, changes: dict[str, Any], *, is_noted: bool) -> None:
    age_s, overflow = changes.pop("age_s", 0.0), changes.pop("overflow", "storefront")
    fetcher.use(overflow=overflow)
    times = {Stage.CREATED: fetcher.stack.clock() - age_s}
    entry = Entry(DEMO_STORE_HASH, 1, **{"customer_id": ADA, "times": times, **changes})
    await note_active_buyer(fetcher.resources, entry, fetcher.resources.configuration.stores[DEMO_STORE_HASH])
    noted = await fetcher.buyers.most_active(DEMO_STORE_HASH, now=fetcher.stack.clock())
    assert noted == ([ActiveBuyer(ADA, changes.get("channel_id", 1))] if is_noted else [])
