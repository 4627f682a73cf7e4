"""The health check of a container engine, against a real server or none."""

import asyncio
import subprocess
import sys

import pytest
from starlette.applications import Starlette
from starlette.responses import Response
from starlette.routing import Route

from service.process.healthcheck import is_healthy
from tests.fakes.sandbox import running_app

NOBODY = "http://127.0.0.1:9/healthz"


def answering(status: int) -> Starlette:
    async def healthz(_: object) -> Response:
        return Response(status_code=status)

    return Starlette(routes=[Route("/healthz", healthz)])


@pytest.mark.parametrize(("status", "healthy"), [(200, True), (503, False), (404, False)])
async def test_only_200_is_healthy(status: int, healthy: bool) -> None:
    async with running_app(answering(status)) as url:
        assert await asyncio.to_thread(is_healthy, (f"{url}/healthz",)) is healthy


async def test_one_of_several_addresses_is_enough() -> None:
    async with running_app(answering(200)) as url:
        assert await asyncio.to_thread(is_healthy, (NOBODY, f"{url}/healthz"))


def test_the_command_reports_only_by_its_exit_code() -> None:
    words = [sys.executable, "-m", "service.process.healthcheck", NOBODY]
    ran = subprocess.run(words, capture_output=True, text=True, check=False)
    assert (ran.returncode, ran.stdout, ran.stderr) == (1, "", "")
