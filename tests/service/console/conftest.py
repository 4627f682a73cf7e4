from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.fakes.console import ConsoleWorld, console_world


@pytest.fixture
async def world(redis_url: str, tmp_path: Path) -> AsyncIterator[ConsoleWorld]:
    async with console_world(redis_url, tmp_path) as opened:
        yield opened
