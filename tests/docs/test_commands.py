"""The page of commands against the code: commands, environment, HTTP, outcomes."""

import ast
import re
from contextlib import asynccontextmanager
from typing import Any, get_args

from starlette.routing import Route

from service.metrics import ReceiverMetrics
from service.orders.state.order_entry import Stage, Status
from service.orders.state.queue import Queue
from service.orders.values.skip import SkipReason
from service.receiver.app import create_app
from service.receiver.authentication import StoreRegistry
from service.receiver.webhook_endpoint import _STATUS
from service.settings import REDIS_SCHEMES, Settings
from tests.fakes.pages import COMMANDS, ROOT, cli_commands, names


def test_every_command_has_a_row_and_every_row_a_command() -> None:
    listed = [names(row[0])[0].removeprefix("enrich ") for row in COMMANDS.rows("command")]
    assert sorted(listed) == sorted(dict(cli_commands()))


def test_every_option_that_is_shown_with_its_default_has_that_default() -> None:
    by_name = dict(cli_commands())
    shown = [
        (names(row[0])[0].removeprefix("enrich "), *found)
        for row in COMMANDS.rows("command")
        for found in re.findall(r"`--([a-z]+) ([0-9.]+)`", row[1])
    ]
    assert shown
    for command, option, default in shown:
        (parameter,) = [parameter for parameter in by_name[command].params if parameter.name == option]
        assert str(parameter.default).removesuffix(".0") == default, (command, option)


def test_every_environment_variable_is_in_the_table_with_its_default() -> None:
    listed = {names(row[0])[0]: row[1] for row in COMMANDS.rows("variable")}
    assert list(listed) == [name.upper() for name in Settings.model_fields]
    computed = {"ENRICH_DATA_DIR": ["b2b-order-enrichment"], "ENRICH_LOG_FORMAT": ["`json`", "`console`"]}
    for name, field in Settings.model_fields.items():
        default = ["none"] if field.default is None else [f"`{field.default}`"]
        for text in computed.get(name.upper(), default):
            assert text in listed[name.upper()], name


def test_every_scheme_of_the_redis_url_is_listed() -> None:
    (row,) = [row for row in COMMANDS.rows("variable") if row[0] == "`REDIS_URL`"]
    assert [scheme for scheme in REDIS_SCHEMES if scheme not in row[2]] == []


def test_every_status_and_every_skip_reason_is_an_outcome() -> None:
    listed = [(names(row[0])[0], row[1]) for row in COMMANDS.rows("outcome")]
    assert {status for status, _ in listed} == set(Status)
    skips = [names(reason)[0] for status, reason in listed if status == Status.SKIPPED]
    assert sorted(skips) == sorted(reasons_in_code("SKIPPED") | set(get_args(SkipReason)))


def test_every_fixed_reason_of_a_failure_is_listed() -> None:
    listed = {name for row in COMMANDS.rows("outcome") if row[0] == "`failed`" for name in names(row[1] + row[2])}
    assert reasons_in_code("FAILED") <= listed


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


def test_every_path_and_answer_of_the_receiver_is_listed() -> None:
    @asynccontextmanager
    async def unused() -> Any:
        yield Queue

    paths = [route.path for route in create_app(StoreRegistry({}), unused).routes if isinstance(route, Route)]
    assert [path for path in paths if "{" not in path and path not in COMMANDS.text] == []
    assert {int(row[0]) for row in COMMANDS.rows("answer")} == {*_STATUS.values(), 500}


def test_every_metric_is_listed() -> None:
    ours = [metric.name for metric in ReceiverMetrics(()).registry.collect() if metric.name.startswith("enrich_")]
    assert ours
    assert [name for name in ours if name not in COMMANDS.text] == []


def test_every_stage_is_shown() -> None:
    (shown,) = [text for _, text in COMMANDS.blocks if "AT (MS)" in text]
    stages = re.findall(r"^([a-z ]+?) +\d+ .*\|$", shown.partition("STAGE")[2], re.MULTILINE)
    assert stages == [stage.value.replace("_", " ") for stage in Stage]
