"""What all commands have in common: help, errors in one line, interruption."""

import re
import socket
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest
import typer
from redis.exceptions import AuthenticationError, InvalidResponse, NoPermissionError, ResponseError
from typer.main import get_group

from service.cli import app
from service.cli.common import ledger
from service.cli.common.lazy_commands import LazyCommand
from service.errors import CredentialsRefused, EnrichError, OutOfBudget, TryAgain
from service.redis.errors import PersistenceError
from tests.fakes.cli import CommandResult, Enrich


def commands(group: Any, *path: str) -> Iterator[tuple[tuple[str, ...], Any]]:
    for name, listed in group.commands.items():
        command = listed.load() if isinstance(listed, LazyCommand) else listed
        if hasattr(command, "commands"):
            yield from commands(command, *path, name)
        else:
            yield (*path, name), command


COMMANDS = [pytest.param(path, command, id=" ".join(path)) for path, command in commands(get_group(app))]


def flat(text: str) -> str:
    """Without its line breaks."""
    return " ".join(text.split())


# ── help ────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("path", [*(command.values[0] for command in COMMANDS), ("hooks",), ("orders",), ()])
def test_help_starts_with_a_sentence_and_gives_an_example(enrich: Enrich, path: tuple[str, ...]) -> None:
    shown = enrich(*path, "--help")
    usage, summary, *_ = shown.out.split("\n\n")

    assert (shown.code, shown.err) == (0, "")
    words = " ".join(("enrich", *path))
    assert usage.startswith(f"Usage: {words} ")
    assert re.fullmatch(r"[A-Z][^.]+\.", flat(summary))
    assert re.search(rf"^  Example: (REDIS_URL=\S+ )?{words}\b", shown.out, re.MULTILINE)
    assert enrich(*path, "-h") == shown


@pytest.mark.parametrize(("path", "command"), COMMANDS)
def test_help_explains_each_option_and_shows_its_default(enrich: Enrich, path: tuple[str, ...], command: Any) -> None:
    shown = flat(enrich(*path, "--help").out)
    for option in command.params:
        assert option.help, option.name
        if option.default not in (None, False) and not option.required:
            assert re.search(rf"{option.opts[-1]} .*?\[default: {re.escape(str(option.default))}[;\]]", shown)


@pytest.mark.parametrize(("path", "command"), COMMANDS)
def test_help_tells_values_in_words_not_in_types(enrich: Enrich, path: tuple[str, ...], command: Any) -> None:
    shown = enrich(*path, "--help").out
    options = shown[shown.index("Options:") :]
    assert re.findall(r"<(?:str|int|float|path|bool|list|[a-z|]+>)[^>]*>?|x[<>]=|\bVALUE\b", options) == []
    for option in command.params:
        if not getattr(option, "is_flag", False) and option.opts[-1].startswith("--"):
            assert re.search(rf"{option.opts[-1]} [A-Za-z][\w=|]+", options), option.name


def test_help_tells_limits_in_words(enrich: Enrich) -> None:
    assert "--port NUMBER The port to listen on. [default: 8000; 1 to 65535]" in flat(enrich("web", "--help").out)


@pytest.mark.parametrize("group", [(), ("hooks",), ("orders",)])
def test_help_lists_every_command_with_its_whole_summary(enrich: Enrich, group: tuple[str, ...]) -> None:
    shown = enrich(*group, "--help").out
    paths = [path for path, _ in commands(get_group(app)) if path[: len(group)] == group]
    for name in {path[len(group)] for path in paths}:
        assert re.search(rf"^  {name} +[A-Z].*[^.]\.$", shown, re.MULTILINE)


def test_the_list_of_commands_agrees_with_their_own_help() -> None:
    listed = get_group(app).commands.values()
    summaries = {
        later.name: (later.load().help or "").split("\n\n")[0] for later in listed if isinstance(later, LazyCommand)
    }
    assert {later.name: later.short_help for later in listed} == {name: flat(summaries[name]) for name in summaries}


def test_an_example_may_be_copied_from_the_help(enrich: Enrich) -> None:
    assert re.search(
        r"^ +curl -d '\{.*\}' http://\S+/sandbox/stores/sandbox/orders$", enrich("sandbox", "-h").out, re.MULTILINE
    )


@pytest.mark.parametrize("words", [(), ("orders",)])
def test_a_group_without_a_command_shows_its_help(enrich: Enrich, words: tuple[str, ...]) -> None:
    shown = enrich(*words)
    assert (shown.code, shown.out) == (2, "")
    assert shown.err == enrich(*words, "--help").out


def test_version_is_printed(enrich: Enrich) -> None:
    assert enrich("--version").out == f"enrich {version('b2b-order-enrichment')}\n"


