"""The README against the code: what it names exists, and what exists and matters is named."""

import ast
import json
import re
import tomllib
from collections.abc import Iterator
from contextlib import asynccontextmanager
from itertools import chain
from pathlib import Path
from typing import Any, get_args

import pytest
import structlog
import typer
from starlette.routing import Route
from structlog.testing import LogCapture

from service import logs
from service.cli import app
from service.cli.common.lazy import LazyCommand
from service.configuration import Configuration, load_configuration
from service.metrics import ReceiverMetrics
from service.orders.state.entry import Entry, Stage, Status
from service.orders.state.queue import Queue
from service.orders.values.skip import SkipReason
from service.receiver.app import create_app
from service.receiver.authentication import StoreRegistry
from service.receiver.webhooks import _STATUS
from service.rules.expression import ROOTS
from service.sandbox.demo import DEMO_STORE_HASH
from service.sandbox.specs import SANDBOX_ACCESS_TOKEN, SANDBOX_CLIENT_SECRET
from service.settings import REDIS_SCHEMES, Settings
from service.stores import Endpoints, Rule, Store
from workers import order_log as telling

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text()

# What stands between backticks, and what stands in blocks: only there words are names.
BLOCKS = re.findall(r"^```(\w*)\n(.*?)^```$", README, re.DOTALL | re.MULTILINE)
PROSE = re.sub(r"^```.*?^```$", "", README, flags=re.DOTALL | re.MULTILINE)
SPANS = re.findall(r"`([^`\n]+)`", PROSE)
CODE = [*SPANS, *(text for _, text in BLOCKS)]


def block(language: str) -> str:
    (text,) = [str(text) for name, text in BLOCKS if name == language]
    return text


def rows(header: str) -> list[list[str]]:
    """The cells of all tables whose first column is called so."""
    bodies = re.findall(rf"^\| {header} \|[^\n]*\n\|[ -|]+\n((?:\|[^\n]*\n)+)", README, re.MULTILINE)
    assert bodies
    return [[cell.strip() for cell in line.strip("|").split(" |")] for line in "".join(bodies).splitlines()]


def names(cell: str) -> list[str]:
    return re.findall(r"`([^`]+)`", cell)


def commands() -> Iterator[tuple[str, Any]]:
    """Every command by the words behind ``enrich``."""
    pending: list[tuple[str, Any]] = [("", typer.main.get_command(app))]
    for prefix, listed in pending:
        command = listed.load() if isinstance(listed, LazyCommand) else listed
        if subcommands := getattr(command, "commands", None):
            pending += [(f"{prefix} {name}".strip(), sub) for name, sub in subcommands.items()]
        else:
            yield prefix, command


def test_every_command_has_a_row_and_every_row_a_command() -> None:
    assert sorted(names(row[0])[0].removeprefix("enrich ") for row in rows("command")) == sorted(dict(commands()))


def test_every_command_that_is_named_exists() -> None:
    known = {*dict(commands()), *(name.split()[0] for name, _ in commands())}
    named = {match for code in CODE for match in re.findall(r"\benrich ((?:orders |hooks )?[a-z]+)", code)}
    assert named <= known, named - known


def test_every_option_that_is_named_exists() -> None:
    known = {option for _, command in commands() for parameter in command.params for option in parameter.opts}
    named = {match for span in SPANS for match in re.findall(r"(?<![\w-])--[a-z][a-z-]*", span)}
    assert named
    assert named <= known, named - known


def test_every_option_that_is_shown_with_its_default_has_that_default() -> None:
    by_name = dict(commands())
    shown = [
        (names(row[0])[0].removeprefix("enrich "), *found)
        for row in rows("command")
        for found in re.findall(r"`--([a-z]+) ([0-9.]+)`", row[1])
    ]
    assert shown
    for command, option, default in shown:
        (parameter,) = [parameter for parameter in by_name[command].params if parameter.name == option]
        assert str(parameter.default).removesuffix(".0") == default, (command, option)


