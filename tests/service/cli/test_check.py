"""``enrich check``, as a person, CI and a terminal see it."""

import asyncio
import json
import re
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from service.checks import Finding, Level, Verdict
from service.cli.check import Report, Section, _progress, _show
from service.notify.persistence import Pause, Persistence
from service.redis.client import connect
from tests.fakes.cli import CommandResult, Enrich
from tests.fakes.fixed_answers import fixed_answers
from tests.fakes.notify.messages import a_message
from tests.fakes.redis.failover import redis_on_tcp
from tests.fakes.sandbox import RunningSandbox, running_sandbox

GOOD = """
[stores.{hash}]
name = "Great [Buys]"
access_token = "env:TOKEN"
client_secret = "env:SECRET"
follow = "0s"
po_number = "order.customer_message"
extra_fields = {{ "Account No" = {{ value = "A-1" }} }}
"""
ENDPOINTS = '[bigcommerce]\napi_url = "{url}"\nb2b_api_url = "{url}"\n'


@pytest.fixture
async def sandbox(folder: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[RunningSandbox]:
    """A sandbox with a healthy store, to which the stores file points."""
    monkeypatch.setenv("TOKEN", "sandbox-access-token")
    monkeypatch.setenv("SECRET", "sandbox-client-secret")
    async with running_sandbox() as sandbox, fixed_answers("405 Method Not Allowed") as (receiver, _):
        (folder / "stores.toml").write_text(ENDPOINTS.format(url=sandbox.url) + GOOD.format(hash="sandbox"))
        hook = {"scope": "store/order/created", "destination": f"{receiver}/webhooks/bigcommerce"}
        await sandbox.api.post("/stores/sandbox/v3/hooks", json=hook)
        yield sandbox


async def check(enrich: Enrich, *words: str) -> CommandResult:
    """Run it in a thread, as the sandbox runs in this test's event loop."""
    return await asyncio.to_thread(enrich, "check", *words)


def shown(ran: CommandResult) -> list[list[str]]:
    """The lines of the output, each as its columns."""
    return [re.split(r" {2,}", line.strip()) for line in ran.out.splitlines()]


def of_json(ran: CommandResult) -> dict[str, Any]:
    answer: dict[str, Any] = json.loads(ran.out)
    return answer


def add_store(folder: Path, store: str) -> None:
    with (folder / "stores.toml").open("a") as file:
        file.write(GOOD.format(hash=store))


# ── live ────────────────────────────────────────────────────────────────────────────────────────────────────────


async def test_a_healthy_set_up_is_one_line_for_each_finding(enrich: Enrich, sandbox: RunningSandbox) -> None:
    ran = await check(enrich)
    url = sandbox.url
    (hook,) = (await sandbox.api.get("/stores/sandbox/v3/hooks")).json()["data"]
    address = hook["destination"]
    for_tests = "This is fine for tests; remove the key in production."
    assert (ran.code, ran.err) == (0, "")
    assert shown(ran) == [
        ["As things stand, no order would be enriched: no worker is running. The rest is right."],
        ["stores.toml"],
        ["ok", "stores file", "is valid: 1 store with 2 rules."],
        ["warning", "[bigcommerce] api_url", f"calls go to {url} instead of https://api.bigcommerce.com. {for_tests}"],
        [
            "warning",
            "[bigcommerce] b2b_api_url",
            f"calls go to {url} instead of https://api-b2b.bigcommerce.com. {for_tests}",
        ],
        ["sandbox (Great [Buys])"],
        ["ok", "access_token", "BigCommerce accepts it."],
        ["ok", "orders", "can be read (scope Orders: read-only)."],
        ["ok", "B2B Edition", "answers: orders have 5 extra fields."],
        ["ok", "B2B Edition, writing", "is allowed (scope B2B Edition: modify)."],
        ["ok", 'rule "Account No"', "the field exists."],
        ["ok", "webhook store/order/created", f"goes to {address}."],
        ["ok", "public address", f"{address} is answered by a receiver."],
        ["ok", "last orders", "the store has no orders to try the rules on."],
        ["ok", "quota, core API", "145 of 150 calls in 30 s are left."],
        ["ok", "quota, B2B Edition", "147 of 150 calls in 60 s are left."],
        ["this machine"],
        ["ok", "clock", "this machine's clock agrees with BigCommerce's."],
        ["0 errors, 2 warnings in 1 store."],
    ]


async def test_an_error_of_one_store_is_exit_code_1(enrich: Enrich, sandbox: RunningSandbox, folder: Path) -> None:
    add_store(folder, "other")
    ran = await check(enrich)
    assert (ran.code, ran.err) == (1, "")
    errors = [line for line in shown(ran) if line[0] == "error"]
    assert [line[1] for line in errors] == ["access_token"]
    assert shown(ran)[-1] == ["1 error, 3 warnings in 2 stores."]
    assert shown(ran)[0][0].startswith(
        "As things stand, orders of other would not be enriched: access_token: BigCommerce"
    )
    assert shown(ran)[0][0].endswith(" Orders of the other store would.")


async def test_one_store_can_be_selected(enrich: Enrich, sandbox: RunningSandbox, folder: Path) -> None:
    add_store(folder, "other")
    ran = await check(enrich, "--store", "sandbox")
    assert ran.code == 0
    assert shown(ran)[-1] == ["0 errors, 2 warnings in 1 store."]


async def test_json_output(enrich: Enrich, sandbox: RunningSandbox) -> None:
    await sandbox.put_store(extra_fields=[])
    ran = await check(enrich, "--json")
    answer = of_json(ran)
    assert (ran.code, ran.err, answer["errors"], answer["warnings"]) == (1, "", 1, 2)
    assert [finding for finding in answer["findings"] if finding["level"] == "error"] == [
        {
            "level": "error",
            "store": "sandbox",
            "subject": 'rule "Account No"',
            "message": "the store has no extra field with this name or label.",
            "cure": "If it was renamed in BigCommerce, use its new name here.",
        }
    ]


async def test_redis_is_checked_where_redis_url_is_set(
    enrich: Enrich, sandbox: RunningSandbox, persistent_redis_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REDIS_URL", persistent_redis_url)
    (line,) = [line for line in shown(await check(enrich)) if line[1:2] == ["Redis"]]
    assert line[0] == "ok"
    assert line[2].startswith("takes orders (redis ")


async def test_a_channel_that_takes_no_messages_is_a_warning_while_it_is_in_the_file(
    enrich: Enrich, sandbox: RunningSandbox, folder: Path, redis_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REDIS_URL", redis_url)
    async with connect(redis_url) as redis:
        await Persistence(redis).record(0, {}, [a_message()], ["slack"])
        await Persistence(redis).set_pause("slack", Pause(4, 1.0, "digest", "404 no_service"))
    assert "[notify] slack" not in (await check(enrich)).out
    with (folder / "stores.toml").open("a") as file:
        file.write('[notify]\nslack = "https://hooks.slack.com/services/T/B/x"\n')
    (line,) = [line for line in shown(await check(enrich)) if "[notify] slack" in line and "could not" in line[-1]]
    assert line[0] == "warning"
    assert line[2].startswith("1 message could not be delivered yet: 404 no_service. The workers try again.")


async def test_a_redis_that_takes_no_orders_is_an_error_and_the_stores_are_checked_all_the_same(
    enrich: Enrich, sandbox: RunningSandbox, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    with redis_on_tcp(tmp_path / "redis", "--maxmemory", "1") as port:
        monkeypatch.setenv("REDIS_URL", f"redis://127.0.0.1:{port}/0")
        ran = await check(enrich)
    assert ran.code == 1
    errors = [line for line in shown(ran) if line[:1] == ["error"]]
    assert [line[1] for line in errors] == ["Redis"]
    assert errors[0][2].startswith("has no memory left and refuses changes (OOM).")
    assert any(line[1:2] == ["access_token"] for line in shown(ran)), ran.out


async def test_a_redis_that_does_not_answer_is_an_error(
    enrich: Enrich, sandbox: RunningSandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REDIS_URL", "redis://127.0.0.1:1/0")
    ran = await check(enrich)
    assert ran.code == 1
    assert [
        "error",
        "Redis",
        "does not answer (ConnectionError). Check that it is running and REDIS_URL is correct. The receiver and the"
        " workers need it.",
    ] in shown(ran)


@pytest.mark.parametrize(
    ("url", "message"),
    [
        (
            "http://127.0.0.1:1",
            "no connection to 127.0.0.1:1 (ConnectError: [Errno 111] Connect call failed ('127.0.0.1', 1)).",
        ),
        ("https://nowhere.invalid", "this machine cannot resolve the host nowhere.invalid."),
    ],
)
def test_network_errors_are_findings(
    enrich: Enrich, folder: Path, monkeypatch: pytest.MonkeyPatch, url: str, message: str
) -> None:
    monkeypatch.setenv("TOKEN", "t")
    monkeypatch.setenv("SECRET", "s")
    (folder / "stores.toml").write_text(ENDPOINTS.format(url=url) + GOOD.format(hash="abc123"))
    ran = enrich("check", "--json")
    errors = [finding for finding in of_json(ran)["findings"] if finding["level"] == "error"]
    assert [(error["subject"], error["message"]) for error in errors] == [
        ("core API", message),
        ("B2B Edition", message),
    ]
    assert (ran.code, ran.err) == (1, "")


async def test_a_host_without_tls_is_reported(enrich: Enrich, sandbox: RunningSandbox, folder: Path) -> None:
    file = folder / "stores.toml"
    file.write_text(file.read_text().replace("http://", "https://"))
    errors = [line[2] for line in shown(await check(enrich)) if line[0] == "error"]
    assert len(errors) == 2
    assert all(error.startswith("no secure connection to 127.0.0.1:") for error in errors)


# ── the file alone ──────────────────────────────────────────────────────────────────────────────────────────────


def test_offline_makes_no_calls(enrich: Enrich, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REDIS_URL", "redis://127.0.0.1:1/0")  # would be a warning
    ran = enrich("check", "--offline")
    secret = "the secret itself is in the stores file. Keep it outside, and write env:NAME or file:/path here."
    assert (ran.code, ran.err) == (0, "")
    assert shown(ran) == [
        ["The stores file is right. Whether orders would be enriched was not checked (--offline)."],
        ["stores.toml"],
        ["ok", "stores file", "is valid: 1 store with 1 rule."],
        ["abc123"],
        ["warning", "access_token", secret],
        ["warning", "client_secret", secret],
        ["0 errors, 2 warnings in 1 store; BigCommerce was not asked."],
    ]


def test_literal_secrets_of_other_stores_are_left_out_when_one_is_selected(enrich: Enrich, folder: Path) -> None:
    file = folder / "stores.toml"
    other = file.read_text().replace("abc123", "def456").replace('access_token = "', 'access_token = "other-')
    file.write_text(file.read_text() + other)
    answer = of_json(enrich("check", "--offline", "--json", "--store", "def456"))
    assert [finding["store"] for finding in answer["findings"]] == [None, "def456", "def456"]


def test_an_invalid_file_shows_all_problems_and_makes_no_calls(enrich: Enrich, folder: Path) -> None:
    (folder / "stores.toml").write_text(GOOD.format(hash="abc123"))
    ran = enrich("check")
    assert (ran.code, ran.err) == (1, "")
    assert shown(ran) == [
        [
            "As things stand, no order would be enriched: stores.toml: [stores.abc123] access_token: the environment"
            " variable TOKEN is not set."
        ],
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


def test_a_missing_file_is_an_error(enrich: Enrich, folder: Path) -> None:
    (folder / "stores.toml").unlink()
    ran = enrich("check", "--json")
    assert ran.code == 1
    assert of_json(ran)["errors"] == 1


@pytest.mark.parametrize("words", [("--store", "abc124"), ("--store", "abc124", "--offline")])
def test_an_unknown_store_is_a_usage_error(enrich: Enrich, words: tuple[str, ...]) -> None:
    assert enrich("check", *words) == CommandResult(
        2, "", "--store abc124: is not in the stores file. Did you mean abc123?\n"
    )


def test_an_invalid_redis_url_is_a_usage_error(enrich: Enrich, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REDIS_URL", "http://redis")
    ran = enrich("check", "--offline")
    assert (ran.code, ran.out) == (2, "")
    assert ran.err.startswith("REDIS_URL: expected a URL that begins with redis://")


# ── on a terminal ───────────────────────────────────────────────────────────────────────────────────────────────


def test_levels_have_colours_and_texts_of_others_are_not_markup(capsys: pytest.CaptureFixture[str]) -> None:
    findings = [Finding(level, "abc123", f"rule [{level}]", "[red]message[/red]") for level in Level]
    report = Report(
        [Section("abc123 [/x]", findings), Section("this machine", [])], "1 store", Verdict(True, "[b]fine")
    )
    _show(Console(force_terminal=True, color_system="standard", width=100), report)
    out = capsys.readouterr().out

    for level, colour in zip(Level, (32, 33, 31), strict=True):
        assert f"\x1b[{colour}m{level}" in out
    assert "[b]fine" in out
    assert out.count("[red]message[/red]") == 3
    assert "abc123 [/x]" in out
    assert "this machine" not in out, "a heading without findings is left out"


def test_progress_is_shown_on_a_terminal_only(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with _progress(3) as progress:
        progress.done(1)
    assert capsys.readouterr() == ("", "")

    monkeypatch.setenv("FORCE_COLOR", "1")
    with _progress(3) as progress:
        progress.done(1)
        progress.step("abc123", "webhooks")
        time.sleep(0.2)  # the terminal is written to now and then
    captured = capsys.readouterr()
    assert captured.out == ""
    assert "1 of 3 stores done: abc123, webhooks" in captured.err
