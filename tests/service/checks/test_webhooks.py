"""Webhooks: each trouble, and what it means that they cannot be looked at."""

from pathlib import Path
from typing import Any

import httpx
import pytest

from service.bigcommerce.hooks import Hook
from service.checks.webhooks import check_webhooks, of_webhooks
from service.stores import Endpoints
from tests.fakes.checks import configured, lines
from tests.fakes.upstream import FakeUpstream, store_api

CREATED, STATUS = "store/order/created", "store/order/statusUpdated"
OURS = "https://me.example/webhooks/bigcommerce"
FOREIGN = "https://erp.example/hook"

MISSING = (
    f"error  webhook {CREATED}  there is none: new orders are found by looking, often too late for their ten seconds."
    " `enrich hooks register --store abc123 --url https://…`, with the receiver's public address."
)
TOLD_OF = (
    f"warning  webhooks  one about orders goes to {FOREIGN}, another receiver than ours. If it is another program's,"
    f" all is well; if it is an old address of yours, `enrich hooks remove --store abc123 --url {FOREIGN}`."
)


def hook(
    scope: str = CREATED, destination: str = OURS, *, is_active: bool = True, headers: dict[str, str] | None = None
) -> Hook:
    return Hook(1, scope, destination, is_active, 0.0, headers or {})


def check(
    folder: Path, *hooks: Hook, keys: str = "", destination: str | None = OURS, **blocked: int | None
) -> list[str]:
    store = configured(folder, keys=keys).store
    by_host = {name.replace("_", "."): left for name, left in blocked.items()}
    return lines(of_webhooks(store, hooks, destination, by_host))


def test_what_arrives_is_fine(tmp_path: Path) -> None:
    assert check(tmp_path, hook()) == [f"ok  webhook {CREATED}  goes to {OURS}."]


def test_one_for_all_events_is_fine(tmp_path: Path) -> None:
    found = check(tmp_path, hook("store/order/*"), keys='incomplete_orders = "wait"')
    assert found == [f"ok  webhook store/order/*  goes to {OURS}."]


def test_none_at_all_is_an_error(tmp_path: Path) -> None:
    assert check(tmp_path, destination=None) == [MISSING]


def test_each_event_that_the_store_needs_is_looked_for(tmp_path: Path) -> None:
    missing, fine = check(tmp_path, hook(), keys='incomplete_orders = "wait"')
    assert missing.startswith(f"error  webhook {STATUS}  there is none")
    assert fine == f"ok  webhook {CREATED}  goes to {OURS}."


def test_one_that_is_switched_off_is_an_error(tmp_path: Path) -> None:
    assert check(tmp_path, hook(is_active=False)) == [
        f"error  webhook {CREATED}  BigCommerce has switched it off, as it does when deliveries fail for two days."
        " See that the receiver answers; then `enrich hooks repair --store abc123`."
    ]


@pytest.mark.parametrize(("headers", "is_fine"), [({}, False), ({"X-Key": "old"}, False), ({"x-key": "k"}, True)])
def test_one_without_the_headers_of_the_file_is_an_error(
    tmp_path: Path, headers: dict[str, str], is_fine: bool
) -> None:
    (line,) = check(tmp_path, hook(headers=headers), keys='webhook_headers = { X-Key = "k" }')
    assert line == (
        f"ok  webhook {CREATED}  goes to {OURS}."
        if is_fine
        else f"error  webhook {CREATED}  it does not carry the webhook_headers of the stores file: the receiver refuses"
        " what it brings. `enrich hooks repair --store abc123` writes them onto it."
    )


@pytest.mark.parametrize(("left", "for_now"), [(90, "for 90 s more"), (None, "for now")])
def test_a_blocked_domain_is_an_error_that_passes(tmp_path: Path, left: int | None, for_now: str) -> None:
    blocked, _ = check(tmp_path, hook(), me_example=left)
    assert blocked == (
        f"error  webhooks  BigCommerce sends no webhooks to me.example {for_now}: too many were not acknowledged."
        " It passes by itself. Look at why the receiver did not answer 200 within ten seconds."
    )


def test_another_domain_may_be_blocked(tmp_path: Path) -> None:
    assert check(tmp_path, hook(), other_example=90) == [f"ok  webhook {CREATED}  goes to {OURS}."]


def test_one_of_another_program_is_a_warning(tmp_path: Path) -> None:
    assert check(tmp_path, hook(), hook(destination=FOREIGN)) == [TOLD_OF, f"ok  webhook {CREATED}  goes to {OURS}."]


def test_only_one_of_another_program_is_not_enough(tmp_path: Path) -> None:
    assert check(tmp_path, hook(destination=FOREIGN), destination=None) == [MISSING, TOLD_OF]


def test_what_is_secret_in_an_address_is_not_shown(tmp_path: Path) -> None:
    destination = "https://me:pw@me.example/webhooks/bigcommerce?key=pw"
    assert "pw" not in str(check(tmp_path, hook(destination=destination), destination=destination))
    assert "pw" not in str(check(tmp_path, hook(destination=destination)))


# ── read from BigCommerce ───────────────────────────────────────────────────────────────────────────────────────


async def ask(folder: Path, upstream: FakeUpstream, destination: str | None = None) -> list[str]:
    async with store_api(upstream) as api:
        return lines(await check_webhooks(api.core, configured(folder).store, Endpoints(), destination))


def answer(**hook: Any) -> dict[str, Any]:
    return {"data": [{"id": 1, "scope": CREATED, "is_active": True, **hook}]}


async def test_ours_are_known_by_their_path_where_nothing_is_remembered(tmp_path: Path) -> None:
    upstream = FakeUpstream()
    upstream.on("GET /v3/hooks", answer(destination=OURS))
    upstream.on("GET /v3/hooks/admin", {"data": {"blocked_domains": []}})
    assert await ask(tmp_path, upstream) == [f"ok  webhook {CREATED}  goes to {OURS}."]


async def test_ours_are_those_that_go_where_is_remembered(tmp_path: Path) -> None:
    upstream = FakeUpstream()
    upstream.on("GET /v3/hooks", answer(destination=FOREIGN))
    upstream.on("GET /v3/hooks/admin", {"data": {"blocked_domains": []}})
    assert await ask(tmp_path, upstream, FOREIGN) == [f"ok  webhook {CREATED}  goes to {FOREIGN}."]


async def test_a_blocklist_that_may_not_be_read_is_left_out(tmp_path: Path) -> None:
    upstream = FakeUpstream()
    upstream.on("GET /v3/hooks", answer(destination=OURS))
    upstream.on("GET /v3/hooks/admin", 403)
    assert await ask(tmp_path, upstream) == [f"ok  webhook {CREATED}  goes to {OURS}."]


@pytest.mark.parametrize(
    ("refusal", "start"),
    [
        (403, "error  webhooks  the access token lacks the scope Information & Settings: read-only (403)."),
        (401, "error  webhooks  BigCommerce refuses the access token (401: Unauthorized)."),
        (503, "error  webhooks  BigCommerce has trouble of its own (503: Service Unavailable)."),
        (httpx.ReadTimeout("late"), "error  webhooks  api.bigcommerce.com does not answer in time."),
    ],
)
async def test_webhooks_that_cannot_be_read_are_one_finding(tmp_path: Path, refusal: Any, start: str) -> None:
    upstream = FakeUpstream()
    upstream.on("GET /v3/hooks", refusal)
    (line,) = await ask(tmp_path, upstream)
    assert line.startswith(start)