def test_every_make_target_that_is_named_exists() -> None:
    known = set(re.findall(r"^([a-z-]+):.*## ", (ROOT / "Makefile").read_text(), re.MULTILINE))
    named = {match for code in CODE for match in re.findall(r"\bmake ([a-z]+)", code)}
    assert {"demo", "test"} <= named <= known, named - known


def test_every_environment_variable_is_in_the_table_with_its_default() -> None:
    told = {names(row[0])[0]: row[1] for row in rows("variable")}
    assert list(told) == [name.upper() for name in Settings.model_fields]
    computed = {"ENRICH_DATA_DIR": ["b2b-order-enrichment"], "ENRICH_LOG_FORMAT": ["`json`", "`console`"]}
    for name, field in Settings.model_fields.items():
        default = ["none"] if field.default is None else [f"`{field.default}`"]
        for text in computed.get(name.upper(), default):
            assert text in told[name.upper()], name


def test_every_scheme_of_the_redis_url_is_told() -> None:
    (row,) = [row for row in rows("variable") if row[0] == "`REDIS_URL`"]
    assert [scheme for scheme in REDIS_SCHEMES if scheme not in row[2]] == []


def test_every_status_and_every_skip_reason_is_an_outcome() -> None:
    told = [(names(row[0])[0], row[1]) for row in rows("outcome")]
    assert {status for status, _ in told} == set(Status)
    skips = [names(reason)[0] for status, reason in told if status == Status.SKIPPED]
    assert sorted(skips) == sorted(reasons_in_code("SKIPPED") | set(get_args(SkipReason)))


def test_every_fixed_reason_of_a_failure_is_told() -> None:
    told = {name for row in rows("outcome") if row[0] == "`failed`" for name in names(row[1] + row[2])}
    assert reasons_in_code("FAILED") <= told


def reasons_in_code(status: str) -> set[str]:
    """The constants that the workers end an order with: ``Finished(Status.SKIPPED, "guest")``."""
    calls = [
        node
        for path in (ROOT / "workers").rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Call) and ast.unparse(node.func) == "Finished"
    ]
    reasons = [call.args[1] for call in calls if call.args[1:] and ast.unparse(call.args[0]) == f"Status.{status}"]
    constants = {str(reason.value) for reason in reasons if isinstance(reason, ast.Constant)}
    assert constants
    return constants


@pytest.fixture
def example(tmp_path: Path) -> Configuration:
    text = block("toml")
    environ = dict.fromkeys(re.findall(r'"env:(\w+)"', text), "a-secret")
    path = tmp_path / "stores.toml"
    path.write_text(text)
    return load_configuration(path, environ)


def test_example_is_a_stores_file_without_secrets_in_it(example: Configuration) -> None:
    assert list(example.stores) == ["abc123"]
    assert example.literal_secrets == ()
    assert example.endpoints == Endpoints()


def test_example_gives_the_values_that_it_seems_to_give(example: Configuration) -> None:
    document = {
        "order": {
            "billing_address": {"form_fields": [{"name": "PO Number", "value": " A-1 "}]},
            "customer_message": "by Friday, ship:2026-W05 please",
        },
        "metafields": {},
        "company": {"extraFields": {"ERP Account": "ERP-10001"}},
    }
    evaluation = example.stores["abc123"].rules.evaluate(document)
    assert evaluation.po_number == "A-1"
    assert evaluation.fields == {
        "Cost Center": "UNASSIGNED",
        "Ship Window": "2026-W05",
        "Source": "web",
        "Account No": "ERP-10001",
    }


def test_patterns_cure_lets_a_comment_and_a_form_field_stand_in_one_rule(tmp_path: Path) -> None:
    (pattern,) = [span for span in SPANS if span.startswith("match = ")]
    (form_field,) = [span for span in SPANS if "join(" in span]
    path = tmp_path / "stores.toml"
    path.write_text(
        f'''
        [stores.abc123]
        access_token = "token"
        client_secret = "secret"
        [stores.abc123.po_number]
        from = ["{form_field}", "order.customer_message"]
        {pattern}
        '''
    )
    rules = load_configuration(path).stores["abc123"].rules
    filled = {"billing_address": {"form_fields": [{"name": "PO Number", "value": "A-1"}]}}
    assert rules.evaluate({"order": filled}).po_number == "A-1"
    addresses: list[dict[str, list[Any]] | None] = [{"form_fields": []}, None]
    for address in addresses:
        found = rules.evaluate({"order": {"billing_address": address, "customer_message": "Our PO: 4711-D"}})
        assert (found.po_number, found.errors) == ("4711-D", {})


