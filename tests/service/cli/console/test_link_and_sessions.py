"""``enrich console link`` and ``enrich console sessions``."""

import asyncio
import json
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest

from service.console.people.access import Person
from service.console.people.sessions import Sessions
from service.redis.client import connect
from tests.fakes.cli import Enrich
from tests.fakes.orders import with_stores


@pytest.fixture(autouse=True)
def redis(redis_url: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REDIS_URL", redis_url)
    with_stores(folder, "abc123", "other1")


def spend(redis_url: str, link: str) -> Person:
    async def sign_in() -> Person:
        async with connect(redis_url) as redis:
            begun = await Sessions(redis).spend(parse_qs(urlsplit(link).query)["code"][0])
        assert begun
        return begun[1]

    return asyncio.run(sign_in())


def test_a_link_is_for_a_viewer_of_all_stores_unless_it_says_more(enrich: Enrich, redis_url: str) -> None:
    ran = enrich("console", "link")
    assert (ran.code, ran.err, ran.out.count("\n")) == (0, "", 1)
    assert ran.out.startswith("http://127.0.0.1:8100/sign-in?code=")
    person = spend(redis_url, ran.out.strip())
    assert (person.role, person.stores) == ("viewer", None)


def test_a_link_says_role_stores_length_and_who(
    enrich: Enrich, redis_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ENRICH_CONSOLE_URL", "https://enrich.example.com/console/")
    options = ("--role", "operator", "--store", "abc123", "--for", "30m", "--name", "ana", "--json")
    ran = enrich("console", "link", *options)
    made = json.loads(ran.out)
    assert made["link"].startswith("https://enrich.example.com/console/sign-in?code=")
    assert (made["session_s"], made["valid_s"], made["stores"]) == (1800, 900, ["abc123"])
    person = spend(redis_url, made["link"])
    assert (person.who, person.role, person.stores) == ("ana", "operator", frozenset({"abc123"}))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--for", "forever"), "--for forever: is not a valid length. Write 30m, 8h or 7d; 30d at most."),
        (("--for", "31d"), "--for 31d: is not a valid length."),
        (("--for", "0h"), "--for 0h: is not a valid length."),
        (("--store", "abc12"), "--store abc12: is not in the stores file. Did you mean abc123?"),
        (("--name", " "), "--name: is empty."),
        (("--role", "root"), "enrich console link: Invalid value for '--role'"),
    ],
)
def test_a_wrong_option_is_one_line(enrich: Enrich, options: tuple[str, str], message: str) -> None:
    ran = enrich("console", "link", *options)
    assert (ran.code, ran.out, ran.err.count("\n")) == (2, "", 1)
    assert ran.err.startswith(message)


def test_sessions_are_listed_and_ended_at_once(enrich: Enrich, redis_url: str) -> None:
    assert enrich("console", "sessions").out == "Nobody is signed in.\n"
    for name in ("ana", "ben", "eve"):
        spend(redis_url, enrich("console", "link", "--name", name, "--store", "abc123").out.strip())
    listed = json.loads(enrich("console", "sessions", "--json").out)
    assert sorted(session["who"] for session in listed) == ["ana", "ben", "eve"]
    assert {len(session["id"]) for session in listed} == {12}
    assert "ana" in enrich("console", "sessions").out

    (ana,) = [session["id"] for session in listed if session["who"] == "ana"]
    ran = enrich("console", "sessions", "--end", ana)
    assert (ran.code, ran.err) == (0, "Ended 1 session.\n")
    assert "ana" not in ran.out
    assert enrich("console", "sessions", "--end-all").err == "Ended 2 sessions.\n"
    assert enrich("console", "sessions").out == "Nobody is signed in.\n"


def test_ending_sessions_that_nobody_has_ends_none(enrich: Enrich, redis_url: str) -> None:
    spend(redis_url, enrich("console", "link").out.strip())
    ran = enrich("console", "sessions", "--end", "nosuch", "--end", "")
    assert (ran.code, ran.out) == (2, "")
    assert ran.err.splitlines() == [
        "--end nosuch: names no session. Run `enrich console sessions` to see them.",
        "--end : names no session. Run `enrich console sessions` to see them.",
    ]
    assert len(json.loads(enrich("console", "sessions", "--json").out)) == 1
