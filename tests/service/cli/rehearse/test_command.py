"""``enrich rehearse`` against a sandbox and a real Redis, on a schedule of a few seconds."""

import asyncio
import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from redis import Redis

from service.orders.facts.fact import Fact
from service.orders.facts.store_facts import Facts
from service.orders.rehearsal.lines import Schedule
from service.orders.rehearsal.marked_orders import RECENT_S
from service.orders.state.keys import rehearsal_lock_key
from service.orders.values.skip import REHEARSAL_SOURCE
from service.redis.client import connect
from service.sandbox.demo import DEMO_STORE
from tests.fakes.cli import COMMAND, Enrich
from tests.fakes.processes.threaded_sandbox import ServedSandbox, served_sandbox
from tests.fakes.stores_file import SANDBOX_STORES

pytestmark = pytest.mark.integration

SHORT = Schedule(early_s=0.1, late_s=3.0, watch_s=2.0, last_look_s=2.0, webhook_s=1.0, read_lag_s=2.0, poll_s=0.1)
CREATE_WINDOW_S = 2.5


@pytest.fixture(scope="module")
def served() -> Iterator[ServedSandbox]:
    with served_sandbox(create_window=CREATE_WINDOW_S, update_extra_fields="merge") as served:
        yield served


@pytest.fixture
def sandbox(folder: Path, served: ServedSandbox, monkeypatch: pytest.MonkeyPatch) -> ServedSandbox:
    """A sandbox without orders that ``enrich`` talks to."""
    served.reset()
    (folder / "stores.toml").write_text(SANDBOX_STORES.format(url=served.url))
    monkeypatch.setattr("service.cli.rehearse.command.SCHEDULE", SHORT)
    return served


def statuses(sandbox: ServedSandbox) -> list[int]:
    answer = sandbox.run(sandbox.sandbox.api.get("/stores/sandbox/v2/orders"))
    return [order["status_id"] for order in answer.json()] if answer.content else []


def place_test_order(sandbox: ServedSandbox, **fields: Any) -> int:
    """Place a test order as another run does; returns its id."""
    placed = sandbox.sandbox.place_order(customer_id=101, status_id=1, external_source=REHEARSAL_SOURCE, **fields)
    order_id: int = sandbox.run(placed)["id"]
    return order_id


def configure_store(sandbox: ServedSandbox, **spec: Any) -> None:
    sandbox.run(sandbox.sandbox.put_store(**DEMO_STORE.model_dump(mode="json") | spec))


