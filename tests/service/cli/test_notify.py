"""``enrich notify test``, as a process, with real receivers."""

import asyncio
import json
import os
from pathlib import Path

from tests.fakes.cli import COMMAND, STORES, CommandResult, Enrich, enrich, folder
from tests.fakes.notify.http_receiver import http_receiver
from tests.fakes.notify.messages import SECRET
from tests.fakes.notify.smtp_server import smtp_server

__all__ = ["enrich", "folder"]


async def notify_test(folder: Path, table: str, *options: str) -> CommandResult:
    (folder / "stores.toml").write_text(f"[notify]\n{table}\n{STORES}")
    process = await asyncio.create_subprocess_exec(
        *COMMAND, "notify", "test", *options, env=os.environ, stdout=-1, stderr=-1, cwd=folder
    )
    out, err = await process.communicate()
    assert process.returncode is not None
    return CommandResult(process.returncode, out.decode(), err.decode())


async def test_it_sends_one_message_to_each_channel_and_says_what_came_back(folder: Path) -> None:
    async with http_receiver() as http, smtp_server() as smtp:
        http.answer = (202, {}, "thanks")
        table = f"""
        webhook = "{http.url}/webhook"
        secret = "{SECRET}"
        slack = ["{http.url}/slack", "{http.url}/slack-2"]
        mail = "smtp://127.0.0.1:{smtp.port}?to=ops@example.com&from=enrich@example.com"
        link = "https://enrich.example.com"
        """
        ran = await notify_test(folder, table)
    assert (ran.code, ran.err) == (0, "")
    assert [line.split() for line in ran.out.splitlines()] == [
        ["CHANNEL", "HOST", "RESULT", "ANSWER"],
        ["webhook", "127.0.0.1", "delivered", "202", "thanks"],
        ["slack", "127.0.0.1", "delivered", "202", "thanks"],
        ["slack", "2", "127.0.0.1", "delivered", "202", "thanks"],
        ["mail", "127.0.0.1", "delivered", "250", "taken", "for", "1", "of", "1", "recipients"],
    ]
    assert sorted(request.path for request in http.requests) == ["/slack", "/slack-2", "/webhook"]
    assert smtp.mails[0].content["Subject"] == "TEST: Messages of the order enrichment arrive here"


async def test_a_channel_that_does_not_take_it_makes_exit_code_1(folder: Path) -> None:
    async with http_receiver() as http:
        http.answer = (404, {}, "no_service")
        table = f'slack = "{http.url}/a-secret-path"\nteams = "{http.url}/teams"'
        ran = await notify_test(folder, table, "--channel", "slack", "--json")
    assert ran.code == 1
    (result,) = json.loads(ran.out)
    assert result.pop("ms") >= 0
    assert result == {"channel": "slack", "host": "127.0.0.1", "delivered": False, "answer": "404 no_service"}
    assert "a-secret-path" not in ran.out + ran.err
    assert [request.path for request in http.requests] == ["/a-secret-path"]


def test_without_the_table_it_says_what_to_write(enrich: Enrich) -> None:
    ran = enrich("notify", "test")
    assert ran.code == 2
    assert ran.err == 'stores.toml: there is no table [notify]. Add one, such as: slack = "env:SLACK_WEBHOOK".\n'


def test_an_unknown_channel_is_named_with_those_that_there_are(enrich: Enrich, folder: Path) -> None:
    (folder / "stores.toml").write_text(f'[notify]\nslack = "https://hooks.slack.com/services/T/B/x"\n{STORES}')
    ran = enrich("notify", "test", "--channel", "mail")
    assert (ran.code, ran.err) == (2, "--channel mail: is not a channel of [notify]. One of: slack.\n")
