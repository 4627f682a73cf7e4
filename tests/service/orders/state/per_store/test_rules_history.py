"""The versions of a store's rules that are kept."""

from service.orders.state.per_store.rules_history import KEEP, UNKNOWN, RulesHistory
from service.redis.client import connect


async def test_the_last_versions_are_kept_the_newest_first(redis_url: str) -> None:
    async with connect(redis_url) as redis:
        history = RulesHistory(redis, clock=iter(range(100, 1000)).__next__)
        for number in range(KEEP + 3):
            await history.add("abc123", f"person {number}", f"rules {number}", "d")
        versions = await history.list("abc123")
        assert [version.text for version in versions] == [f"rules {number}" for number in range(KEEP + 2, 2, -1)]
        assert versions[0].who == f"person {KEEP + 2}"
        assert await history.find("abc123", versions[-1].id) == versions[-1]
        assert await history.find("abc123", "100000") is None
        assert await history.list("other1") == []


async def test_what_was_changed_in_the_file_by_hand_is_kept_too(redis_url: str) -> None:
    async with connect(redis_url) as redis:
        history = RulesHistory(redis)
        await history.add("abc123", "ana", "second", "d", before="first")
        await history.add("abc123", "ana", "third", "d", before="second")
        await history.add("abc123", "ben", "fifth", "d", before="by hand")
        kept = [(version.who, version.text) for version in await history.list("abc123")]
    assert kept == [
        ("ben", "fifth"),
        (UNKNOWN, "by hand"),
        ("ana", "third"),
        ("ana", "second"),
        (UNKNOWN, "first"),
    ]