# ── mistakes ────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("words", "line"),
    [
        ("nope", "enrich: No such command 'nope'. See `enrich --help`."),
        ("chek", r"enrich: No such command 'chek'\. Did you mean 'check'\? See `enrich --help`\."),
        ("orders nope", "enrich orders: No such command 'nope'. See `enrich orders --help`."),
        (
            "orders list --sinc 7d",
            "enrich orders list: No such option: --sinc .*--since.* See `enrich orders list --he.*",
        ),
        (
            "orders list --status lost",
            "enrich orders list: .*'--status': 'lost' is not one of 'queued', .*'failed'. See .*",
        ),
        ("orders list --limit 0", "enrich orders list: .*'--limit': must be greater than or equal to 1. See .*"),
        ("orders show", "enrich orders show: Missing argument 'ORDER'. See `enrich orders show --help`."),
        ("orders show many", "enrich orders show: .*'ORDER': must be a valid integer, .*. See .*"),
        ("web --port 65536", "enrich web: .*'--port': must be less than or equal to 65535. See .*"),
        ("sandbox --like 2025-01", "--like 2025-01: is not known. One of: 2026-07."),
        ("sandbox --error-rate 2", "enrich sandbox: .*'--error-rate': must be less than or equal to 1. See .*"),
        ("demo --orders 0", "enrich demo: .*'--orders': must be greater than or equal to 1. See .*"),
        ("orders list --since then", "--since then: is not a valid time. Write .* or 7d."),
    ],
)
def test_a_mistyped_command_is_one_line(enrich: Enrich, words: str, line: str) -> None:
    ran = enrich(*words.split())
    assert (ran.code, ran.out) == (2, "")
    assert re.fullmatch(f"{line}\n", ran.err)


NEED_REDIS = [
    ("web",),
    ("orders", "list"),
    ("orders", "show", "1"),
    ("orders", "retry", "1"),
    ("orders", "assign", "--customer", "1"),
]
NEED_STORES = [*(words for words in NEED_REDIS if words[1:2] not in (("list",), ("show",))), ("up",)]
NEED_SETTINGS = [*NEED_REDIS, ("up",)]


@pytest.mark.parametrize("words", NEED_REDIS, ids=" ".join)
def test_without_redis_url_the_variable_and_the_cure_are_named(enrich: Enrich, words: tuple[str, ...]) -> None:
    ran = enrich(*words)
    assert (ran.code, ran.out) == (2, "")
    assert re.fullmatch(r"REDIS_URL: is not set\. Set it .*, or run `enrich up`, .*\.\n", ran.err)


@pytest.mark.parametrize("words", NEED_STORES, ids=" ".join)
def test_a_stores_file_that_is_not_there_is_named(
    enrich: Enrich, monkeypatch: pytest.MonkeyPatch, words: tuple[str, ...]
) -> None:
    monkeypatch.setenv("REDIS_URL", "redis://127.0.0.1:1")
    monkeypatch.setenv("ENRICH_CONFIG", "/nowhere/stores.toml")
    ran = enrich(*words)
    assert (ran.code, ran.out) == (2, "")
    assert re.fullmatch(r"/nowhere/stores\.toml: .*does not exist\. .*ENRICH_CONFIG.*\.\n", ran.err)


@pytest.mark.parametrize("words", NEED_STORES, ids=" ".join)
def test_all_problems_of_a_stores_file_are_shown_a_line_each(
    enrich: Enrich, folder: Path, monkeypatch: pytest.MonkeyPatch, words: tuple[str, ...]
) -> None:
    monkeypatch.setenv("REDIS_URL", "redis://127.0.0.1:1")
    (folder / "stores.toml").write_text('[stores.abc123]\nacess_token = "hunter2"\npo_number = "a ||| b"\n')
    ran = enrich(*words)
    assert (ran.code, ran.out) == (2, "")
    assert len(ran.err.splitlines()) == 4
    assert all(line.startswith("stores.toml: [stores.abc123") for line in ran.err.splitlines())
    assert "hunter2" not in ran.err


@pytest.mark.parametrize("words", NEED_SETTINGS, ids=" ".join)
def test_all_bad_variables_are_shown_a_line_each(
    enrich: Enrich, monkeypatch: pytest.MonkeyPatch, words: tuple[str, ...]
) -> None:
    monkeypatch.setenv("REDIS_URL", "http://user:hunter2@redis")
    monkeypatch.setenv("ENRICH_LOG_LEVEL", "loud")
    ran = enrich(*words)
    assert (ran.code, ran.out) == (2, "")
    assert [line.partition(":")[0] for line in ran.err.splitlines()] == ["REDIS_URL", "ENRICH_LOG_LEVEL"]
    assert "hunter2" not in ran.err


