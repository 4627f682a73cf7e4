"""The extra-field configs are read while the order is, and only where they are needed."""

import asyncio
from typing import Any

import pytest

from service.orders.state.order_entry import Status
from tests.fakes.stacks.job_stack import JobStack
from workers.orders.steps import order_configs
from workers.orders.steps.order_reading import OrderReader

ORDER_READ = "GET /v2/orders/1"
CONFIGS_READ = "GET /api/v3/io/orders/extra-fields"
CONFIGS = {"code": 200, "data": [{"fieldName": "F", "fieldType": 0, "labelName": "Cost Center"}], "meta": {}}


async def test_the_configs_are_read_while_the_order_is(job_stack: JobStack, monkeypatch: pytest.MonkeyPatch) -> None:
    are_configs_read, read = asyncio.Event(), OrderReader.read

    def configs(_: Any) -> Any:
        are_configs_read.set()
        return CONFIGS

    async def read_after_configs(self: OrderReader, *arguments: Any) -> Any:
        await asyncio.wait_for(are_configs_read.wait(), timeout=5.0)
        return await read(self, *arguments)

    monkeypatch.setattr(OrderReader, "read", read_after_configs)
    job_stack.upstream.on(CONFIGS_READ, configs)
    await job_stack.webhook()
    entry = await job_stack.run_until_finished()

    assert (entry.status, entry.attempts) == (Status.CREATED, 1)
    assert job_stack.upstream.asked.count(CONFIGS_READ) == 1


@pytest.mark.parametrize("error", [(503, {}), (404, {})])
async def test_configs_that_cannot_be_read_meanwhile_are_read_again(job_stack: JobStack, error: Any) -> None:
    job_stack.upstream.on(CONFIGS_READ, error, CONFIGS)
    await job_stack.webhook()
    entry = await job_stack.run_until_finished()

    assert (entry.status, entry.in_window) == (Status.CREATED, True)
    assert job_stack.upstream.asked.count(CONFIGS_READ) == 2


async def test_an_order_that_needs_no_configs_does_not_wait_for_them(
    job_stack: JobStack, monkeypatch: pytest.MonkeyPatch
) -> None:
    """B2B Edition hangs, and a skipped order needs only the core API."""
    began, go = asyncio.Event(), asyncio.Event()

    async def hangs(*_: Any, **__: Any) -> Any:
        began.set()
        await go.wait()
        raise RuntimeError("nobody asks for this any more")

    monkeypatch.setattr(order_configs, "read_configs", hangs)
    job_stack.order["external_source"] = "enrich rehearse"
    await job_stack.webhook()
    entry = await asyncio.wait_for(job_stack.run_until_finished(), timeout=5.0)

    assert (entry.status, entry.reason) == (Status.SKIPPED, "rehearsal")
    assert began.is_set()
    go.set()


async def test_after_the_window_the_configs_are_read_only_when_they_are_needed(job_stack: JobStack) -> None:
    job_stack.upstream.on(ORDER_READ, (404, {}))
    await job_stack.webhook()
    job_stack.clock.tick(30.0)
    assert (await job_stack.run_until_finished()).reason == "order_not_found"

    assert CONFIGS_READ not in job_stack.upstream.asked
