"""Checks of webhooks: a finding for each problem, and for each failure to read them."""

from pathlib import Path
from typing import Any

import httpx
import pytest

from service.bigcommerce.clients.hooks import Hook
from service.checks.access.webhooks import check_webhooks, webhook_findings
from service.stores import Endpoints
from tests.fakes.stacks.checks import configured, lines
from tests.fakes.upstream import FakeUpstream, store_api

CREATED, STATUS = "store/order/created", "store/order/statusUpdated"
OURS = "https://me.example/webhooks/bigcommerce"
FOREIGN = "https://erp.example/hook"
FOLLOWS_NOT = 'follow = "0s"\n'

MISSING = (
    f"error  webhook {CREATED}  does not exist: new orders are found only by polling, and some will miss their ten"
    " seconds. Run `enrich hooks register --store abc123 --url https://…` with the receiver's public address."
)
OTHER = (
    f"warning  webhooks  one for orders goes to {FOREIGN}, which is not our receiver. If another program uses it,"
    f" that is fine. If it is an old address of yours, run `enrich hooks remove --store abc123 --url {FOREIGN}`."
)


def hook(
    scope: str = CREATED, destination: str = OURS, *, is_active: bool = True, headers: dict[str, str] | None = None
) -> Hook:
    return Hook(1, scope, destination, is_active, 0.0, headers or {})


def check(
    folder: Path, *hooks: Hook, keys: str = "", destination: str | None = OURS, **blocked: int | None
) -> list[str]:
    store = configured(folder, keys=f"{'' if 'follow' in keys else FOLLOWS_NOT}{keys}")
    by_host = {name.replace("_", "."): left for name, left in blocked.items()}
    return lines(webhook_findings(store, hooks, destination, by_host))


def test_an_active_webhook_is_ok(tmp_path: Path) -> None:
    assert check(tmp_path, hook()) == [f"ok  webhook {CREATED}  goes to {OURS}."]


def test_a_webhook_for_all_order_events_is_ok(tmp_path: Path) -> None:
    found = check(tmp_path, hook("store/order/*"), keys='incomplete_orders = "wait"')
    assert found == [f"ok  webhook store/order/*  goes to {OURS}."]


def test_a_missing_webhook_is_an_error(tmp_path: Path) -> None:
    assert check(tmp_path, destination=None) == [MISSING]


def test_each_scope_that_the_store_needs_is_checked(tmp_path: Path) -> None:
    missing, fine = check(tmp_path, hook(), keys='incomplete_orders = "wait"')
    assert missing.startswith(f"error  webhook {STATUS}  does not exist")
    assert fine == f"ok  webhook {CREATED}  goes to {OURS}."


def test_an_inactive_webhook_is_an_error(tmp_path: Path) -> None:
    assert check(tmp_path, hook(is_active=False)) == [
        f"error  webhook {CREATED}  BigCommerce has deactivated it, as it does after two days of failed deliveries."
        " Check that the receiver answers, then run `enrich hooks repair --store abc123`."
    ]


@pytest.mark.parametrize(("headers", "is_fine"), [({}, False), ({"X-Key": "old"}, False), ({"x-key": "k"}, True)])
def test_a_webhook_without_the_headers_of_the_file_is_an_error(
    tmp_path: Path, headers: dict[str, str], is_fine: bool
) -> None:
    (line,) = check(tmp_path, hook(headers=headers), keys='webhook_headers = { X-Key = "k" }')
    assert line == (
        f"ok  webhook {CREATED}  goes to {OURS}."
        if is_fine
        else f"error  webhook {CREATED}  lacks the webhook_headers of the stores file: the receiver refuses"
        " its deliveries. Run `enrich hooks repair --store abc123`."
    )


@pytest.mark.parametrize(("left", "for_now"), [(90, "for 90 s more"), (None, "for now")])
def test_a_blocked_domain_is_an_error_with_the_seconds_left(tmp_path: Path, left: int | None, for_now: str) -> None:
    blocked, _ = check(tmp_path, hook(), me_example=left)
    assert blocked == (
        f"error  webhooks  BigCommerce sends no webhooks to me.example {for_now}: too many were not acknowledged."
        " The block ends by itself. Find out why the receiver did not answer 200 within ten seconds."
    )


