"""A log that cannot be written or that nobody reads: the work goes on, with every process real."""

import asyncio
import fcntl
import os
import resource
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import ExitStack, asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from service.orders.state.order_entry import Status
from tests.fakes.cli import COMMAND
from tests.fakes.deployment import Deployment, deployed, outcomes
from tests.fakes.sandbox import kept_port

pytestmark = pytest.mark.integration


class FullDisk:
    """A log file that cannot grow from ``block`` until ``release``."""

    def __init__(self, folder: Path, name: str) -> None:
        self.path = folder / f"{name}.out"
        self._file = self.path.open("ab")
        self.stdout = self._file.fileno()

    def block(self, pid: int) -> None:
        resource.prlimit(pid, resource.RLIMIT_FSIZE, (self.path.stat().st_size, resource.RLIM_INFINITY))

    def release(self, pid: int) -> None:
        resource.prlimit(pid, resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))

    @property
    def text(self) -> str:
        return self.path.read_text()

    def close(self) -> None:
        self._file.close()


class StalledPipe:
    """A pipe whose reader stops reading from ``block`` on; writing blocks then, or fails."""

    blocking = True

    def __init__(self, *_: Any) -> None:
        self._reader, self.stdout = os.pipe()
        fcntl.fcntl(self.stdout, fcntl.F_SETPIPE_SZ, 4096)
        os.set_blocking(self._reader, False)
        asyncio.get_running_loop().add_reader(self._reader, lambda: os.read(self._reader, 65536))

    def block(self, _: int) -> None:
        asyncio.get_running_loop().remove_reader(self._reader)
        os.set_blocking(self.stdout, False)
        with suppress(BlockingIOError):
            while True:
                os.write(self.stdout, b".")
        os.set_blocking(self.stdout, self.blocking)

    def close(self) -> None:
        asyncio.get_running_loop().remove_reader(self._reader)
        os.close(self._reader)
        os.close(self.stdout)


class NonBlockingPipe(StalledPipe):
    blocking = False


@contextmanager
def process(arguments: tuple[str, ...], environ: dict[str, str], stdout: int) -> Iterator["subprocess.Popen[bytes]"]:
    with subprocess.Popen(
        arguments, env=os.environ | environ, stdin=subprocess.DEVNULL, stdout=stdout, stderr=subprocess.DEVNULL
    ) as running:
        try:
            yield running
        finally:
            running.terminate()
            try:
                running.wait(30)
            except subprocess.TimeoutExpired:
                running.kill()
                raise


@dataclass(slots=True)
class Stack:
    """A receiver and a worker whose log is ``log``, and the rest of a deployment."""

    deployment: Deployment
    web: "subprocess.Popen[bytes]"
    worker: "subprocess.Popen[bytes]"
    worker_url: str
    log: Any

    async def get(self, url: str) -> httpx.Response:
        async with httpx.AsyncClient(trust_env=False) as client:
            return await client.get(url)

    async def metric(self, url: str, name: str) -> float:
        text = (await self.get(f"{url}/metrics")).text
        (value,) = [line.rpartition(" ")[2] for line in text.splitlines() if line.rpartition(" ")[0] == name]
        return float(value)

    async def accepted(self) -> float:
        """How many webhooks were answered 200."""
        answers = ("queued", "duplicate")  # a duplicate where reconciling found the order first
        names = [f'enrich_webhooks_total{{answer="{answer}"}}' for answer in answers]
        return sum([await self.metric(self.deployment.url, name) for name in names])


@asynccontextmanager
async def stack(folder: Path, log: Any) -> AsyncIterator[Stack]:
    async with deployed(folder, workers=0, faults={"latency": 0.02}) as deployment:
        await deployment.web.stop()
        with ExitStack() as processes:
            processes.callback(log.close)
            port = processes.enter_context(kept_port())
            environ = deployment.environ | {"ENRICH_METRICS_PORT": str(port), "ENRICH_METRICS_HOST": "127.0.0.1"}
            module = (sys.executable, "-m")
            web_port = str(httpx.URL(deployment.url).port)
            web = processes.enter_context(
                process((*module, "service.cli", "web", "--port", web_port), environ, log.stdout)
            )
            worker = processes.enter_context(process((*module, "workers"), environ, log.stdout))
            await _ready(deployment)
            yield Stack(deployment, web, worker, f"http://127.0.0.1:{port}", log)


