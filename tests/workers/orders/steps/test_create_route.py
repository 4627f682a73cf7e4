"""Creates past B2B Edition's quota: over the storefront API with a held token, else as always."""

import json
from collections.abc import Callable
from typing import Any

import httpx
import pytest
from pydantic import SecretStr
from structlog.testing import capture_logs

from service.orders.state.keys import storefront_closed_key, storefront_failures_key
from service.orders.state.order_entry import Status
from service.orders.state.per_store.storefront.storefront_breaker import Permission
from service.orders.state.per_store.storefront.storefront_tokens import StorefrontTokens
from tests.fakes.stacks.job_stack import CUSTOMER, ORDER, RECORD
from tests.fakes.stacks.overflow_stack import (
    BOTH,
    COMMENT,
    CREATE,
    OVERFLOW,
    STOREFRONT,
    TAKEN,
    TOKEN,
    UNSURE,
    WINDOW_S,
    Overflow,
    events_of,
    over_quota,
    refused,
)
from tests.fakes.upstream import STORE_HASH

# ── with a held token ─────────────────────────────────────────────────────────────────────────────────────────────────


async def test_a_create_without_room_goes_over_the_storefront(overflow: Overflow) -> None:
    await overflow.hold()
    with capture_logs() as logs:
        await overflow.attempt()
        entry = await overflow.stack.run_until_finished()

    assert (entry.status, entry.verified, entry.in_window, entry.via) == (Status.CREATED, True, True, "storefront")
    assert overflow.asked[0] == STOREFRONT
    assert CREATE not in overflow.asked
    assert overflow.sent == [
        {
            "orderId": ORDER,
            "isSaveOrderComment": "1",
            "poNumber": "PO1",
            "extraFields": [{"fieldName": "F", "fieldValue": "fv"}],
        }
    ]
    request = next(request for request in overflow.stack.upstream.requests if request.url.path == "/api/v2/orders")
    assert request.headers["Authorization"] == f"Bearer {TOKEN}"
    assert "access-token" not in str(request.headers)
    (line,) = [line for line in logs if line["event"] == "order_enriched"]
    assert line["via"] == "storefront"
    assert entry.history[0].result == "Create an Order was taken over the storefront API"
    assert TOKEN not in json.dumps(logs, default=str)
    metrics = overflow.stack.resources.metrics.text()
    assert b'enrich_creates_total{store="abc123",via="storefront"} 1.0' in metrics


async def test_a_create_with_room_goes_over_b2b_edition(overflow: Overflow) -> None:
    await overflow.hold()
    await overflow.stack.webhook()
    entry = await overflow.stack.run_until_finished()

    assert (entry.status, entry.via) == (Status.CREATED, "b2b")
    assert overflow.asked[0] == CREATE
    assert STOREFRONT not in overflow.asked


@pytest.mark.parametrize(
    ("left", "age_s", "route"),
    [
        (44, 0.0, STOREFRONT),  # the last 30 % are kept for buyers without a token
        (50, 0.0, CREATE),
        (20, 40.0, CREATE),  # fewer and fewer of them
        (1, 40.0, STOREFRONT),
        (1, 56.0, CREATE),  # the reset is four seconds away, in the window
        (0, 56.0, None),  # so the order waits for it
        (0, 40.0, STOREFRONT),
        (0, 51.0, STOREFRONT),  # the reset would leave it too little time
    ],
)
async def test_how_much_room_the_quota_needs(overflow: Overflow, left: int, age_s: float, route: str | None) -> None:
    await overflow.hold()
    await overflow.leave(left + 1, age_s=age_s)  # the field settings take one
    await overflow.stack.webhook()
    await overflow.stack.run_next()
    assert overflow.asked[:1] == ([route] if route else [])

    entry = await overflow.stack.run_until_finished()
    assert (entry.status, entry.in_window) == (Status.CREATED, True)


async def test_a_call_that_others_have_spent_is_made_up_for(overflow: Overflow) -> None:
    """The budget believed in a call, and B2B Edition answers 429."""
    await overflow.hold()
    overflow.stack.upstream.on(CREATE, over_quota())
    await overflow.stack.webhook()
    entry = await overflow.stack.run_until_finished()

    assert overflow.asked[:2] == [CREATE, STOREFRONT]
    assert (entry.status, entry.in_window, entry.via) == (Status.CREATED, True, "storefront")


# ── who has none, or must not use it ──────────────────────────────────────────────────────────────────────────────────


async def holds_nothing(_: Overflow) -> None:
    return


async def holds_for_another_channel(overflow: Overflow) -> None:
    await overflow.hold(channel_id=7)


async def holds_for_a_super_admin(overflow: Overflow) -> None:
    await overflow.hold()
    await overflow.stack.knows_super_admins(CUSTOMER)


async def does_not_know_super_admins(overflow: Overflow) -> None:
    await overflow.hold()
    await overflow.stack.redis.delete(f"enrich:super-admins:{STORE_HASH}")


async def is_closed(overflow: Overflow) -> None:
    await overflow.hold()
    await overflow.breaker.over_quota(Permission())


