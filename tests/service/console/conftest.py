from collections.abc import AsyncIterator, Iterator
from functools import partial
from pathlib import Path
from types import CodeType

import pytest
from jinja2 import BytecodeCache, Environment
from jinja2.bccache import Bucket

from service.console import rendering
from service.console.pages import rules
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


class CompiledTemplates(BytecodeCache):
    """Templates that were compiled for the console of another test, in memory."""

    def __init__(self) -> None:
        self._compiled: dict[tuple[str, str], CodeType] = {}

    def load_bytecode(self, bucket: Bucket) -> None:
        bucket.code = self._compiled.get((bucket.key, bucket.checksum))

    def dump_bytecode(self, bucket: Bucket) -> None:
        assert bucket.code is not None
        self._compiled[bucket.key, bucket.checksum] = bucket.code


@pytest.fixture(scope="session", autouse=True)
def compile_templates_once() -> Iterator[None]:
    """Each test has a console of its own, and to compile its templates takes longer than the test."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(rendering, "Environment", partial(Environment, bytecode_cache=CompiledTemplates()))
        yield


@pytest.fixture(autouse=True)
def read_before_a_page_opens(monkeypatch: pytest.MonkeyPatch) -> None:
    """The rules page of a busy machine is to have its comparison, too."""
    monkeypatch.setattr(rules, "_OPENING_WAIT_S", 5.0)


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