def test_another_blocked_domain_is_ignored(tmp_path: Path) -> None:
    assert check(tmp_path, hook(), other_example=90) == [f"ok  webhook {CREATED}  goes to {OURS}."]


def test_a_webhook_of_another_program_is_a_warning(tmp_path: Path) -> None:
    assert check(tmp_path, hook(), hook(destination=FOREIGN)) == [OTHER, f"ok  webhook {CREATED}  goes to {OURS}."]


def test_a_webhook_of_another_program_does_not_replace_ours(tmp_path: Path) -> None:
    assert check(tmp_path, hook(destination=FOREIGN), destination=None) == [MISSING, OTHER]


def test_secrets_in_a_destination_are_not_shown(tmp_path: Path) -> None:
    destination = "https://me:pw@me.example/webhooks/bigcommerce?key=pw"
    assert "pw" not in str(check(tmp_path, hook(destination=destination), destination=destination))
    assert "pw" not in str(check(tmp_path, hook(destination=destination)))


# ── optional webhooks ───────────────────────────────────────────────────────────────────────────────────────────


FOLLOWS = 'follow = "24h"\n'
OPTIONAL = "store/order/updated, store/company/user/created, store/company/user/updated, store/company/statusUpdated"
NOT_NEEDED = "Orders are enriched all the same; what comes or changes after them is noticed later."


def test_missing_optional_webhooks_are_one_warning(tmp_path: Path) -> None:
    assert check(tmp_path, hook(), keys=FOLLOWS) == [
        f"warning  webhooks  {OPTIONAL}: not registered. {NOT_NEEDED}"
        " Run `enrich hooks register --store abc123 --url https://…` with the receiver's public address.",
        f"ok  webhook {CREATED}  goes to {OURS}.",
    ]


def test_without_any_webhook_the_error_alone_names_the_cure(tmp_path: Path) -> None:
    assert check(tmp_path, destination=None, keys=FOLLOWS) == [MISSING]


def test_optional_webhooks_that_do_not_work_are_a_warning_for_each_reason(tmp_path: Path) -> None:
    header = {"X-Key": "k"}
    hooks = [hook(headers=header), hook("store/company/*", headers=header, is_active=False)]
    found = check(tmp_path, *hooks, hook("store/order/updated"), keys=FOLLOWS + 'webhook_headers = { X-Key = "k" }\n')
    assert found == [
        f"warning  webhooks  store/company/*: deactivated by BigCommerce. {NOT_NEEDED}"
        " Run `enrich hooks repair --store abc123`.",
        "warning  webhooks  store/order/updated: without the webhook_headers of the stores file, so the receiver"
        f" refuses the deliveries. {NOT_NEEDED} Run `enrich hooks repair --store abc123`.",
        f"ok  webhook {CREATED}  goes to {OURS}.",
    ]


def test_a_wildcard_counts_and_what_is_not_documented_is_said(tmp_path: Path) -> None:
    store = configured(tmp_path, '"A" = "metafields.a.b"', keys=FOLLOWS)
    found = lines(webhook_findings(store, [hook("store/order/*"), hook("store/company/*")], OURS, {}))
    assert found == [
        f"ok  webhook store/order/*  goes to {OURS}."
        " BigCommerce does not document whether it is also sent for metafields.",
        f"ok  webhook store/company/*  goes to {OURS}.",
    ]


# ── read from BigCommerce ───────────────────────────────────────────────────────────────────────────────────────


async def ask(
    folder: Path, upstream: FakeUpstream, destination: str | None = None, *, is_received: bool = False
) -> list[str]:
    store = configured(folder, keys=FOLLOWS_NOT)
    async with store_api(upstream) as api:
        return lines(await check_webhooks(api.core, store, Endpoints(), destination, is_received=is_received))


