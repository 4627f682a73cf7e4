"""``enrich check``, run as it is by a person, by CI and on a terminal."""

import asyncio
import json
import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from service.checks import Finding, Level
from service.cli.check import Report, Section, _progress, _show
from tests.fakes.cli import Enrich, Ran
from tests.fakes.sandbox import RunningSandbox, running_sandbox

GOOD = """
[stores.{hash}]
name = "Great [Buys]"
access_token = "env:TOKEN"
client_secret = "env:SECRET"
po_number = "order.customer_message"
extra_fields = {{ "Account No" = {{ value = "A-1" }} }}
"""
HERE = '[bigcommerce]\napi_url = "{url}"\nb2b_api_url = "{url}"\n'


@pytest.fixture
async def sandbox(folder: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[RunningSandbox]:
    """A sandbox that the stores file points to; its store has all that it needs."""
    monkeypatch.setenv("TOKEN", "sandbox-access-token")
    monkeypatch.setenv("SECRET", "sandbox-client-secret")
    async with running_sandbox() as sandbox:
        (folder / "stores.toml").write_text(HERE.format(url=sandbox.url) + GOOD.format(hash="sandbox"))
        hook = {"scope": "store/order/created", "destination": "https://me.example/webhooks/bigcommerce"}
        await sandbox.api.post("/stores/sandbox/v3/hooks", json=hook)
        yield sandbox


async def check(enrich: Enrich, *words: str) -> Ran:
    """Beside the sandbox, which lives in this test's own event loop."""
    return await asyncio.to_thread(enrich, "check", *words)


def shown(ran: Ran) -> list[list[str]]:
    """The lines of the answer, each as its columns."""
    return [re.split(r" {2,}", line.strip()) for line in ran.out.splitlines()]


def of_json(ran: Ran) -> dict[str, Any]:
    answer: dict[str, Any] = json.loads(ran.out)
    return answer


def add_store(folder: Path, store: str) -> None:
    with (folder / "stores.toml").open("a") as file:
        file.write(GOOD.format(hash=store))


# ── live ────────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_a_set_up_that_works_is_shown_line_by_line(enrich: Enrich, sandbox: RunningSandbox) -> None:
    ran = await check(enrich)
    url = sandbox.url
    trying_out = "Fine for trying things out; leave it out in production."
    assert (ran.code, ran.err) == (0, "")
    assert shown(ran) == [
        ["stores.toml"],
        ["ok", "stores file", "1 store with 2 rules, all of it well formed."],
        ["warning", "[bigcommerce] api_url", f"calls go to {url} instead of https://api.bigcommerce.com. {trying_out}"],
        [
            "warning",
            "[bigcommerce] b2b_api_url",
            f"calls go to {url} instead of https://api-b2b.bigcommerce.com. {trying_out}",
        ],
        ["sandbox (Great [Buys])"],
        ["ok", "access_token", "BigCommerce accepts it."],
        ["ok", "orders", "can be read (scope Orders: read-only)."],
        ["ok", "B2B Edition", "answers: orders have 5 extra fields."],
        ["ok", "B2B Edition, writing", "is allowed (scope B2B Edition: modify)."],
        ["ok", 'rule "Account No"', "the field is there."],
        ["ok", "webhook store/order/created", "goes to https://me.example/webhooks/bigcommerce."],
        ["ok", "quota, core API", "146 of 150 calls in 30 s are left."],
        ["ok", "quota, B2B Edition", "149 of 150 calls in 60 s are left."],
        ["this machine"],
        ["ok", "clock", "this machine and BigCommerce agree about the time."],
        ["0 errors, 2 warnings in 1 store."],
    ]


async def test_an_error_of_one_store_is_exit_code_1(enrich: Enrich, sandbox: RunningSandbox, folder: Path) -> None:
    add_store(folder, "other")
    ran = await check(enrich)
    assert (ran.code, ran.err) == (1, "")
    errors = [line for line in shown(ran) if line[0] == "error"]
    assert [line[1] for line in errors] == ["access_token"]
    assert shown(ran)[-1] == ["1 error, 2 warnings in 2 stores."]


async def test_one_store_can_be_asked_for(enrich: Enrich, sandbox: RunningSandbox, folder: Path) -> None:
    add_store(folder, "other")
    ran = await check(enrich, "--store", "sandbox")
    assert ran.code == 0
    assert shown(ran)[-1] == ["0 errors, 2 warnings in 1 store."]


async def test_as_json_it_is_for_scripts(enrich: Enrich, sandbox: RunningSandbox) -> None:
    await sandbox.put_store(extra_fields=[])
    ran = await check(enrich, "--json")
    answer = of_json(ran)
    assert (ran.code, ran.err, answer["errors"], answer["warnings"]) == (1, "", 1, 2)
    assert [finding for finding in answer["findings"] if finding["level"] == "error"] == [
        {
            "level": "error",
            "store": "sandbox",
            "subject": 'rule "Account No"',
            "message": "the store has no extra field of this name.",
            "cure": "If it was renamed in BigCommerce, write its new name here.",
        }
    ]


async def test_redis_is_looked_at_where_it_is(
    enrich: Enrich, sandbox: RunningSandbox, redis_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REDIS_URL", redis_url)
    assert ["ok", "Redis", "answers."] in shown(await check(enrich))


async def test_a_redis_that_does_not_answer_is_an_error(
    enrich: Enrich, sandbox: RunningSandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REDIS_URL", "redis://127.0.0.1:1/0")
    ran = await check(enrich)
    assert ran.code == 1
    assert [
        "error",
        "Redis",
        "does not answer (ConnectionError). Is it running, and is REDIS_URL right? Receiver and workers need it.",
    ] in shown(ran)


@pytest.mark.parametrize(
    ("url", "message"),
    [
        (
            "http://127.0.0.1:1",
            "no connection to 127.0.0.1:1 (ConnectError: [Errno 111] Connect call failed ('127.0.0.1', 1)).",
        ),
        ("https://nowhere.invalid", "there is no host nowhere.invalid, as far as this machine can tell."),
    ],
)
def test_a_network_that_leads_nowhere_is_findings(
    enrich: Enrich, folder: Path, monkeypatch: pytest.MonkeyPatch, url: str, message: str
) -> None:
    monkeypatch.setenv("TOKEN", "t")
    monkeypatch.setenv("SECRET", "s")
    (folder / "stores.toml").write_text(HERE.format(url=url) + GOOD.format(hash="abc123"))
    ran = enrich("check", "--json")
    errors = [finding for finding in of_json(ran)["findings"] if finding["level"] == "error"]
    assert [(error["subject"], error["message"]) for error in errors] == [
        ("core API", message),
        ("B2B Edition", message),
    ]
    assert (ran.code, ran.err) == (1, "")


async def test_a_host_that_speaks_no_tls_is_told_as_such(enrich: Enrich, sandbox: RunningSandbox, folder: Path) -> None:
    file = folder / "stores.toml"
    file.write_text(file.read_text().replace("http://", "https://"))
    errors = [line[2] for line in shown(await check(enrich)) if line[0] == "error"]
    assert len(errors) == 2
    assert all(error.startswith("no safe connection to 127.0.0.1:") for error in errors)


# ── the file alone ──────────────────────────────────────────────────────────────────────────────────────────────


def test_offline_nobody_is_asked(enrich: Enrich, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REDIS_URL", "redis://127.0.0.1:1/0")  # would be a warning
    ran = enrich("check", "--offline")
    secret = "the secret itself stands in the stores file. Keep it elsewhere and write env:NAME or file:/path instead."
    assert (ran.code, ran.err) == (0, "")
    assert shown(ran) == [
        ["stores.toml"],
        ["ok", "stores file", "1 store with 1 rule, all of it well formed."],
        ["abc123"],
        ["warning", "access_token", secret],
        ["warning", "client_secret", secret],
        ["0 errors, 2 warnings in 1 store; BigCommerce was not asked."],
    ]


def test_secrets_of_another_store_are_not_told_when_one_is_asked_for(enrich: Enrich, folder: Path) -> None:
    file = folder / "stores.toml"
    file.write_text(file.read_text() + file.read_text().replace("abc123", "def456"))
    answer = of_json(enrich("check", "--offline", "--json", "--store", "def456"))
    assert [finding["store"] for finding in answer["findings"]] == [None, "def456", "def456"]


def test_a_file_with_problems_is_told_in_full_and_nobody_is_asked(enrich: Enrich, folder: Path) -> None:
    (folder / "stores.toml").write_text(GOOD.format(hash="abc123"))
    ran = enrich("check")
    assert (ran.code, ran.err) == (1, "")
    assert shown(ran) == [
        ["stores.toml"],
        *(
            [
                "error",
                f"stores.toml: [stores.abc123] {key}",
                f"the environment variable {name} is not set. Set it where this program runs.",
            ]
            for key, name in (("access_token", "TOKEN"), ("client_secret", "SECRET"))
        ),
        ["2 errors, 0 warnings in stores.toml; its stores were not looked at."],
    ]


def test_a_file_that_is_missing_is_an_error(enrich: Enrich, folder: Path) -> None:
    (folder / "stores.toml").unlink()
    ran = enrich("check", "--json")
    assert ran.code == 1
    assert of_json(ran)["errors"] == 1


@pytest.mark.parametrize("words", [("--store", "abc124"), ("--store", "abc124", "--offline")])
def test_an_unknown_store_is_misuse(enrich: Enrich, words: tuple[str, ...]) -> None:
    assert enrich("check", *words) == Ran(2, "", "--store abc124: is not in the stores file. Did you mean abc123?\n")


def test_a_redis_url_that_cannot_be_used_is_misuse(enrich: Enrich, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REDIS_URL", "http://redis")
    ran = enrich("check", "--offline")
    assert (ran.code, ran.out) == (2, "")
    assert ran.err.startswith("REDIS_URL: expected a URL that begins with redis://")


# ── on a terminal ───────────────────────────────────────────────────────────────────────────────────────────────


def test_levels_have_colours_and_words_of_others_are_shown_as_they_are(capsys: pytest.CaptureFixture[str]) -> None:
    findings = [Finding(level, "abc123", f"rule [{level}]", "[red]message[/red]") for level in Level]
    report = Report([Section("abc123 [/x]", findings), Section("this machine", [])], "1 store")
    _show(Console(force_terminal=True, color_system="standard", width=100), report)
    out = capsys.readouterr().out

    for level, colour in zip(Level, (32, 33, 31), strict=True):
        assert f"\x1b[{colour}m{level}" in out
    assert out.count("[red]message[/red]") == 3
    assert "abc123 [/x]" in out
    assert "this machine" not in out, "a heading without findings is left out"


def test_progress_is_shown_on_a_terminal_only(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with _progress(3) as tell:
        tell(1)
    assert capsys.readouterr() == ("", "")

    monkeypatch.setenv("FORCE_COLOR", "1")
    with _progress(3) as tell:
        tell(1)
    captured = capsys.readouterr()
    assert captured.out == ""
    assert "1 of 3 stores done" in captured.err
