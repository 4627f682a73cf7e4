from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from service.redis.client import connect
from tests.fakes.console import ConsoleWorld, console_world
from tests.fakes.sandbox import RunningSandbox, running_sandbox

SANDBOX_STORES = r"""
[bigcommerce]
api_url     = "{url}"
b2b_api_url = "{url}"
[stores.sandbox]
access_token  = "sandbox-access-token"
client_secret = "sandbox-client-secret"
[stores.sandbox.po_number]
from  = "order.customer_message"
match = 'PO[\s#:]*([A-Z0-9-]+)'
[stores.sandbox.extra_fields]
"Account No"  = {{ from = 'company.extraFields."ERP Account"', required = true }}
"""


@pytest.fixture
async def world(redis_url: str, tmp_path: Path) -> AsyncIterator[ConsoleWorld]:
    async with console_world(redis_url, tmp_path) as opened:
        yield opened


@pytest.fixture
async def sandbox() -> AsyncIterator[RunningSandbox]:
    async with running_sandbox(core_quota=5000, b2b_quota=5000) as running:
        yield running


@pytest.fixture
async def sandbox_world(redis_url: str, tmp_path: Path, sandbox: RunningSandbox) -> AsyncIterator[ConsoleWorld]:
    """A console whose store is a sandbox's, over HTTP."""
    async with connect(redis_url) as redis:
        world = ConsoleWorld(redis, tmp_path, stores=SANDBOX_STORES.format(url=sandbox.url), calls_addresses=True)
        async with world.app.router.lifespan_context(world.app):
            yield world