@pytest.mark.parametrize("words", [words for words in NEED_REDIS if words != ("web",)], ids=" ".join)
def test_a_dead_redis_is_one_line(enrich: Enrich, monkeypatch: pytest.MonkeyPatch, words: tuple[str, ...]) -> None:
    monkeypatch.setenv("REDIS_URL", "redis://127.0.0.1:1/0")
    ran = enrich(*words)
    assert (ran.code, ran.out) == (2, "")
    assert ran.err == (
        "REDIS_URL: Redis does not answer (ConnectionError). Check that it is running and REDIS_URL is correct.\n"
    )


@pytest.mark.parametrize("error", [AuthenticationError("invalid password"), NoPermissionError("no permissions")])
def test_a_redis_that_refuses_the_user_is_one_line(
    enrich: Enrich, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    monkeypatch.setattr(ledger, "find_redis", raising(error))
    ran = enrich("orders", "list")
    assert (ran.code, ran.out) == (2, "")
    cure = "Correct REDIS_URL, or the rights of its user."
    assert ran.err == f"REDIS_URL: Redis refuses this user or password ({error}). {cure}\n"


@pytest.mark.parametrize(
    ("error", "line"),
    [
        (
            InvalidResponse('got "H" as reply type byte'),
            "Redis is not what answers there: it is another server, such as a web server."
            " Correct host and port in REDIS_URL.",
        ),
        (
            ResponseError("unknown command"),
            "Redis refuses a command (unknown command). Check that REDIS_URL leads to a Redis for this service.",
        ),
        (
            PersistenceError("MISCONF"),
            "Redis cannot write to its disk and refuses changes (MISCONF)."
            " Its own log says why: usually the disk is full, or its data folder belongs to another user.",
        ),
    ],
)
def test_a_server_that_is_not_redis_or_refuses_a_command_is_one_line(
    enrich: Enrich, monkeypatch: pytest.MonkeyPatch, error: Exception, line: str
) -> None:
    monkeypatch.setattr(ledger, "find_redis", raising(error))
    assert enrich("orders", "list") == CommandResult(2, "", f"REDIS_URL: {line}\n")


@pytest.mark.parametrize(
    ("error", "line"),
    [
        (
            CredentialsRefused("Get Orders", "Unauthorized.", status=401),
            "Get Orders: 401: Unauthorized. Run `enrich check` to see what is wrong with the token.",
        ),
        (
            TryAgain("Get Orders", "ConnectError"),
            "Get Orders: no answer: ConnectError. Check the network and the URLs under [bigcommerce], "
            "then run `enrich check`.",
        ),
        (TryAgain("Get Orders", "Bad Gateway", status=502), "Get Orders: 502: Bad Gateway"),
        (OutOfBudget("Get Orders", seconds=3), "Get Orders: no answer: the store's quota is spent for now"),
    ],
)
def test_a_call_that_failed_is_one_line_with_what_to_do(
    enrich: Enrich, monkeypatch: pytest.MonkeyPatch, error: Exception, line: str
) -> None:
    monkeypatch.setattr(ledger, "find_redis", raising(error))
    assert enrich("orders", "list") == CommandResult(2, "", f"{line}\n")


def test_an_error_contains_no_control_characters(enrich: Enrich, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ledger, "find_redis", raising(EnrichError("first \x1b]0;evil\x07\nsecond \x9b31m")))
    assert enrich("orders", "list") == CommandResult(2, "", "first ]0;evil\nsecond 31m\n")


def test_port_in_use_is_one_line(enrich: Enrich, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REDIS_URL", "redis://127.0.0.1:1/0")
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        line = f"127.0.0.1:{port}: another program listens on this port. Stop it, or choose another with --port.\n"
        for command in ("web", "up", "sandbox"):
            assert enrich(command, "--port", port) == CommandResult(2, "", line)


def test_an_interrupt_exits_130_without_output(enrich: Enrich, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ledger, "find_redis", raising(KeyboardInterrupt()))
    monkeypatch.setenv("REDIS_URL", "redis://127.0.0.1:1/0")
    assert enrich("orders", "list") == CommandResult(130, "", "")


def test_a_prompt_without_an_answer_exits_130(enrich: Enrich, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ledger, "find_redis", raising(typer.Abort()))
    monkeypatch.setenv("REDIS_URL", "redis://127.0.0.1:1/0")
    assert enrich("orders", "list") == CommandResult(130, "", "\n")


def test_a_bug_of_ours_keeps_its_traceback(enrich: Enrich, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ledger, "find_redis", raising(RuntimeError("a bug")))
    with pytest.raises(RuntimeError, match="a bug"):
        enrich("orders", "list")


def raising(error: BaseException) -> Any:
    def function(*_: Any) -> None:
        raise error

    return function