async def _ready(deployment: Deployment) -> None:
    async with httpx.AsyncClient(base_url=deployment.url, trust_env=False) as client, asyncio.timeout(40):
        while True:
            with suppress(httpx.HTTPError):
                answer = await client.get("/readyz")
                if answer.status_code == 200 and answer.json()["workers"] == 1:
                    return
            await asyncio.sleep(0.05)


async def until(condition: Callable[[], bool], within_s: float = 30.0) -> None:
    async with asyncio.timeout(within_s):
        while not condition():  # noqa: ASYNC110 - it happens in other processes
            await asyncio.sleep(0.05)


@pytest.mark.chaos
@pytest.mark.parametrize("kind", [FullDisk, NonBlockingPipe])
async def test_orders_are_enriched_while_stdout_cannot_be_written_and_redis_is_away(
    tmp_path: Path, kind: Callable[..., Any]
) -> None:
    async with stack(tmp_path, kind(tmp_path, "log")) as running:
        deployment = running.deployment
        for child in (running.web, running.worker):
            running.log.block(child.pid)
        deployment.redis.kill()
        await asyncio.sleep(1.5)  # every loop notices
        await deployment.redis.restart()
        await _ready(deployment)

        orders = {await deployment.place(number): number for number in range(10)}
        assert outcomes(await deployment.wait_until_finished(orders)) == {Status.CREATED: 10}
        await deployment.assert_enriched(orders)
        assert await running.accepted() == 10
        assert (await running.get(f"{running.worker_url}/healthz")).status_code == 200


@pytest.mark.chaos
async def test_lines_that_a_full_disk_dropped_are_counted_and_reported(tmp_path: Path) -> None:
    log = FullDisk(tmp_path, "log")
    async with stack(tmp_path, log) as running:
        for child in (running.web, running.worker):
            log.block(child.pid)
        await running.deployment.wait_until_finished([await running.deployment.place(1)])
        for url in (running.deployment.url, running.worker_url):
            async with asyncio.timeout(30):
                while not await running.metric(url, "enrich_log_lines_dropped_total"):  # noqa: ASYNC110
                    await asyncio.sleep(0.05)
        assert "order_enriched" not in log.text
        for child in (running.web, running.worker):
            log.release(child.pid)
        await running.deployment.wait_until_finished([await running.deployment.place(2)])
        await until(lambda: log.text.count('"event": "log_lines_dropped"') == 2)
        await until(lambda: log.text.count('"event": "order_enriched"') == 2)  # canonical: kept until now


@pytest.mark.chaos
async def test_webhooks_and_orders_go_on_while_nobody_reads_the_log(tmp_path: Path) -> None:
    async with stack(tmp_path, StalledPipe()) as running:
        deployment = running.deployment
        running.log.block(running.worker.pid)
        orders = {await deployment.place(number): number for number in range(30)}
        await until_accepted(running, 30, within_s=5.0)
        assert outcomes(await deployment.wait_until_finished(orders)) == {Status.CREATED: 30}
        assert (await running.get(f"{running.worker_url}/healthz")).status_code == 200


async def until_accepted(running: Stack, webhooks: int, *, within_s: float) -> None:
    async with asyncio.timeout(within_s):
        while await running.accepted() < webhooks:  # noqa: ASYNC110
            await asyncio.sleep(0.05)


STORES = """
[stores.abc123]
access_token = "token"
client_secret = "secret"
po_number = "order.customer_message"
"""


async def test_up_restarts_a_child_that_died_while_stdout_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "stores.toml").write_text(STORES)
    log = FullDisk(tmp_path, "log")
    environ = {
        "ENRICH_CONFIG": str(tmp_path / "stores.toml"),
        "ENRICH_DATA_DIR": str(tmp_path / "data"),
        "ENRICH_LOG_FORMAT": "json",
        "ENRICH_METRICS_PORT": "0",
    }
    environ.update({"REDIS_URL": ""} if "REDIS_URL" in os.environ else {})
    with (
        kept_port() as port,
        process((*COMMAND, "up", "--port", str(port), "--console-port", "0"), environ, log.stdout) as up,
    ):
        await until(lambda: "worker_started" in log.text)
        log.block(up.pid)
        (worker,) = children(up.pid, "workers")
        os.kill(worker, signal.SIGKILL)
        await until(lambda: children(up.pid, "workers") not in ([], [worker]))
    log.close()


def children(parent: int, module: str) -> list[int]:
    """The living children of a process that run this module."""
    found = []
    for task in Path(f"/proc/{parent}/task").iterdir():
        for pid in (task / "children").read_text().split():
            with suppress(OSError):
                if module in Path(f"/proc/{pid}/cmdline").read_text().split("\0"):
                    found.append(int(pid))
    return found
