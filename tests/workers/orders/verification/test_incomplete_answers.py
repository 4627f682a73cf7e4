"""Answers with parts missing, null, of another type or of another endpoint never cost anybody a value.

Each seed is one course of events: which answers are damaged, how, and for how many calls. Then BigCommerce answers
as documented again.
"""

import json
import random
from collections.abc import Callable
from copy import deepcopy
from typing import Any

import httpx
import pytest

from service.orders.state.job_kinds import REVERIFY
from service.orders.state.order_entry import Status
from tests.fakes.stacks.job_stack import ACCOUNT, CUSTOMER, RECORD, JobStack

ORDER = "GET /v2/orders/1"
USER = f"GET /api/v3/io/users/customer/{CUSTOMER}"
COMPANY = "GET /api/v3/io/companies/12"
CONFIGS = "GET /api/v3/io/orders/extra-fields"
READ_RECORD = f"GET {RECORD}"
ROUTES = (ORDER, USER, COMPANY, CONFIGS, READ_RECORD, f"PUT {RECORD}", "POST /api/v3/io/orders")

MAX_DAMAGED_ROUTES = 3
MAX_DAMAGED_ANSWERS = 4
# Each takes as long as fifty unit tests.
SEEDS = [*range(40), *(pytest.param(seed, marks=pytest.mark.chaos) for seed in range(40, 120))]

SHOWN = ("poNumber", "extraFields", "fieldValue")
"""Any value of these is an answer that can be believed, null and empty too: they can only be missing."""

ELSEWHERE = [
    {"code": 200, "data": {"errMsg": "upstream is busy"}, "meta": {"message": "SUCCESS"}},
    {"code": 200, "data": {}, "meta": {}},
    {"code": 200, "data": [], "meta": {}},
    {"code": 200, "data": None},
    {"message": "no Route matched"},
    {},
    [],
    None,
    "text",
    5,
]


def damaged(answer: Any, others: list[Any], rng: random.Random) -> Any:
    """The same answer with one part missing, null or of another type; or another answer altogether."""
    if rng.random() < 0.3:
        return deepcopy(rng.choice([*ELSEWHERE, *others]))
    answer = deepcopy(answer)
    places = list(_places(answer))
    if not places:
        return None
    parent, key = rng.choice(places)
    match rng.choice(("drop", "null", "other type")):
        case "drop":
            del parent[key]
        case "null" if key not in SHOWN:
            parent[key] = None
        case _ if key not in SHOWN:
            parent[key] = rng.choice([[], {}, [1], "text", True])
        case _:
            del parent[key]
    return answer


def _places(node: Any) -> Any:
    children = node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ()
    for key, child in children:
        yield node, key
        yield from _places(child)


def damage(job_stack: JobStack, rng: random.Random) -> None:
    """Damage the first answers of some routes."""
    script = job_stack.upstream._script
    whole = {route: script[route][-1] for route in ROUTES}

    def answer(route: str, request: httpx.Request) -> Any:
        found = whole[route]
        return found(request) if callable(found) else found

    def first_damaged(route: str, count: int) -> Callable[[httpx.Request], Any]:
        left = [count]

        def respond(request: httpx.Request) -> Any:
            found = answer(route, request)
            if left[0] == 0 or isinstance(found, tuple):
                return found
            left[0] -= 1
            others = [each for name, each in whole.items() if name != route and not callable(each)]
            return (200, json.loads(json.dumps(damaged(found, others, rng))))

        return respond

    for route in rng.sample(ROUTES, rng.randint(1, MAX_DAMAGED_ROUTES)):
        job_stack.upstream.on(route, first_damaged(route, rng.randint(1, MAX_DAMAGED_ANSWERS)))


async def run_to_the_end(job_stack: JobStack) -> Status:
    """Run all jobs, re-verification included."""
    entry = await job_stack.run_until_finished(max_jobs=300)
    while any(job_id.startswith(REVERIFY.function) for job_id in await job_stack.queued()):
        await job_stack.run_next()
        entry = await job_stack.run_until_finished(max_jobs=300)
    return entry.status


@pytest.mark.parametrize("seed", SEEDS)
async def test_a_buyers_values_survive_damaged_answers(job_stack: JobStack, seed: int) -> None:
    rng = random.Random(seed)
    job_stack.configure(fields=ACCOUNT)
    job_stack.record.make("B-77", Other="theirs", Acc=rng.choice(["", "ours before"]))
    damage(job_stack, rng)
    if rng.random() < 0.5:
        job_stack.clock.tick(60)
    await job_stack.webhook()

    assert await run_to_the_end(job_stack) in (Status.UPDATED, Status.UNCHANGED)
    assert job_stack.record.po_number == "B-77"
    assert job_stack.record.fields["Other"] == "theirs"


@pytest.mark.parametrize("seed", SEEDS)
async def test_an_order_is_enriched_after_damaged_answers(job_stack: JobStack, seed: int) -> None:
    rng = random.Random(seed)
    job_stack.configure(fields=ACCOUNT)
    damage(job_stack, rng)
    await job_stack.webhook()
    for _ in range(3):
        if await job_stack.queued():
            await job_stack.run_next()
    if job_stack.record.po_number is None:
        job_stack.record.make()  # B2B Edition's own record, ten seconds after the order

    assert await run_to_the_end(job_stack) in (Status.CREATED, Status.UPDATED, Status.UNCHANGED)
