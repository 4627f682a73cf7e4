"""What is said of refused webhooks."""

import pytest

from service.checks.access.refused_webhooks import last_hour, refused_findings, unknown_findings
from service.orders.state.per_store.webhook_counts import WebhookCounts
from service.redis.client import connect
from tests.fakes.stacks.checks import lines


@pytest.mark.parametrize(
    ("counts", "starts"),
    [
        ({}, []),
        ({"accepted": 9}, []),
        (
            {"bad_signature": 3},
            [
                "error  refused webhooks  3 webhooks refused in the last hour (bad_signature), none was accepted."
                " Compare client_secret with the API account whose token registered the webhooks: it may be"
            ],
        ),
        (
            {"accepted": 40, "bad_header": 1},
            [
                "warning  refused webhooks  1 webhook refused in the last hour (bad_header), 40 were accepted."
                " They lack a header of webhook_headers, or have another value: run"
                " `enrich hooks repair --store abc123`."
            ],
        ),
        (
            {"stale": 2, "unsigned": 1},
            [
                "error  refused webhooks  2 webhooks refused in the last hour (stale), none was accepted. Synchronize",
                "error  refused webhooks  1 webhook refused in the last hour (unsigned), none was accepted. They carry",
            ],
        ),
    ],
)
def test_refused_webhooks_are_an_error_where_none_is_accepted(counts: dict[str, int], starts: list[str]) -> None:
    found = lines(refused_findings("abc123", counts))
    assert len(found) == len(starts)
    assert [line[: len(start)] for line, start in zip(found, starts, strict=True)] == starts


def test_requests_without_a_known_store_are_warnings() -> None:
    assert lines(unknown_findings({"": {"wrong_path": 2, "unknown_store": 1}, "abc123": {"stale": 3}})) == [
        "warning  refused webhooks  2 requests of the last hour went to a wrong path: answered 404."
        " Webhooks go to https://…/webhooks/bigcommerce: compare with `enrich hooks list`, and see"
        " `webhook_wrong_path`.",
        "warning  refused webhooks  1 webhook of the last hour came from a store that is not in the stores file."
        " Add the store, or remove its webhooks with `enrich hooks remove` and its token.",
    ]


async def test_without_redis_nothing_is_known(redis_url: str) -> None:
    assert await last_hour(None) == {}
    async with connect("redis://127.0.0.1:1/0") as nowhere:
        assert await last_hour(nowhere) == {}
    async with connect(redis_url) as redis:
        await WebhookCounts(redis).add({("abc123", "stale"): 1}, now=1e9)
        assert await last_hour(redis, lambda: 1e9) == {"abc123": {"stale": 1}}
