"""``enrich hooks register``."""

import json
import re
import time
from collections.abc import Awaitable, Callable

import pytest

from service.orders.state.job_kinds import MONITOR_HOOKS
from service.redis.client import connect
from service.sandbox.demo import DEMO_STORE_HASH
from tests.service.cli.hooks.conftest import CREATED, ERP, FOLLOWED, HOST, OLD, OURS, STATUS, HooksStack, done, rows

pytestmark = pytest.mark.integration


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


async def test_the_workers_look_at_the_webhooks_at_once(
    stack: HooksStack, redis_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REDIS_URL", redis_url)
    async with connect(redis_url) as redis:
        await redis.zadd(MONITOR_HOOKS.queue, {MONITOR_HOOKS.id(DEMO_STORE_HASH): (time.time() + 600) * 1000})

        async def due_in_s() -> float:
            score = await redis.zscore(MONITOR_HOOKS.queue, MONITOR_HOOKS.id(DEMO_STORE_HASH))
            assert score is not None
            return float(score) / 1000 - time.time()

        assert await due_in_s() > 500
        assert (await stack.enrich("register", "--url", HOST)).code == 0
        assert await due_in_s() <= 0
