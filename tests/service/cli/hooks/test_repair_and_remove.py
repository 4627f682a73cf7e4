"""``enrich hooks repair`` and ``enrich hooks remove``."""

import io
import sys

import pytest
from structlog.testing import capture_logs

from service.audit import log_recorded, system_user
from service.hooks import set_destination
from service.redis.client import connect
from service.sandbox.demo import DEMO_STORE_HASH
from tests.fakes.cli import CommandResult
from tests.service.cli.hooks.conftest import CREATED, HOST, OLD, OURS, STATUS, HooksStack, done, rows

pytestmark = pytest.mark.integration


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
