"""An order that real workers have enriched, looked at as its buyer with ``enrich orders show --as-buyer``."""

import asyncio
import json
import os
from pathlib import Path
from typing import Any

import pytest

from service.redis.client import connect
from tests.fakes.cli import COMMAND
from tests.fakes.deployment import Deployment, deployed

pytestmark = pytest.mark.integration

PLENTY = 100_000


async def look(deployment: Deployment, order_id: int) -> dict[str, Any]:
    """What the command prints about the buyer. Nothing of the buyer's token is in it, nor in its log lines."""
    process = await asyncio.create_subprocess_exec(
        *COMMAND,
        *("orders", "show", str(order_id), "--as-buyer", "--json"),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env={**deployment.environ, "ENRICH_LOG_LEVEL": "DEBUG", "PYTHONPATH": os.environ.get("PYTHONPATH", "")},
    )
    out, errors = (stream.decode() for stream in await process.communicate())
    assert process.returncode == 0, errors
    assert '"upstream_call"' in errors
    assert "Bearer" not in out + errors
    assert "example.com" not in out + errors
    view: dict[str, Any] = json.loads(out)["as_buyer"]
    return view


async def test_what_the_workers_wrote_is_what_the_buyer_sees(tmp_path: Path) -> None:
    # With plenty of quota, which those who look wait for otherwise: orders go first.
    async with deployed(tmp_path, core_quota=PLENTY, b2b_quota=PLENTY) as deployment:
        order_id = await deployment.place(1)
        entry = (await deployment.wait_until_finished([order_id]))[order_id]
        seen = await look(deployment, order_id)
        async with connect(deployment.environ["REDIS_URL"]) as redis:
            (key,) = await redis.keys("enrich:storefront-token:*")
            held = await redis.get(key)

    assert (seen["differences"], seen["not_compared"], seen["not_shown"]) == ([], [], {})
    assert seen["order"]["po_number"] == entry.po_number
    assert entry.po_number
    assert entry.fields.items() <= seen["order"]["extra_fields"].items()

    assert held is not None
    assert not held.isascii(), "the token is sealed"