def answer(**hook: Any) -> dict[str, Any]:
    return {"data": [{"id": 1, "scope": CREATED, "is_active": True, **hook}]}


async def test_without_saved_state_ours_are_recognized_by_their_path(tmp_path: Path) -> None:
    upstream = FakeUpstream()
    upstream.on("GET /v3/hooks", answer(destination=OURS))
    upstream.on("GET /v3/hooks/admin", {"data": {"blocked_domains": []}})
    assert await ask(tmp_path, upstream) == [f"ok  webhook {CREATED}  goes to {OURS}."]


async def test_ours_are_those_that_go_where_is_remembered(tmp_path: Path) -> None:
    upstream = FakeUpstream()
    other = "https://other.example/bc/webhooks/bigcommerce"
    upstream.on("GET /v3/hooks", answer(destination=other))
    upstream.on("GET /v3/hooks/admin", {"data": {"blocked_domains": []}})
    assert await ask(tmp_path, upstream, other) == [f"ok  webhook {CREATED}  goes to {other}."]


WRONG = "https://me.example/webhooks/orders"


async def test_webhooks_to_a_path_that_the_receiver_lacks_are_an_error_and_the_right_ones_are_kept(
    tmp_path: Path,
) -> None:
    upstream = FakeUpstream()
    both = [{"id": at, "scope": CREATED, "is_active": True, "destination": url} for at, url in enumerate((WRONG, OURS))]
    upstream.on("GET /v3/hooks", {"data": both})
    upstream.on("GET /v3/hooks/admin", {"data": {"blocked_domains": []}})
    assert await ask(tmp_path, upstream, WRONG) == [
        f"error  webhooks  they go to {WRONG}, where the receiver answers 404: it takes them at /webhooks/bigcommerce"
        " only. Run `enrich hooks register --store abc123 --url https://me.example`, then"
        f" `enrich hooks remove --store abc123 --url {WRONG}`.",
        f"warning  webhooks  others go to {OURS}, which looks right. Keep them.",
    ]


async def test_a_path_at_which_webhooks_arrive_is_right_as_a_proxy_may_change_it(tmp_path: Path) -> None:
    upstream = FakeUpstream()
    upstream.on("GET /v3/hooks", answer(destination=WRONG))
    upstream.on("GET /v3/hooks/admin", {"data": {"blocked_domains": []}})
    assert await ask(tmp_path, upstream, WRONG, is_received=True) == [f"ok  webhook {CREATED}  goes to {WRONG}."]


def test_a_second_webhook_to_a_wrong_path_of_the_same_host_is_to_be_removed(tmp_path: Path) -> None:
    assert check(tmp_path, hook(), hook(destination=WRONG)) == [
        f"warning  webhooks  one for orders goes to {WRONG}, where the receiver answers 404. Remove it: `enrich hooks"
        f" remove --store abc123 --url {WRONG}`.",
        f"ok  webhook {CREATED}  goes to {OURS}.",
    ]


async def test_a_blocklist_that_cannot_be_read_is_left_out(tmp_path: Path) -> None:
    upstream = FakeUpstream()
    upstream.on("GET /v3/hooks", answer(destination=OURS))
    upstream.on("GET /v3/hooks/admin", 403)
    assert await ask(tmp_path, upstream) == [f"ok  webhook {CREATED}  goes to {OURS}."]


@pytest.mark.parametrize(
    ("refusal", "start"),
    [
        (403, "error  webhooks  the access token lacks the scope Information & Settings: read-only (403)."),
        (401, "error  webhooks  BigCommerce refuses the access token (401: Unauthorized)."),
        (503, "error  webhooks  BigCommerce has an internal problem (503: Service Unavailable)."),
        (httpx.ReadTimeout("late"), "error  webhooks  api.bigcommerce.com does not answer in time."),
    ],
)
async def test_webhooks_that_cannot_be_read_are_one_finding(tmp_path: Path, refusal: Any, start: str) -> None:
    upstream = FakeUpstream()
    upstream.on("GET /v3/hooks", refusal)
    (line,) = await ask(tmp_path, upstream)
    assert line.startswith(start)
