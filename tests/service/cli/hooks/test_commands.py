"""``enrich hooks`` against the sandbox: the calls to BigCommerce, the output, the destination that the workers get."""

import asyncio
import csv
import io
import json
import re
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from service.audit import log_recorded, system_user
from service.hooks import HookState, set_destination
from service.redis.client import connect
from service.sandbox.demo import DEMO_STORE_HASH
from tests.fakes.cli import CommandResult, Enrich
from tests.fakes.sandbox import RunningSandbox, running_sandbox

pytestmark = pytest.mark.integration

CREATED, STATUS = "store/order/created", "store/order/statusUpdated"
FOLLOWED = (
    "store/order/updated",
    "store/company/user/created",
    "store/company/user/updated",
    "store/company/statusUpdated",
)
HOST = "https://hooks.example.com"
OURS = f"{HOST}/webhooks/bigcommerce"
OLD = "https://old.example.com/webhooks/bigcommerce"
ERP = "https://erp.example.com/in"

SECRETS = ("new-header-secret", "old-header-secret", "wrong-header-secret", "hush")

STORE = """
[stores.{store}]
access_token = "{token}"
client_secret = "sandbox-client-secret"
webhook_headers = {{ "X-Key" = ["new-header-secret", "old-header-secret"] }}
incomplete_orders = "wait"
po_number = "order.customer_message"
follow = "{follow}"
"""


@dataclass(slots=True)
class HooksStack:
    """A sandbox, a stores file that points there, and the command."""

    sandbox: RunningSandbox
    folder: Path
    command: Enrich

    def configure(self, *, follow: str = "0s", **tokens: str) -> None:
        """These stores, by their access tokens. With "0s" they need no optional webhook."""
        lines = [f'[bigcommerce]\napi_url = "{self.sandbox.url}"\nb2b_api_url = "{self.sandbox.url}"\n']
        lines += [STORE.format(store=store, token=token, follow=follow) for store, token in tokens.items()]
        (self.folder / "stores.toml").write_text("".join(lines))

    async def enrich(self, *words: str) -> CommandResult:
        """Run a command beside the sandbox. No secret is ever shown or logged."""
        with capture_logs() as logs:
            ran = await asyncio.to_thread(self.command, "hooks", *words)
        shown = f"{ran.out}{ran.err}{logs}"
        assert [secret for secret in SECRETS if secret in shown] == []
        return ran

    async def hook(
        self, scope: str = CREATED, destination: str = OURS, key: str | None = "new-header-secret", **rest: Any
    ) -> int:
        hook = {"scope": scope, "destination": destination, "headers": {"X-Key": key} if key else None, **rest}
        answer = await self.sandbox.api.post(f"/stores/{DEMO_STORE_HASH}/v3/hooks", json=hook)
        assert answer.status_code == 200, answer.text
        hook_id: int = answer.json()["data"]["id"]
        return hook_id

    async def hooks(self) -> list[tuple[str, str, bool, str | None]]:
        """Scope, destination, whether it is active, and its X-Key."""
        answer = await self.sandbox.api.get(f"/stores/{DEMO_STORE_HASH}/v3/hooks")
        return [
            (hook["scope"], hook["destination"], hook["is_active"], (hook["headers"] or {}).get("X-Key"))
            for hook in answer.json()["data"]
        ]

    async def until_blocked(self) -> None:
        """Wait until BigCommerce blocks a domain."""
        async with asyncio.timeout(30):
            while True:
                answer = await self.sandbox.api.get(f"/stores/{DEMO_STORE_HASH}/v3/hooks/admin")
                if answer.json()["data"]["blocked_domains"]:
                    return
                await asyncio.sleep(0.05)

    async def writes(self) -> int:
        calls = (await self.sandbox.calls())["core"]
        return sum(sum(calls.get(f"{verb} a Webhook", {}).values()) for verb in ("Create", "Update", "Delete"))


@pytest.fixture
async def stack(folder: Path, enrich: Enrich) -> AsyncIterator[HooksStack]:
    """One store whose token is right; no Redis."""
    async with running_sandbox() as sandbox:
        stack = HooksStack(sandbox, folder, enrich)
        stack.configure(sandbox="sandbox-access-token")
        yield stack