async def is_off(overflow: Overflow) -> None:
    await overflow.hold()
    overflow.stack.configure()


async def has_another_access_token(overflow: Overflow) -> None:
    tokens = StorefrontTokens(overflow.stack.redis, STORE_HASH, [SecretStr("the last one")])
    await tokens.put(CUSTOMER, 1, SecretStr(TOKEN))


@pytest.mark.parametrize(
    "prepare",
    [
        holds_nothing,
        holds_for_another_channel,
        holds_for_a_super_admin,
        does_not_know_super_admins,
        is_closed,
        is_off,
        has_another_access_token,
    ],
)
async def test_without_a_usable_token_the_order_takes_the_ordinary_way(
    overflow: Overflow, prepare: Callable[[Overflow], Any]
) -> None:
    await prepare(overflow)
    entry = await overflow.attempt()
    assert (entry.status, entry.sent, overflow.asked) == (Status.QUEUED, None, [])

    overflow.stack.record.make()
    entry = await overflow.stack.run_until_finished()
    assert (entry.status, entry.verified, entry.via) == (Status.UPDATED, True, None)
    assert overflow.stack.record.po_number == "PO1"


async def test_the_channel_of_the_order_decides_which_token_is_used(overflow: Overflow) -> None:
    overflow.stack.order["channel_id"] = 7
    await overflow.hold(channel_id=7)
    await overflow.attempt()
    assert overflow.asked == [STOREFRONT]


async def test_the_last_calls_are_for_buyers_without_a_token(overflow: Overflow) -> None:
    await overflow.leave(2)
    await overflow.stack.webhook()
    entry = await overflow.stack.run_until_finished()
    assert (entry.status, entry.in_window, entry.via) == (Status.CREATED, True, "b2b")


@pytest.mark.parametrize("gate", ["off", "paused"])
async def test_nothing_is_written_over_the_storefront_where_nothing_may_be_written(
    overflow: Overflow, gate: str
) -> None:
    await overflow.hold()
    if gate == "off":
        overflow.stack.configure(keys=f'{OVERFLOW}\nwrites = "off"')
    else:
        await overflow.stack.resources.pauses.begin(STORE_HASH, "ana")
    entry = await overflow.attempt()
    assert (entry.status, entry.sent, overflow.sent) == (Status.WAITING, None, [])


# ── the storefront API's answers ──────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("answer", "is_held", "is_closed"),
    [
        (refused(400, "User does not have permission to place an order", 40013), True, False),
        (refused(422, "Extra field F does not exist."), True, False),
        (refused(404, "Not Found Error"), True, False),
        (refused(401, "Unauthorized"), False, False),
        (refused(403, "Forbidden"), True, False),
        (over_quota(), True, True),
        (over_quota(has_headers=False), True, True),
    ],
)
async def test_a_refused_create_takes_the_ordinary_way(
    overflow: Overflow, answer: Any, *, is_held: bool, is_closed: bool
) -> None:
    await overflow.hold()
    overflow.stack.upstream.on(STOREFRONT, answer)
    entry = await overflow.attempt()

    assert overflow.asked == [STOREFRONT], "once in an attempt, and nothing is left for B2B Edition"
    assert (entry.status, entry.sent) == (Status.QUEUED, None)
    assert (await overflow.tokens.get(CUSTOMER, 1) is not None) is is_held
    assert bool(await overflow.stack.redis.exists(storefront_closed_key(STORE_HASH))) is is_closed
    assert not await overflow.stack.redis.exists(storefront_failures_key(STORE_HASH))
    assert not await overflow.stack.resources.breaker.is_open(STORE_HASH), "it says nothing of the store's own token"

    overflow.stack.record.make()
    entry = await overflow.stack.run_until_finished()
    assert (entry.status, entry.verified, entry.via) == (Status.UPDATED, True, None)
    assert overflow.stack.record.po_number == "PO1"


async def test_429_closes_this_way_for_a_minute_and_is_logged_once(overflow: Overflow) -> None:
    await overflow.hold()
    overflow.stack.upstream.on(STOREFRONT, over_quota())
    with capture_logs() as logs:
        await overflow.attempt()
        assert not await overflow.breaker.over_quota(Permission())
    assert events_of(logs) == [("storefront_closed", "warning", 60, "Create an Order: 429: Too Many Requests")]
    assert 0 < await overflow.stack.redis.ttl(storefront_closed_key(STORE_HASH)) <= 60


async def test_a_record_that_exists_is_compared(overflow: Overflow) -> None:
    await overflow.hold()
    overflow.stack.record.make("THEIRS")
    overflow.stack.upstream.on(STOREFRONT, refused(400, "The order already exists.", 40013))
    await overflow.attempt()
    entry = await overflow.stack.run_until_finished()

    assert (entry.status, entry.kept) == (Status.UPDATED, ["po_number"])
    assert (overflow.stack.record.po_number, overflow.stack.record.fields) == ("THEIRS", {"F": "fv"})


