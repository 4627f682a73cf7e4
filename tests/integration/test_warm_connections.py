"""The first order after quiet minutes finds open connections, also at a worker that joined others."""

import asyncio
from pathlib import Path

import pytest

from service.sandbox import app
from tests.fakes.counting_relay import Relay, relayed
from tests.fakes.deployment import Deployment, deployed

pytestmark = [pytest.mark.integration, pytest.mark.chaos, pytest.mark.timeout(400)]

# The order is read together with its metafields.
RULES = r"""
[stores.{store}]
access_token  = "env:TEST_ACCESS_TOKEN"
client_secret = "env:TEST_CLIENT_SECRET"
po_number     = {{ from = [
    "metafields.erp.po",
    "order.billing_address.form_fields[?name=='PO Number'].value | [0]",
] }}
"""

# Less than the minute between two readings of a store's list.
SERVER_KEEPS_S = 50
QUIET_S = 110


def lead_through(deployment: Deployment, core: Relay, b2b: Relay) -> None:
    """Let workers that start from now on call BigCommerce through these relays."""
    stores_file = deployment.folder / "stores.toml"
    text = stores_file.read_text().replace(deployment.sandbox.url, core.url)
    stores_file.write_text(text.replace(f'b2b_api_url = "{core.url}"', f'b2b_api_url = "{b2b.url}"'))


async def test_the_first_order_of_quiet_minutes_opens_no_connection(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(app, "KEEP_ALIVE_S", SERVER_KEEPS_S)
    async with (
        deployed(tmp_path, rules=RULES) as deployment,
        relayed(deployment.sandbox.url) as core,
        relayed(deployment.sandbox.url) as b2b,
    ):
        await deployment.wait_until_reconciled()
        lead_through(deployment, core, b2b)
        deployment.start_worker()
        await deployment.ready(2)
        # The first worker has read the store: the second one has nothing to do, and opens its connections all the same.
        async with asyncio.timeout(30):
            await asyncio.gather(core.connected.wait(), b2b.connected.wait())
        await deployment.workers[0].stop()

        times_without = 0
        for _ in range(QUIET_S):
            await asyncio.sleep(1.0)
            times_without += not (core.open and b2b.open)
        opened = core.opened, b2b.opened
        order_id = await deployment.place(1)
        await deployment.wait_until_finished([order_id])

        assert times_without == 0
        assert (core.opened, b2b.opened) == opened