@pytest.fixture
def known_destination(redis_url: str, monkeypatch: pytest.MonkeyPatch) -> Callable[[], Awaitable[str | None]]:
    """With Redis: reads the destination that the workers use."""
    monkeypatch.setenv("REDIS_URL", redis_url)

    async def ask() -> str | None:
        async with connect(redis_url) as redis:
            return (await HookState.read(redis, DEMO_STORE_HASH)).destination

    return ask


def rows(ran: CommandResult) -> list[list[str]]:
    """The table's cells, without its head."""
    return [re.split(r"  +", line.strip()) for line in ran.out.splitlines()[1:]]


def done(ran: CommandResult) -> list[tuple[str, str]]:
    """The changes and their scopes, from ``--json`` for one store."""
    (store,) = json.loads(ran.out)
    return [(step["did"], step["scope"]) for step in store["steps"]]


# ── list ────────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_list_shows_the_state_of_each_webhook(stack: HooksStack) -> None:
    differ = await stack.hook(key="wrong-header-secret")
    inactive = await stack.hook(STATUS, is_active=False)
    both = await stack.hook("store/order/*", key=None, is_active=False)
    active = await stack.hook("store/product/updated")
    foreign = await stack.hook(destination="https://u:hush@erp.example.com/in?key=hush", key=None)
    off = await stack.hook(STATUS, destination=ERP, key=None, is_active=False)

    ran = await stack.enrich("list")
    assert (ran.code, ran.err) == (0, "")
    assert re.split(r"  +", ran.out.splitlines()[0].strip()) == [
        "STORE",
        "ID",
        "SCOPE",
        "DESTINATION",
        "UPDATED (UTC)",
        "STATE",
    ]
    shown = rows(ran)
    assert all(re.fullmatch(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d", row.pop(4)) for row in shown)
    assert shown == [
        ["sandbox", str(differ), CREATED, OURS, "headers differ"],
        ["sandbox", str(inactive), STATUS, OURS, "inactive"],
        ["sandbox", str(both), "store/order/*", OURS, "inactive, headers differ"],
        ["sandbox", str(active), "store/product/updated", OURS, "active"],
        ["sandbox", str(foreign), CREATED, ERP, "foreign"],
        ["sandbox", str(off), STATUS, ERP, "foreign, inactive"],
    ]


async def test_list_as_csv_is_for_spreadsheets(stack: HooksStack) -> None:
    hook_id = await stack.hook(is_active=False)
    missing, listed = csv.DictReader(io.StringIO((await stack.enrich("list", "--csv")).out, newline=""))
    assert (missing["id"], missing["state"]) == ("", "missing")
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", listed.pop("updated_at"))
    assert listed == {
        "store": "sandbox",
        "id": str(hook_id),
        "scope": CREATED,
        "destination": OURS,
        "is_active": "false",
        "optional": "false",
        "state": "inactive",
        "error": "",
    }


async def test_list_as_json_is_for_scripts(stack: HooksStack) -> None:
    hook_id = await stack.hook(is_active=False)
    missing, listed = json.loads((await stack.enrich("list", "--json")).out)
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", listed.pop("updated_at"))
    assert listed == {
        "store": "sandbox",
        "id": hook_id,
        "scope": CREATED,
        "destination": OURS,
        "is_active": False,
        "troubles": ["inactive"],
        "blocked_s": None,
        "optional": False,
    }
    assert (missing["id"], missing["scope"], missing["troubles"]) == (None, STATUS, ["missing"])


async def test_list_of_a_store_without_webhooks_says_what_is_missing(stack: HooksStack) -> None:
    assert rows(await stack.enrich("list")) == [["sandbox", CREATED, "missing"], ["sandbox", STATUS, "missing"]]


async def test_list_uses_the_destination_that_the_workers_know(
    stack: HooksStack, known_destination: object, redis_url: str
) -> None:
    proxy = "https://proxy.example.com/in"
    for destination in (OURS, proxy):
        await stack.hook(destination=destination)
        await stack.hook(STATUS, destination=destination)
    async with connect(redis_url) as redis:
        await set_destination(redis, DEMO_STORE_HASH, proxy)
    assert [row[-1] for row in rows(await stack.enrich("list"))] == ["foreign", "foreign", "active", "active"]


async def test_a_blocked_domain_is_listed_with_the_time_left(stack: HooksStack) -> None:
    closed = "https://127.0.0.1:1/webhooks/bigcommerce"
    await stack.hook(destination=closed)
    await stack.hook(STATUS, destination=closed)
    with capture_logs():  # the sandbox's, which would mix with the command's output
        await asyncio.gather(*(stack.sandbox.place_order() for _ in range(100)))
        await stack.until_blocked()

    shown = rows(await stack.enrich("list"))
    assert len(shown) == 2
    assert all(re.fullmatch(r"blocked (3 min 0 s|2 min \d\d? s) left", row[-1]) for row in shown)
    listed = json.loads((await stack.enrich("list", "--json")).out)
    assert all(hook["troubles"] == ["blocked"] and 0 < hook["blocked_s"] <= 180 for hook in listed)

    ran = await stack.enrich("repair")
    assert ran.code == 0
    assert re.search(
        r"^sandbox: BigCommerce sends nothing to 127\.0\.0\.1 for (3 min 0 s|2 min \d\d? s) more\. "
        r"Wait until the block ends\.$",
        ran.out,
        re.MULTILINE,
    )


async def test_one_stores_failure_does_not_hide_the_others(stack: HooksStack) -> None:
    stack.configure(other="wrong", sandbox="sandbox-access-token")
    await stack.hook()
    await stack.hook(STATUS)

    ran = await stack.enrich("list")
    assert (ran.code, ran.err) == (1, "")
    refused, *well = rows(ran)
    assert refused[0] == "other"
    assert re.fullmatch(
        r"Get Webhooks: 401: .*[^.]\. Run `enrich check` to see what is wrong with the token\.", refused[1]
    )
    assert [(row[0], row[-1]) for row in well] == [("sandbox", "active"), ("sandbox", "active")]

    ran = await stack.enrich("list", "--json")
    assert ran.code == 1
    refused, *well = json.loads(ran.out)
    assert (refused["store"], refused["error"][:18]) == ("other", "Get Webhooks: 401:")
    assert len(well) == 2
    assert (await stack.enrich("list", "--store", "sandbox")).code == 0


async def test_an_invalid_time_is_not_shown(stack: HooksStack, monkeypatch: pytest.MonkeyPatch) -> None:
    async def hooks(*_: object, **__: object) -> list[dict[str, Any]]:
        return [{"scope": "[red]x[/nothing]", "destination": OURS, "updated_at": 10**20}]

    monkeypatch.setattr("service.bigcommerce.clients.core_api.Core.hooks", hooks)
    ran = await stack.enrich("list")
    assert ran.code == 0
    assert "[red]x[/nothing]" in ran.out
    assert json.loads((await stack.enrich("list", "--json")).out)[-1]["updated_at"] is None


# ── register ────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_register_creates_the_webhooks_and_a_second_run_writes_nothing(stack: HooksStack) -> None:
    ran = await stack.enrich("register", "--url", HOST)
    assert (ran.code, ran.err) == (0, "")
    assert [(row[2], row[3], row[4]) for row in rows(ran)] == [
        (CREATED, OURS, "created; the first webhook may take a minute"),
        (STATUS, OURS, "created; the first webhook may take a minute"),
    ]
    assert await stack.hooks() == [
        (CREATED, OURS, True, "new-header-secret"),
        (STATUS, OURS, True, "new-header-secret"),
    ]

    before = await stack.writes()
    again = await stack.enrich("register", "--url", HOST)
    assert [row[-1] for row in rows(again)] == ["no change needed", "no change needed"]
    assert done(await stack.enrich("register", "--url", OURS, "--json")) == [("kept", CREATED), ("kept", STATUS)]
    assert await stack.writes() == before == 2


async def test_register_as_json_is_for_scripts(stack: HooksStack) -> None:
    hook_id = await stack.hook(key="wrong-header-secret")
    await stack.hook(STATUS)
    await stack.hook(destination=OLD)
    (store,) = json.loads((await stack.enrich("register", "--url", HOST, "--json")).out)
    assert store["steps"].pop()["did"] == "kept"
    assert store == {
        "store": "sandbox",
        "destination": OURS,
        "steps": [
            {
                "did": "headers_set",
                "scope": CREATED,
                "id": hook_id,
                "destination": OURS,
                "reason": None,
                "optional": False,
            }
        ],
        "elsewhere": [OLD],
        "blocked": {},
    }


async def test_register_reports_other_receivers_and_moves_them_when_asked(stack: HooksStack) -> None:
    await stack.hook(destination=OLD)
    await stack.hook(destination=ERP)
    moved = await stack.enrich("register", "--url", "https://new.example.com", "--move")
    assert [row[-1] for row in rows(moved)[:2]] == ["moved here", "created; the first webhook may take a minute"]
    assert moved.out.splitlines()[3:] == [f"sandbox: {ERP} gets these events too. Its webhooks were not changed."]

    beside = await stack.enrich("register", "--url", HOST)
    new = "https://new.example.com/webhooks/bigcommerce"
    assert beside.out.splitlines()[-1] == (
        f"sandbox: {new} gets these events too. Its webhooks were not changed. "
        f"If it is no longer in use: enrich hooks remove --store sandbox --url {new}"
    )
    assert [(scope, destination) for scope, destination, *_ in await stack.hooks()] == [
        (CREATED, new),
        (CREATED, ERP),
        (STATUS, new),
        (CREATED, OURS),
        (STATUS, OURS),
    ]


async def test_register_handles_all_stores_and_continues_after_an_error(stack: HooksStack) -> None:
    stack.configure(other="wrong", sandbox="sandbox-access-token")
    ran = await stack.enrich("register", "--url", HOST)
    assert ran.code == 1
    assert len(await stack.hooks()) == 2
    assert ran.out.splitlines()[-1] == "1 of 2 stores done."
    assert re.fullmatch(
        r"other: Get Webhooks: 401: [^\n]*Run `enrich check` to see what is wrong with the token\.\n", ran.err
    )

    ran = await stack.enrich("register", "--url", HOST, "--json")
    assert [list(store)[:2] for store in json.loads(ran.out)] == [["store", "error"], ["store", "destination"]]
    assert (ran.code, ran.err) == (1, "")
    ran = await stack.enrich("repair", "--store", "other")
    assert (ran.code, ran.out) == (1, "")


async def test_register_that_bigcommerce_refuses_says_why(stack: HooksStack) -> None:
    for number in range(10):
        await stack.hook(destination=f"{ERP}/{number}")
    ran = await stack.enrich("register", "--url", HOST)
    assert ran.code == 1
    first, second, *_ = rows(ran)
    assert first[-1].startswith("failed: Create a Webhook: 422: ")
    assert "There are 10 webhooks with this scope." in first[-1]
    assert second[-1].startswith("created")


async def test_register_creates_optional_webhooks_too_and_says_which_they_are(stack: HooksStack) -> None:
    stack.configure(follow="24h", sandbox="sandbox-access-token")
    await stack.enrich("register", "--url", HOST)

    (store,) = json.loads((await stack.enrich("register", "--url", HOST, "--json")).out)
    assert [(step["did"], step["scope"], step["optional"]) for step in store["steps"]] == [
        ("kept", CREATED, False),
        ("kept", STATUS, False),
        *(("kept", scope, True) for scope in FOLLOWED),
    ]
    shown = rows(await stack.enrich("list"))
    assert [(row[2], row[-1]) for row in shown] == [
        (CREATED, "active"),
        (STATUS, "active"),
        *((scope, "active, optional") for scope in FOLLOWED),
    ]


async def test_optional_webhooks_that_bigcommerce_refuses_are_a_warning(
    stack: HooksStack, known_destination: Callable[[], Awaitable[str | None]]
) -> None:
    stack.configure(follow="24h", sandbox="sandbox-access-token")
    await stack.sandbox.put_store(missing_scopes=["b2b_modify"])

    ran = await stack.enrich("register", "--url", HOST)

    assert (ran.code, ran.err) == (0, "")
    refused = ", ".join(FOLLOWED[1:])
    *table, note = ran.out.splitlines()
    assert note == (
        f"sandbox: warning: {refused}: not in place. Orders are enriched all the same; what comes or changes after"
        " them is noticed later."
    )
    words = [re.split(r"  +", line.strip())[-1] for line in table[1:]]
    assert [text.partition(":")[0] for text in words] == 3 * ["created; the first webhook may take a minute"] + 3 * [
        "failed (optional)"
    ]
    assert all("Create a Webhook: 403" in text for text in words[3:])
    assert [scope for scope, *_ in await stack.hooks()] == [CREATED, STATUS, FOLLOWED[0]]
    assert await known_destination() == OURS
    assert (await stack.enrich("repair")).code == 0
    assert [row[-1] for row in rows(await stack.enrich("list"))] == 3 * ["missing, optional"] + [
        "active",
        "active",
        "active, optional",
    ]


async def test_remove_deletes_optional_webhooks_also_when_they_are_not_needed_any_more(stack: HooksStack) -> None:
    stack.configure(follow="24h", sandbox="sandbox-access-token")
    await stack.enrich("register", "--url", HOST)
    stack.configure(follow="0s", sandbox="sandbox-access-token")
    await stack.hook("store/product/updated")

    ran = await stack.enrich("remove", "--yes", "--json")

    assert (ran.code, done(ran)) == (0, [("deleted", scope) for scope in (CREATED, STATUS, *FOLLOWED)])
    assert [scope for scope, *_ in await stack.hooks()] == ["store/product/updated"]


async def test_a_register_that_failed_does_not_change_the_known_destination(
    stack: HooksStack, known_destination: Callable[[], Awaitable[str | None]]
) -> None:
    await stack.sandbox.faults(error_rate=1.0, operations=["Create a Webhook"])
    ran = await stack.enrich("register", "--url", HOST)
    assert (ran.code, [row[-1][:7] for row in rows(ran)]) == (1, ["failed:", "failed:"])
    assert await known_destination() is None


async def test_register_saves_the_destination_for_the_workers(
    stack: HooksStack, known_destination: Callable[[], Awaitable[str | None]]
) -> None:
    await stack.enrich("register", "--url", "https://old.example.com")
    assert await known_destination() == OLD
    ran = await stack.enrich("register", "--url", HOST, "--move")
    assert (ran.code, ran.err) == (0, "")
    assert await known_destination() == OURS


@pytest.mark.parametrize("words", [("list",), ("repair",), ("register", "--url", HOST)], ids=lambda words: words[0])
async def test_redis_that_does_not_answer_is_one_warning_and_no_failure(
    stack: HooksStack, monkeypatch: pytest.MonkeyPatch, words: tuple[str, ...]
) -> None:
    monkeypatch.setenv("REDIS_URL", "redis://127.0.0.1:1/0")
    await stack.sandbox.put_store("other")
    stack.configure(sandbox="sandbox-access-token", other="sandbox-access-token")
    await stack.hook()
    ran = await stack.enrich(*words, *(("--store", "sandbox") if words == ("repair",) else ()))
    assert ran.code == 0
    assert re.fullmatch(r"REDIS_URL: Redis does not answer \(ConnectionError\); [^\n]+\n", ran.err)


@pytest.mark.parametrize("url", ["hooks.example.com", "ftp://hooks.example.com", f"{HOST}?key=hush"])
async def test_a_url_that_bigcommerce_cannot_call_is_one_line(stack: HooksStack, url: str) -> None:
    ran = await stack.enrich("register", "--url", url)
    assert (ran.code, ran.out) == (2, "")
    assert re.fullmatch(r"--url \S+: [^\n]+\n", ran.err)
    assert await stack.hooks() == []


async def test_a_receiver_on_this_machine_is_registered_with_the_sandbox(stack: HooksStack) -> None:
    ran = await stack.enrich("register", "--url", "http://127.0.0.1:8000")
    assert (ran.code, ran.err) == (0, "")
    assert {hook[1] for hook in await stack.hooks()} == {"http://127.0.0.1:8000/webhooks/bigcommerce"}


async def test_a_url_that_only_the_sandbox_calls_is_never_registered_at_bigcommerce(stack: HooksStack) -> None:
    stores_file = stack.folder / "stores.toml"
    stores_file.write_text(stores_file.read_text().replace(f'api_url = "{stack.sandbox.url}"\n', "", 1))
    ran = await stack.enrich("register", "--url", "http://127.0.0.1:8000")
    assert (ran.code, ran.out) == (2, "")
    assert "BigCommerce calls https on port 443 only" in ran.err


# ── repair ──────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_repair_fixes_every_problem(stack: HooksStack) -> None:
    await stack.hook(key="wrong-header-secret", is_active=False)
    ran = await stack.enrich("repair", "--json")
    assert done(ran) == [("activated", CREATED), ("headers_set", CREATED), ("created", STATUS)]
    assert await stack.hooks() == [
        (CREATED, OURS, True, "new-header-secret"),
        (STATUS, OURS, True, "new-header-secret"),
    ]
    assert [row[-1] for row in rows(await stack.enrich("list"))] == ["active", "active"]


async def test_repair_accepts_the_second_secret_of_a_rotation(stack: HooksStack) -> None:
    await stack.hook(key="old-header-secret")
    await stack.hook(STATUS, key="old-header-secret")
    assert [row[-1] for row in rows(await stack.enrich("repair"))] == ["no change needed", "no change needed"]
    assert done(await stack.enrich("register", "--url", HOST, "--json")) == [
        ("headers_set", CREATED),
        ("headers_set", STATUS),
    ]


async def test_repair_creates_missing_webhooks_at_the_known_destination(
    stack: HooksStack, known_destination: object, redis_url: str
) -> None:
    async with connect(redis_url) as redis:
        await set_destination(redis, DEMO_STORE_HASH, OURS)
    assert done(await stack.enrich("repair", "--json")) == [("created", CREATED), ("created", STATUS)]
    assert {destination for _, destination, *_ in await stack.hooks()} == {OURS}


async def test_repair_without_a_known_destination_says_what_to_do(stack: HooksStack) -> None:
    assert await stack.enrich("repair") == CommandResult(
        1,
        "",
        "sandbox: webhooks: none of them goes to a receiver of ours. "
        "Run `enrich hooks register --store sandbox --url https://…`.\n",
    )


# ── remove ──────────────────────────────────────────────────────────────────────────────────────────────────────


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


async def test_remove_with_yes_does_not_ask(stack: HooksStack) -> None:
    await stack.hook()
    await stack.hook(destination=OLD)
    ran = await stack.enrich("remove", "--yes", "--url", HOST)
    assert (ran.code, [row[-1] for row in rows(ran)]) == (0, ["deleted"])
    assert [destination for _, destination, *_ in await stack.hooks()] == [OLD]
    assert done(await stack.enrich("remove", "--yes", "--json")) == [("deleted", CREATED)]
    assert await stack.enrich("remove") == CommandResult(0, "There are no webhooks to remove.\n", "")


async def test_remove_needs_yes_without_a_terminal(stack: HooksStack) -> None:
    await stack.hook()
    ran = await stack.enrich("remove")
    assert (ran.code, ran.out) == (2, "")
    assert ran.err.endswith(
        "--yes: is required without a terminal. The question was: Delete 1 webhook of store sandbox?\n"
    )
    assert len(await stack.hooks()) == 1


@pytest.mark.parametrize(("answer", "code", "left"), [("y\n", 0, 0), ("n\n", 1, 1), ("\n", 1, 1), ("", 130, 1)])
async def test_remove_asks_on_a_terminal(
    stack: HooksStack, monkeypatch: pytest.MonkeyPatch, answer: str, code: int, left: int
) -> None:
    await stack.hook()
    monkeypatch.setattr(sys, "stdin", Terminal(answer))
    ran = await stack.enrich("remove")
    assert (ran.code, len(await stack.hooks())) == (code, left)
    assert f"{CREATED} to {OURS}\nDelete 1 webhook of store sandbox? [y/N]:" in ran.err
    assert ran.err.endswith("Nothing was done.\n") is (code == 1)


async def test_remove_is_for_one_store_only(stack: HooksStack) -> None:
    stack.configure(sandbox="sandbox-access-token", other="wrong")
    ran = await stack.enrich("remove", "--yes")
    assert ran == CommandResult(2, "", "--store: is required: 2 stores are configured. One of: sandbox, other.\n")
    ran = await stack.enrich("remove", "--yes", "--store", "other")
    assert (ran.code, ran.out) == (2, "")
    assert ran.err.startswith("Get Webhooks: 401: ")


async def test_remove_does_not_guess_between_receivers(stack: HooksStack) -> None:
    await stack.hook()
    await stack.hook(destination=OLD)
    ran = await stack.enrich("remove", "--yes")
    assert (ran.code, ran.out) == (2, "")
    assert ran.err == f"--url: is needed: these webhooks go to several receivers. One of: {OURS}, {OLD}.\n"
    assert len(await stack.hooks()) == 2


async def test_what_was_done_to_webhooks_is_recorded_with_who_did_it(
    stack: HooksStack, redis_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REDIS_URL", redis_url)
    await stack.enrich("register", "--url", HOST)
    await stack.enrich("register", "--url", HOST)  # changes nothing
    await stack.enrich("remove", "--yes")
    async with connect(redis_url) as redis:
        with capture_logs() as logs:
            await log_recorded(redis)

    assert [(line["who"], line["store"], line["action"], line["detail"]) for line in logs] == [
        (system_user(), DEMO_STORE_HASH, "hooks register", f"{CREATED} created, {STATUS} created"),
        (system_user(), DEMO_STORE_HASH, "hooks remove", f"{CREATED} deleted, {STATUS} deleted"),
    ]
