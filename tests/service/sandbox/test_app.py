"""The sandbox as a separate process."""

import asyncio
import re
import socket
import sys

import httpx
import pytest

from service.errors import ConfigError
from service.sandbox.app import serve
from service.sandbox.options import Options

SCRIPT = """
import asyncio
from service.sandbox.app import serve
from service.sandbox.options import Options
asyncio.run(serve(Options(), "127.0.0.1", 0))
"""


@pytest.mark.integration
async def test_it_logs_its_url_and_stops_on_a_signal() -> None:
    process = await asyncio.create_subprocess_exec(sys.executable, "-c", SCRIPT, stdout=asyncio.subprocess.PIPE)
    assert process.stdout is not None
    try:
        async with asyncio.timeout(30):
            line = (await process.stdout.readline()).decode()
            url = re.search(r"http://127\.0\.0\.1:\d+", line)
            assert url, line
            async with httpx.AsyncClient(timeout=30, trust_env=False) as http:
                health = await http.get(f"{url[0]}/sandbox/health")
    finally:
        process.terminate()
    async with asyncio.timeout(30):
        await process.communicate()

    assert process.returncode == 0
    assert health.json() == {"status": "ok", "stores": ["sandbox"]}


async def test_a_port_that_is_taken_is_one_clear_sentence() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken, pytest.raises(ConfigError, match="another program listens"):
        await serve(Options(), "127.0.0.1", taken.getsockname()[1])
