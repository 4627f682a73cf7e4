"""`enrich check` of a running deployment: what processes report to Redis is what it says."""

import asyncio
import json
import os
import sys
import time
from pathlib import Path
from typing import Any

import httpx
import pytest

from service.hooks import WEBHOOK_PATH
from service.orders.state.per_store.webhook_counts import NO_STORE, WebhookCounts
from service.redis.client import connect
from tests.fakes.deployment import Deployment, deployed
from tests.fakes.webhooks import a_body, signed

# Four processes start and the receiver reports every five seconds: too long for every run of the tests.
pytestmark = [pytest.mark.integration, pytest.mark.chaos, pytest.mark.timeout(120)]

RULES = """
[stores.{store}]
access_token  = "env:TEST_ACCESS_TOKEN"
client_secret = "env:TEST_CLIENT_SECRET"
follow        = "0s"
late_values   = "0s"
po_number     = "metafields.chekout.po_number"
[stores.{store}.extra_fields]
"Account No"  = {{ value = "A-1" }}
"""


async def check(deployment: Deployment) -> tuple[int | None, dict[str, Any]]:
    environ = os.environ | deployment.environ
    command = [sys.executable, "-m", "service.cli", "check", "--json"]
    running = await asyncio.create_subprocess_exec(*command, env=environ, stdout=asyncio.subprocess.PIPE)
    out, _ = await running.communicate()
    return running.returncode, json.loads(out)


async def reported(deployment: Deployment, reason: str) -> None:
    """Wait until the receiver has reported such a request, as it does every five seconds."""
    async with connect(deployment.redis.url) as redis, asyncio.timeout(30):
        while True:
            if reason in (await WebhookCounts(redis).of_last_hour(now=time.time())).get(NO_STORE, {}):
                return
            await asyncio.sleep(0.05)


def said(answer: dict[str, Any], subject: str) -> list[str]:
    return [f"{each['level']} {each['message']}" for each in answer["findings"] if each["subject"] == subject]


async def test_a_deployment_with_a_typo_a_wrong_secret_and_a_wrong_path(tmp_path: Path) -> None:
    async with deployed(tmp_path, rules=RULES) as deployment:
        await deployment.ready(1)
        for _ in range(5):
            await deployment.sandbox.place_order(customer_id=101, metafields={"checkout": {"po_number": "4711"}})
        body = a_body().replace(b"abc123", b"sandbox")
        async with httpx.AsyncClient(base_url=deployment.url, trust_env=False) as client:
            assert (await client.post(WEBHOOK_PATH, content=body, headers=signed(body, "rotated"))).status_code == 401
            assert (await client.post("/webhooks/orders", content=body)).status_code == 404
        await reported(deployment, "wrong_path")
        code, answer = await check(deployment)
        assert (code, answer["would_be_enriched"]) == (0, True)
        assert answer["verdict"].startswith("As things stand, orders would be enriched. ")
        refused, wrong_path = said(answer, "refused webhooks")
        assert refused.startswith("warning 1 webhook refused in the last hour (bad_signature), 5 were accepted")
        assert wrong_path == "warning 1 request of the last hour went to a wrong path: answered 404."
        assert said(answer, "po_number") == [
            'warning found in 0 of 5 orders. These orders have no metafield in the namespace "chekout" that this token'
            ' may see. Did you mean "checkout"?'
        ]
        assert [each[:30] for each in (*said(answer, "workers"), *said(answer, "receivers"))] == [
            "ok 1 worker of this version (0",
            "ok 1 receiver of this version ",
        ]
        assert deployment.web.events("webhook_wrong_path")[0]["path"] == "/webhooks/orders"

        await deployment.workers[0].stop()
        code, answer = await check(deployment)
        assert (code, answer["would_be_enriched"]) == (0, False)
        assert (
            answer["verdict"] == "As things stand, no order would be enriched: no worker is running. The rest is right."
        )