@pytest.mark.parametrize("answer", UNSURE.values(), ids=UNSURE)
@pytest.mark.parametrize("is_done", [True, False], ids=["done", "not done"])
async def test_an_unsure_create_is_read_back_before_any_other_write(
    overflow: Overflow, answer: Any, *, is_done: bool
) -> None:
    await overflow.hold()
    if is_done:
        overflow.takes(answer)
    else:
        overflow.stack.upstream.on(STOREFRONT, answer)
    entry = await overflow.attempt()
    assert overflow.asked == [STOREFRONT], "there is no call left to read it back now"
    assert entry.sent is not None
    assert (entry.sent.via, entry.sent.answered) == ("storefront", False)

    assert (await overflow.read_back(is_done=is_done)).verified


async def test_after_it_was_read_back_an_unsure_create_that_was_not_done_takes_the_ordinary_way(
    overflow: Overflow,
) -> None:
    """Inside the window, with calls left to read it back and to create: the storefront is closed meanwhile."""
    await overflow.hold()
    overflow.stack.upstream.on(STOREFRONT, (503, {}), lambda request: overflow._make(request, TAKEN))
    await overflow.leave(20)
    await overflow.stack.webhook()
    entry = await overflow.stack.run_until_finished()

    assert overflow.asked[:3] == [STOREFRONT, f"GET {RECORD}", CREATE]
    assert overflow.asked.count(STOREFRONT) == 1
    assert (entry.status, entry.in_window, entry.via) == (Status.CREATED, True, "b2b")


async def test_after_a_kill_what_was_sent_over_the_storefront_is_read_back(overflow: Overflow) -> None:
    """The worker died between saving what it is about to send, and the answer."""
    await overflow.hold()

    def kill(request: httpx.Request) -> Any:
        overflow._make(request, None)
        raise KeyboardInterrupt

    overflow.stack.upstream.on(STOREFRONT, kill)
    await overflow.leave(1)
    await overflow.stack.webhook()
    with pytest.raises(KeyboardInterrupt):
        await overflow.stack.run_next()
    overflow.stack.clock.tick(WINDOW_S)

    entry = await overflow.stack.run_until_finished()
    assert overflow.asked[1] == f"GET {RECORD}"
    assert (overflow.asked.count(STOREFRONT), overflow.asked.count(CREATE)) == (1, 0)
    assert (entry.status, entry.via, entry.verified) == (Status.CREATED, "storefront", True)


# ── the order's comment ───────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("keys", [COMMENT, BOTH])
async def test_a_create_that_keeps_the_comment_goes_over_the_storefront(overflow: Overflow, keys: str) -> None:
    overflow.stack.configure(keys=keys)
    await overflow.hold()
    await overflow.stack.webhook()
    entry = await overflow.stack.run_until_finished()

    assert overflow.sent[0]["isSaveOrderComment"] == "0"
    assert CREATE not in overflow.asked
    assert (entry.status, entry.via, entry.comment_not_kept) == (Status.CREATED, "storefront", False)


@pytest.mark.parametrize(
    ("comment", "answer", "is_noted"),
    [
        ("PO1", None, True),
        ("PO1", refused(400, "User does not have permission to place an order", 40013), True),
        ("PO1", refused(401, "Unauthorized"), True),
        ("PO1", over_quota(), True),
        ("PO1", httpx.ConnectError("refused"), True),
        ("", None, False),  # there is none
    ],
)
async def test_where_it_takes_the_ordinary_way_the_order_notes_that_its_comment_is_not_kept(
    overflow: Overflow, comment: str, answer: Any, *, is_noted: bool
) -> None:
    overflow.stack.configure(keys=COMMENT)
    overflow.stack.order["customer_message"] = comment
    if answer is not None:
        await overflow.hold()
        overflow.stack.upstream.on(STOREFRONT, answer)
    await overflow.stack.webhook()
    with capture_logs() as logs:
        entry = await overflow.stack.run_until_finished()

    assert overflow.asked.count(CREATE) == 1
    assert (entry.status, entry.in_window, entry.via) == (Status.CREATED, True, "b2b")
    assert entry.comment_not_kept is is_noted
    (line,) = [line for line in logs if line["event"] == "order_enriched"]
    assert line["comment_not_kept"] is is_noted


async def test_an_unsure_create_that_keeps_the_comment_is_not_sent_there_again(overflow: Overflow) -> None:
    overflow.stack.configure(keys=COMMENT)
    await overflow.hold()
    overflow.stack.upstream.on(STOREFRONT, (503, {}))
    await overflow.stack.webhook()
    entry = await overflow.stack.run_until_finished()

    assert overflow.asked[:3] == [STOREFRONT, f"GET {RECORD}", CREATE]
    assert (entry.status, entry.in_window, entry.comment_not_kept) == (Status.CREATED, True, True)


async def test_a_create_that_is_tried_though_the_window_may_have_closed_goes_over_b2b_edition(
    overflow: Overflow,
) -> None:
    overflow.stack.configure(keys=BOTH)
    await overflow.hold()
    overflow.stack.clock.tick(300.0)
    await overflow.stack.webhook()
    entry = await overflow.stack.run_until_finished()
    assert (overflow.asked.count(CREATE), overflow.asked.count(STOREFRONT)) == (1, 0)
    assert (entry.status, entry.in_window) == (Status.CREATED, None)