def test_every_key_of_the_stores_file_is_explained() -> None:
    told = {name for row in rows("key") for name in names(row[0])}
    models = (Endpoints, Store, Rule)
    known = {field.alias or name for model in models for name, field in model.model_fields.items()}
    assert told == known - {"hash"}


def test_every_root_of_the_order_document_is_explained() -> None:
    assert {re.split(r"\.", name)[0] for row in rows("root") for name in names(row[0])} == set(ROOTS)


def test_access_to_the_sandbox_is_told_as_it_is() -> None:
    assert {DEMO_STORE_HASH, SANDBOX_ACCESS_TOKEN, SANDBOX_CLIENT_SECRET} <= set(SPANS)


def test_every_path_and_answer_of_the_receiver_is_told() -> None:
    @asynccontextmanager
    async def unused() -> Any:
        yield Queue

    paths = [route.path for route in create_app(StoreRegistry({}), unused).routes if isinstance(route, Route)]
    assert [path for path in paths if path not in README] == []
    assert {int(row[0]) for row in rows("answer")} == {*_STATUS.values(), 500}


def test_every_metric_is_told() -> None:
    ours = [metric.name for metric in ReceiverMetrics(()).registry.collect() if metric.name.startswith("enrich_")]
    assert ours
    assert [name for name in ours if name not in README] == []


def test_log_line_has_the_keys_that_an_order_is_told_with(monkeypatch: pytest.MonkeyPatch) -> None:
    shown = json.loads(block("json"))
    capture = LogCapture()
    monkeypatch.setattr(telling, "log", structlog.wrap_logger(None, [capture], structlog.BoundLogger))
    telling.log_finished(Entry("abc123", 1002, status=Status.CREATED))
    (line,) = capture.entries
    assert list(shown)[:6] == list(logs._FIRST)
    assert set(shown) - set(logs._FIRST) == set(line) - {"event", "log_level"}
    assert shown["event"] == line["event"]


def test_every_stage_is_shown() -> None:
    (shown,) = [text for _, text in BLOCKS if "AT (MS)" in text]
    stages = re.findall(r"^([a-z ]+?) +\d+ .*\|$", shown.partition("STAGE")[2], re.MULTILINE)
    assert stages == [stage.value.replace("_", " ") for stage in Stage]


def test_every_dependency_is_in_the_table_with_a_reason() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    wanted = [*project["dependencies"], *chain(*project["optional-dependencies"].values())]
    told = [name for row in rows("dependency") for name in names(row[0])]
    assert sorted(told) == sorted(re.match(r"[\w-]+", requirement)[0] for requirement in wanted)  # type: ignore[index]
    assert all(row[1] for row in rows("dependency"))


def test_every_python_version_that_is_told_is_the_one_that_is_needed() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert set(re.findall(r"Python (3\.\d+)", README)) == {project["requires-python"].removeprefix(">=")}


def test_every_relative_link_leads_to_a_file() -> None:
    targets = re.findall(r"\]\((?!https?:)([^)#]+)", README)
    assert targets
    assert [target for target in targets if not (ROOT / target).exists()] == []


def test_every_file_of_the_tree_exists() -> None:
    (tree,) = [text for _, text in BLOCKS if "├── " in text and "service/" in text]
    folder, missing = ROOT, []
    for line in tree.splitlines():
        if top := re.match(r"(\w+)/", line):
            folder = ROOT / top[1]
            missing += [] if folder.is_dir() else [top[0]]
        else:
            missing += [name for name in re.findall(r"\b\w+(?:\.py|/(?= |$))", line) if not (folder / name).exists()]
    assert missing == []
