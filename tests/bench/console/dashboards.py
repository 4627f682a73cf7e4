"""The dashboards beside which the console is measured: Flower (Celery) and rq-dashboard (rq), with jobs of their own.

They have a virtual environment of their own, in the cache of the user: their dependencies are not ours. It is made from
``dashboards.lock``, each download checked against its hash, and again when that file changes.
"""

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

import httpx
from platformdirs import user_cache_path

from tests.bench.console.clicks import PageToClick
from tests.bench.rig.processes import HOST, Rig, free_port_number

LOCK = Path(__file__).with_name("dashboards.lock")
_JOBS = Path(__file__).with_name("dashboard_jobs")
_START_S, _FILL_S = 60.0, 900.0

# Databases of the same Redis: ours is 0.
_CELERY_DB, _RQ_DB = 1, 2


def environment() -> Path:
    """The folder with the other dashboards' programs; it is made at the first call. Needs the package registry then."""
    digest = sha256(LOCK.read_bytes() + sys.version.encode()).hexdigest()[:16]
    folder = user_cache_path("enrich-bench") / f"dashboards-{digest}"
    ready = folder / "ready"
    if not ready.exists():
        subprocess.run([sys.executable, "-m", "venv", "--clear", folder], check=True)
        install = [str(folder / "bin/python"), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        subprocess.run([*install, "--require-hashes", "-r", str(LOCK)], check=True)
        ready.touch()
    return folder / "bin"


@dataclass(slots=True)
class Program:
    """A program of the other dashboards that runs until ``stop``."""

    process: asyncio.subprocess.Process
    log: Path

    @classmethod
    async def start(cls, words: Sequence[str], environ: dict[str, str], log: Path) -> "Program":
        """Start it; what it prints goes to ``log``."""
        with log.open("wb") as output:
            process = await asyncio.create_subprocess_exec(
                *words, env={**os.environ, **environ}, cwd=_JOBS, stdout=output, stderr=output
            )
        return cls(process, log)

    @property
    def pid(self) -> int:
        return self.process.pid

    @property
    def text(self) -> str:
        """What it has printed."""
        return self.log.read_text()

    async def until_up(self, url: str, client: httpx.AsyncClient) -> None:
        """Wait until it answers this URL with 200."""
        async with asyncio.timeout(_START_S):
            while True:
                assert self.process.returncode is None, self.text
                try:
                    if (await client.get(url)).status_code == 200:
                        return
                except httpx.TransportError:
                    pass
                await asyncio.sleep(0.1)

    async def stop(self) -> None:
        """Stop it, and wait."""
        if self.process.returncode is None:
            self.process.terminate()
            try:
                await asyncio.wait_for(self.process.wait(), 10)
            except TimeoutError:
                self.process.kill()
                await self.process.wait()


@dataclass(frozen=True, slots=True)
class Dashboard:
    """A page that runs, with its jobs done."""

    name: str
    url: str
    programs: Sequence[Program]
    pages: Sequence[PageToClick]
    first_visit: str

    @property
    def page_process(self) -> Program:
        """The one that serves the pages."""
        return self.programs[0]


async def _run(words: Sequence[str], environ: dict[str, str], log: Path) -> None:
    program = await Program.start(words, environ, log)
    async with asyncio.timeout(_FILL_S):
        assert await program.process.wait() == 0, program.text


async def start_flower(rig: Rig, programs: Path, count: int) -> Dashboard:
    """Flower, and a Celery worker that has run ``count`` tasks. Flower knows only tasks that it has seen itself."""
    socket = rig.redis_url.removeprefix("unix://").partition("?")[0]
    environ = {"BENCH_PEERS_REDIS": f"redis+socket://{socket}?virtual_host={_CELERY_DB}"}
    port = free_port_number()
    url = f"http://{HOST}:{port}"
    celery = [str(programs / "celery"), "--app", "celery_tasks"]
    words = [*celery, "flower", "--address=127.0.0.1", f"--port={port}", "--max-tasks=100000", "--logging=error"]
    flower = await Program.start(words, environ, rig.folder / "flower.log")
    await flower.until_up(f"{url}/tasks", rig.client)
    words = [*celery, "worker", "--pool=solo", "--task-events", "--without-mingle", "--loglevel=CRITICAL"]
    worker = await Program.start(words, environ, rig.folder / "celery.log")
    try:
        await _run([str(programs / "python"), "celery_tasks.py", str(count)], environ, rig.folder / "celery-fill.log")
        rows = await _flower_rows(rig, url, count)
    except BaseException:
        await worker.stop()
        await flower.stop()
        raise
    pages = [
        PageToClick("overview", [["/workers"]]),
        PageToClick("list", [["/tasks", _datatable(start, 50)] for start in (0, 50, 100)], weight=3),
        PageToClick("one job", [[f"/task/{row}"] for row in rows[:20]], weight=2),
    ]
    return Dashboard("Flower", url, [flower, worker], pages, "/tasks")


async def _flower_rows(rig: Rig, url: str, count: int) -> list[str]:
    """Wait until Flower has seen that all tasks have ended; the ids of the newest."""
    async with asyncio.timeout(_FILL_S):
        while True:
            answer = (await rig.client.get(url + _datatable(0, 50))).json()
            ended = all(row["state"] in ("SUCCESS", "FAILURE") for row in answer["data"])
            if answer["recordsTotal"] >= count and ended:
                return [str(row["uuid"]) for row in answer["data"]]
            await asyncio.sleep(0.5)


def _datatable(start: int, length: int) -> str:
    """The rows as the page of Flower fetches them, sorted by when they came."""
    columns = ("name", "uuid", "state", "args", "kwargs", "result", "received", "started", "runtime", "worker")
    named = "&".join(f"columns[{number}][data]={name}" for number, name in enumerate(columns))
    rows = f"draw=1&start={start}&length={length}&search[value]=&order[0][column]=6&order[0][dir]=desc"
    return f"/tasks/datatable?{rows}&{named}"


async def start_rq_dashboard(rig: Rig, programs: Path, count: int) -> Dashboard:
    """rq-dashboard, and ``count`` jobs that an rq worker has run."""
    socket = rig.redis_url.removeprefix("unix://").partition("?")[0]
    redis_url = f"unix://{socket}?db={_RQ_DB}"
    environ = {"BENCH_PEERS_REDIS": redis_url}
    await _run([str(programs / "python"), "rq_jobs.py", str(count)], environ, rig.folder / "rq-fill.log")
    port = free_port_number()
    url = f"http://{HOST}:{port}"
    words = [str(programs / "rq-dashboard"), "--bind=127.0.0.1", f"--port={port}", f"--redis-url={redis_url}"]
    dashboard = await Program.start(words, environ, rig.folder / "rq-dashboard.log")
    listed = "/0/data/jobs/orders/finished/50/dsc/{page}.json"
    try:
        await dashboard.until_up(f"{url}/", rig.client)
        first = (await rig.client.get(url + listed.format(page=1))).text
    except BaseException:
        await dashboard.stop()
        raise
    jobs = [job["id"] for job in json.loads(first)["jobs"]]
    pages = [
        PageToClick("overview", [["/", "/0/data/queues.json"]]),
        PageToClick(
            "list",
            [[f"/0/view/jobs/orders/finished/50/dsc/{page}", listed.format(page=page)] for page in (1, 2, 3)],
            weight=3,
        ),
        PageToClick("one job", [[f"/0/view/job/{job}", f"/0/data/job/{job}.json"] for job in jobs[:20]], weight=2),
    ]
    return Dashboard("rq-dashboard", url, [dashboard], pages, "/")