def test_it_shows_a_table_keeps_facts_and_cancels_its_orders(
    sandbox: ServedSandbox, enrich: Enrich, redis_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REDIS_URL", redis_url)

    ran = enrich("rehearse", "--yes")

    assert ran.code == 0, ran.err
    heading, first, second, *_ = (re.split(r"  +", line.strip()) for line in ran.out.splitlines())
    assert heading == ["MEASURED", "DOCUMENTED", "FOUND", "VERDICT"]
    assert first == ["record of an order made by API", "comes by itself after about 10 s", "none within 2 s", "differs"]
    assert [*second[:2], second[3]] == ["Create an Order, 0.1 s after the order", "taken", "as documented"]
    assert "keeps the others" in ran.out
    assert ran.out.splitlines()[-1].startswith("Kept as ")
    assert statuses(sandbox) == [5, 5, 5]

    checked = enrich("check")
    assert "fact update_extra_fields" in checked.out
    assert "Update an Order keeps the extra fields that it does not send (measured by `enrich rehearse`" in checked.out


def test_json_is_for_scripts(
    sandbox: ServedSandbox, enrich: Enrich, redis_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REDIS_URL", redis_url)

    ran = enrich("rehearse", "--yes", "--json", "--customer", "103", "--store", "sandbox")

    result = json.loads(ran.out)
    assert (ran.code, result["store"], result["customer_id"], result["kept"]) == (0, "sandbox", 103, True)
    assert (len(result["orders"]), result["not_cancelled"], result["stopped"]) == (3, [], False)
    assert result["facts"]["update_extra_fields"] == "merge"
    found = {each["subject"]: each for each in result["measurements"]}
    assert found["Update an Order with some of the extra fields"] == {
        "subject": "Update an Order with some of the extra fields",
        "documented": "—",
        "found": "keeps the others",
        "verdict": "not documented",
        "facts": {"update_extra_fields": "merge"},
    }
    assert found["webhook of a new order"]["found"] == "no worker is running"
    placed = sandbox.run(sandbox.sandbox.order(result["orders"][0]))["order"]
    assert (placed["customer_id"], placed["external_source"]) == (103, "enrich rehearse")

    async def known() -> object:
        async with connect(redis_url) as redis:
            return (await Facts(redis).of("sandbox")).value(Fact.UPDATE_EXTRA_FIELDS)

    assert asyncio.run(known()) == "merge"


def test_without_redis_nothing_is_kept_and_it_says_so(sandbox: ServedSandbox, enrich: Enrich) -> None:
    ran = enrich("rehearse", "--yes")
    assert ran.code == 0
    assert ran.out.splitlines()[-1] == "Not kept: there is no Redis. Set REDIS_URL to that of the service."


def test_a_second_run_in_the_same_store_is_refused_by_the_lock(
    sandbox: ServedSandbox, enrich: Enrich, redis_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REDIS_URL", redis_url)
    with Redis.from_url(redis_url) as redis:
        redis.set(rehearsal_lock_key("sandbox"), "web-1, process 4711")
    place_test_order(sandbox)  # the other run's

    ran = enrich("rehearse", "--yes")

    assert (ran.code, ran.out) == (2, "")
    assert ran.err.startswith("rehearsal of sandbox: is already running (web-1, process 4711). Stop it,")
    assert statuses(sandbox) == [1], "the other run's order is left alone"


def test_without_redis_a_test_order_of_now_is_taken_for_another_run(sandbox: ServedSandbox, enrich: Enrich) -> None:
    order_id = place_test_order(sandbox)

    ran = enrich("rehearse", "--yes")

    assert (ran.code, ran.out) == (2, "")
    assert ran.err.startswith(f"store sandbox: seems to be rehearsed already: test order {order_id} is not cancelled.")
    assert statuses(sandbox) == [1]


def test_old_test_orders_are_cancelled_without_redis_too(sandbox: ServedSandbox, enrich: Enrich) -> None:
    place_test_order(sandbox, age=RECENT_S + 1.0)

    ran = enrich("rehearse", "--yes")

    assert ran.code == 0
    assert statuses(sandbox) == [5] * 4


def test_without_a_terminal_it_asks_for_yes_and_calls_nobody(sandbox: ServedSandbox, enrich: Enrich) -> None:
    ran = enrich("rehearse")
    assert (ran.code, ran.out) == (2, "")
    assert ran.err.startswith("--yes: is required without a terminal. The question was: Place 3 test orders")
    assert sandbox.calls() == {}


def test_a_token_that_may_not_place_orders_is_one_sentence_and_nothing_is_placed(
    sandbox: ServedSandbox, enrich: Enrich
) -> None:
    configure_store(sandbox, missing_scopes=["orders_modify"])

    ran = enrich("rehearse", "--yes")

    assert (ran.code, ran.out) == (2, "")
    (sentence,) = ran.err.splitlines()
    assert sentence.startswith("access_token: may not place orders (You don't have a required scope")
    assert "nothing was placed. Give its API account the scope Orders: modify" in sentence
    assert statuses(sandbox) == []


@pytest.mark.parametrize(
    ("words", "spec", "message"),
    [
        (["--customer", "199"], {}, "--customer 199: is no Company user. Name a buyer of a Company, or leave it out."),
        ([], {"users": []}, "--customer: is needed: B2B Edition lists no Company user with an account."),
        (["--store", "nobody"], {}, "--store nobody: is not in the stores file. One of: sandbox."),
    ],
)
def test_a_mistake_places_nothing(
    sandbox: ServedSandbox, enrich: Enrich, words: list[str], spec: dict[str, Any], message: str
) -> None:
    configure_store(sandbox, **spec)
    ran = enrich("rehearse", "--yes", *words)
    assert (ran.code, ran.out, ran.err) == (2, "", f"{message}\n")
    assert statuses(sandbox) == []


def test_an_order_that_is_left_is_named(
    sandbox: ServedSandbox, enrich: Enrich, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("service.orders.rehearsal.marked_orders.CANCEL_TRIES", 1)
    monkeypatch.setattr("service.cli.rehearse.command.SCHEDULE", Schedule(0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.1))
    sandbox.run(sandbox.sandbox.faults(error_rate=1.0, apis=["core"], operations=["Update an Order"]))

    ran = enrich("rehearse", "--yes")

    assert ran.code == 1
    assert re.search(
        r"^Not cancelled: test orders \d+, \d+, \d+\. Cancel them in the control panel", ran.err, re.MULTILINE
    )


@pytest.mark.parametrize("number", [pytest.param(signal.SIGINT, marks=pytest.mark.chaos), signal.SIGTERM])
def test_a_signal_cancels_the_orders(sandbox: ServedSandbox, folder: Path, number: signal.Signals) -> None:
    process = subprocess.Popen(
        [*COMMAND, "rehearse", "--yes", "--json"],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    deadline = time.monotonic() + 30
    while len(statuses(sandbox)) < 3:
        assert time.monotonic() < deadline
        assert process.poll() is None, process.communicate()
        time.sleep(0.05)

    process.send_signal(number)
    out, err = process.communicate(timeout=30)

    assert process.returncode == 130, err
    assert (json.loads(out)["stopped"], json.loads(out)["not_cancelled"]) == (True, [])
    assert statuses(sandbox) == [5, 5, 5]
