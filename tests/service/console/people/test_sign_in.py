"""Signing in by a link that works once, sessions, and signing out."""

import asyncio
import re

import pytest
from structlog.testing import capture_logs

from service.console.address import ConsoleAddress
from service.console.people.access import Role
from service.console.people.sessions import CODE_VALID_S, Sessions
from tests.fakes.console import ConsoleWorld


async def test_a_link_shows_a_button_and_looking_at_it_does_not_spend_it(world: ConsoleWorld) -> None:
    code = await world.code()
    async with world.visitor() as client:
        for _ in range(3):
            shown = await client.get(f"/sign-in?code={code}")
            assert (shown.status_code, shown.text.count("<button")) == (200, 1)
            assert "set-cookie" not in shown.headers
        assert (await client.head(f"/sign-in?code={code}")).status_code == 200
        assert await world.sign_in(client, code) == 303
        assert (await client.get("/")).status_code == 200


async def test_a_code_can_be_typed_with_blanks_around_it(world: ConsoleWorld) -> None:
    async with world.visitor() as client:
        assert await world.sign_in(client, f"  {await world.code()}\n") == 303


async def test_a_link_works_once(world: ConsoleWorld) -> None:
    code = await world.code()
    async with world.visitor() as first, world.visitor() as second:
        assert await world.sign_in(first, code) == 303
        with capture_logs() as logs:
            assert await world.sign_in(second, code) == 401
        assert [(line["event"], line["reason"]) for line in logs] == [("console_request_refused", "code")]
        assert (await second.get("/")).status_code == 303
        assert (await first.get("/")).status_code == 200


async def test_of_many_who_spend_a_code_at_once_one_gets_in(world: ConsoleWorld) -> None:
    code = await world.code()
    sessions = Sessions(world.redis)
    begun = await asyncio.gather(*(sessions.spend(code) for _ in range(20)))
    assert len([each for each in begun if each]) == 1
    assert len(await sessions.list()) == 1


async def test_a_link_that_nobody_used_ends_after_15_minutes(world: ConsoleWorld) -> None:
    await world.code()
    (key,) = await world.redis.keys("enrich:console:code:*")
    assert 0 < await world.redis.ttl(key) <= CODE_VALID_S == 900


@pytest.mark.parametrize("code", ["", "x", "a" * 43, "../../etc/passwd", "*" * 43, "é" * 43, "a" * 100_000])
async def test_a_forged_code_is_refused(world: ConsoleWorld, code: str) -> None:
    await world.code()
    async with world.visitor() as client:
        assert await world.sign_in(client, code) == 401
        assert "set-cookie" not in (await client.get("/sign-in")).headers


async def test_a_body_that_is_too_large_is_refused(world: ConsoleWorld) -> None:
    async with world.visitor() as client:
        assert await world.sign_in(client, "a" * 300_000) == 413


async def test_redis_has_neither_codes_nor_cookies(world: ConsoleWorld) -> None:
    code = await world.code()
    async with world.person() as client:
        secret = client.cookies["enrich"]
        keys = await world.redis.keys("enrich:console:*")
        stored = b"".join([key + await world.redis.dump(key) for key in keys])
        assert code.encode() not in stored
        assert secret.encode() not in stored


async def test_a_forged_or_stale_cookie_is_nobody(world: ConsoleWorld) -> None:
    async with world.person() as client:
        client.cookies.set("enrich", "forged")
        assert (await client.get("/")).status_code == 303
    async with world.person() as client:
        assert (await client.get("/")).status_code == 200
        for key in await world.redis.keys("enrich:console:session:*"):
            await world.redis.delete(key)
        assert (await client.get("/")).status_code == 303


async def test_a_session_lasts_as_long_as_its_link_said(world: ConsoleWorld) -> None:
    async with world.person():
        (key,) = await world.redis.keys("enrich:console:session:*")
        assert 3500 < await world.redis.ttl(key) <= 3600


async def test_signing_out_ends_the_session_at_once(world: ConsoleWorld) -> None:
    async with world.person() as client:
        secret = client.cookies["enrich"]
        assert (await client.post("/sign-out")).headers["location"] == "/sign-in"
        client.cookies.set("enrich", secret)
        assert (await client.get("/")).status_code == 303


async def test_a_second_link_ends_the_session_before_it(world: ConsoleWorld) -> None:
    async with world.person(who="vera") as client:
        before = client.cookies["enrich"]
        assert await world.sign_in(client, await world.code(who="otto")) == 303
        assert "otto" in (await client.get("/")).text
        client.cookies.clear()
        client.cookies.set("enrich", before)
        assert (await client.get("/")).status_code == 303


async def test_signing_in_is_one_log_line_without_the_code(world: ConsoleWorld) -> None:
    code = await world.code(Role.OPERATOR, ["abc123"], who="ana")
    async with world.visitor() as client:
        with capture_logs() as logs:
            await world.sign_in(client, code)
    (line,) = logs
    session = line.pop("session")
    assert line == {
        "event": "console_signed_in",
        "log_level": "info",
        "who": "ana",
        "role": "operator",
        "stores": ["abc123"],
    }
    assert len(session) == 12
    assert code not in str(logs)


@pytest.mark.parametrize(
    ("url", "name", "attributes"),
    [
        (None, "enrich", {"HttpOnly", "SameSite=lax", "Path=/"}),
        ("https://enrich.example.com", "__Host-enrich", {"HttpOnly", "SameSite=lax", "Path=/", "Secure"}),
        ("https://enrich.example.com/console", "enrich", {"HttpOnly", "SameSite=lax", "Path=/console", "Secure"}),
        ("http://console.lan:8080", "enrich", {"HttpOnly", "SameSite=lax", "Path=/"}),
    ],
)
async def test_the_cookie_fits_the_address(
    world: ConsoleWorld, url: str | None, name: str, attributes: set[str]
) -> None:
    changed = ConsoleWorld(world.redis, world.folder, ConsoleAddress.of(url, port=8100))
    async with changed.visitor() as client:
        answer = await client.post("/sign-in", data={"code": await changed.code()})
        cookie, *found = answer.headers["set-cookie"].split("; ")
        assert re.fullmatch(rf"{name}=[\w-]{{43}}", cookie)
        assert set(found) == attributes
        assert (await client.get("/")).status_code == 200


@pytest.mark.parametrize(
    ("wanted", "leads_to"),
    [
        ("/orders?outcome=failed", "/orders?outcome=failed"),
        ("", "/"),
        ("//evil.example", "/"),
        ("/\\evil.example", "/"),
        ("https://evil.example", "/"),
        ("/orders\r\nset-cookie: x=y", "/"),
        ("javascript:alert(1)", "/"),
    ],
)
async def test_signing_in_leads_on_within_the_console_only(world: ConsoleWorld, wanted: str, leads_to: str) -> None:
    async with world.visitor() as client:
        answer = await client.post("/sign-in", data={"code": await world.code(), "next": wanted})
        assert (answer.status_code, answer.headers["location"]) == (303, leads_to)


async def test_whoever_opens_a_page_comes_back_to_it_after_signing_in(world: ConsoleWorld) -> None:
    async with world.visitor() as client:
        answer = await client.get("/orders?outcome=failed&store=abc123")
        form = (await client.get(answer.headers["location"])).text
        (wanted,) = re.findall(r'name="next" value="([^"]*)"', form)
        answer = await client.post("/sign-in", data={"code": await world.code(), "next": wanted.replace("&amp;", "&")})
        assert answer.headers["location"] == "/orders?outcome=failed&store=abc123"


async def test_two_clicks_at_once_sign_in_once(world: ConsoleWorld) -> None:
    code = await world.code()
    async with world.visitor() as client:
        statuses = await asyncio.gather(*(world.sign_in(client, code) for _ in range(4)))
    assert sorted(statuses) == [303, 401, 401, 401]
