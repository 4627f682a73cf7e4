"""The workers' jobs, run one by one: a scripted BigCommerce, a real Redis, and a clock that the test moves.

The job that is due first is taken from its queue, and finished with the worker's own script.
"""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import pytest
from arq import ArqRedis, Retry
from arq.constants import in_progress_key_prefix, job_key_prefix, retry_key_prefix

from service.bigcommerce import Transport
from service.configuration import Configuration, load_configuration
from service.metrics import WorkerMetrics
from service.orders.document.cache import Cache
from service.orders.facts.store_facts import Facts
from service.orders.state.job_kinds import (
    FOLLOW,
    POLL_VALUES,
    PROBE,
    RECOVERY,
    REVERIFY,
    VERIFY,
    WAKE_WAITING,
    WINDOW,
    from_json,
)
from service.orders.state.keys import reverify_key, verify_key, waiting_key
from service.orders.state.ledger import Ledger
from service.orders.state.order_entry import Entry
from service.orders.state.per_store.credentials_breaker import Breaker
from service.orders.state.per_store.pauses import Pauses
from service.orders.state.per_store.rules_archive import RulesArchive
from service.orders.state.per_store.super_admins import SuperAdminBook, SuperAdmins
from service.orders.state.queue import EnqueueResult, Queue, Webhook
from service.orders.state.transitions import Transitions
from service.orders.state.worklists.changed_orders import ChangedOrders
from service.orders.state.worklists.due_orders import DueOrders
from service.orders.state.worklists.held_orders import HeldOrders
from service.orders.state.worklists.late_orders import LateOrders
from service.orders.state.worklists.skipped_orders import SkippedOrders
from service.orders.state.worklists.waiting_orders import WaitingOrders
from tests.fakes.sandbox import StillClock
from tests.fakes.upstream import STORE_HASH, FakeUpstream, transport_to
from workers import lua
from workers.orders.attempts import Jobs
from workers.orders.buyers.skipped_buyers import SkippedBuyers
from workers.orders.follow import Follower
from workers.orders.verification import Verifier
from workers.orders.waiting.late_values import LateValuePoller
from workers.orders.waiting.waiting_orders import WaitingOrdersWaker
from workers.resources import Resources
from workers.worker_process import _worklist_key

ORDER = 1
CUSTOMER = 7
CREATED = "Sat, 10 Jan 2026 21:00:00 +0000"
"""Half a second before a still clock starts."""

QUEUES = (
    WINDOW.queue,
    RECOVERY.queue,
    VERIFY.queue,
    REVERIFY.queue,
    PROBE.queue,
    POLL_VALUES.queue,
    WAKE_WAITING.queue,
    FOLLOW.queue,
)

STORES = """
[stores.abc123]
access_token = "access-token"
client_secret = "s"
{keys}
po_number = "order.customer_message"
[stores.abc123.extra_fields]
"F" = "order.staff_notes"
{fields}
"""
ACCOUNT = """"Acc" = 'company.extraFields."ERP"'\n"""
"""A field whose rule needs the Company."""

RECORD = "/api/v3/io/orders/1"

MAX_RUNS = 5000
"""More jobs than any test runs. A test that runs jobs until the queues are empty fails here instead of hanging."""


def failure(status: int, message: str) -> tuple[int, dict[str, Any]]:
    return status, {"code": status, "data": {"errMsg": message}, "meta": {"message": message}}


def resources_on(configuration: Configuration, redis: ArqRedis, transport: Transport, clock: StillClock) -> Resources:
    """What the workers' jobs share, on the test's clock."""
    return Resources(
        configuration,
        redis,
        transport,
        Ledger(redis),
        Queue(redis, clock=clock),
        Transitions(redis, clock=clock),
        DueOrders(redis, verify_key, clock=clock),
        DueOrders(redis, reverify_key, clock=clock),
        DueOrders(redis, waiting_key, clock=clock),
        Breaker(redis, clock=clock),
        LateOrders(redis, clock=clock),
        ChangedOrders(redis, clock=clock),
        RulesArchive(redis, clock=clock),
        WaitingOrders(redis, clock=clock),
        SkippedOrders(redis, clock=clock),
        SuperAdminBook(redis),
        HeldOrders(redis, clock=clock),
        Pauses(redis),
    )


class ScriptedRecord:
    """B2B Edition's record of the order; there is none until something makes it."""

    def __init__(self) -> None:
        self.po_number: str | None = None
        self.fields: dict[str, Any] = {}

    def make(self, po_number: str = "", **fields: Any) -> None:
        """Make the record, with these values."""
        self.po_number, self.fields = po_number, fields

    def read(self, _: httpx.Request) -> Any:
        if self.po_number is None:
            return failure(404, "Order Does Not Exist.")
        return {"code": 200, "data": self._document(), "meta": {}}

    def create(self, request: httpx.Request) -> Any:
        if self.po_number is not None:
            return failure(400, "The order already exists.")
        self.po_number = ""
        return self.update(request)

    def update(self, request: httpx.Request) -> Any:
        if self.po_number is None:
            return failure(404, "Order Does Not Exist.")
        body = json.loads(request.content)
        self.po_number = body.get("poNumber", self.po_number)
        self.fields |= {field["fieldName"]: field["fieldValue"] for field in body.get("extraFields", [])}
        return {"code": 200, "data": {}, "meta": {}}

    def _document(self) -> dict[str, Any]:
        fields = [{"fieldName": name, "fieldValue": value} for name, value in self.fields.items()]
        return {"bcOrderId": str(ORDER), "poNumber": self.po_number, "companyId": 12, "extraFields": fields}


class JobStack:
    """One store and one order of a Company user, whose PO is PO1 and whose field F is fv."""

    def __init__(self, folder: Path, redis: ArqRedis, clock: StillClock, upstream: FakeUpstream) -> None:
        self.folder, self.redis, self.clock, self.upstream = folder, redis, clock, upstream
        self.record = ScriptedRecord()
        self.order: dict[str, Any] = {
            "id": ORDER,
            "customer_id": CUSTOMER,
            "date_created": CREATED,
            "status_id": 11,
            "customer_message": "PO1",
            "staff_notes": "fv",
        }
        self.resources: Resources
        self.jobs: Jobs
        self._runs = 0
        self._verifier: Verifier
        configs = [{"fieldName": name, "fieldType": 0, "labelName": name} for name in ("F", "Acc")]
        upstream.on("GET /v2/orders/1", lambda _: self.order)
        upstream.on("GET /api/v3/io/orders/extra-fields", {"code": 200, "data": configs, "meta": {}})
        upstream.on(f"GET /api/v3/io/users/customer/{CUSTOMER}", {"code": 200, "data": {"id": 1, "companyId": 12}})
        self.company_has({"ERP": "E1"})
        upstream.on(f"GET {RECORD}", self.record.read)
        upstream.on(f"PUT {RECORD}", self.record.update)
        upstream.on("POST /api/v3/io/orders", self.record.create)

    def company_has(self, fields: dict[str, str]) -> None:
        rows = [{"fieldName": name, "fieldValue": value} for name, value in fields.items()]
        self.upstream.on("GET /api/v3/io/companies/12", {"code": 200, "data": {"extraFields": rows}})

    async def open(self, exits: AsyncExitStack) -> None:
        transport = await exits.enter_async_context(transport_to(self.upstream, clock=self.clock))
        self.resources = resources_on(self.configuration(), self.redis, transport, self.clock)
        self.configure()
        await self.knows_super_admins()

    async def knows_super_admins(self, *customers: int) -> None:
        """The book of Super Admins has been read just now; these customers are in it."""
        known = SuperAdmins(read_at=self.clock(), customers=dict(enumerate(customers, 1)))
        await self.resources.super_admins.write(STORE_HASH, known)

    def configuration(self, *, keys: str = "", fields: str = "") -> Configuration:
        path = self.folder / "stores.toml"
        path.write_text(STORES.format(keys=keys, fields=fields))
        return load_configuration(path)

    def configure(self, *, keys: str = "", fields: str = "") -> None:
        """Restart the workers with these lines in the stores file."""
        self._use(self.configuration(keys=keys, fields=fields))

    def use(self, path: Path) -> None:
        """Restart the workers with this stores file."""
        self._use(load_configuration(path))

    def _use(self, configuration: Configuration) -> None:
        self.resources = replace(self.resources, configuration=configuration, metrics=WorkerMetrics())
        self.resources.facts = Facts(self.redis, clock=self.clock)
        self.jobs = Jobs(self.resources, clock=self.clock)
        self._verifier = Verifier(self.resources, clock=self.clock)

    @property
    def cache(self) -> Cache:
        return Cache(self.redis, STORE_HASH, clock=self.clock)

    async def webhook(self, *, status: bool = False) -> EnqueueResult:
        """The order's webhook arrives now."""
        return await self.event("store/order/statusUpdated" if status else "store/order/created")

    async def event(self, scope: str) -> EnqueueResult:
        """A webhook of this scope about the order arrives now."""
        now, store = self.clock(), self.resources.configuration.stores[STORE_HASH].store
        webhook = Webhook(STORE_HASH, ORDER, "msg_1", scope, float(int(now)), now, follow_s=store.follow_s)
        return await self.resources.queue.accept(webhook)

    async def retry(self) -> EnqueueResult:
        return await self.resources.queue.retry(STORE_HASH, ORDER)

    async def entry(self) -> Entry:
        entry = await self.resources.ledger.get(STORE_HASH, ORDER)
        assert entry is not None
        return entry

    async def queued(self) -> list[str]:
        """The ids of all jobs."""
        return [job_id for job_id, _, _ in await self._due()]

    async def due_at(self) -> float | None:
        """When the job that is due first is due, in seconds since the epoch; None without a job."""
        due = await self._due()
        return due[0][2] / 1000 if due else None

    async def run_next(self) -> str:
        """Move the clock to the job that is due first, and run it; returns its id."""
        self._runs += 1
        assert self._runs <= MAX_RUNS, "a job is requeued again and again"
        job_id, queue, due_ms = (await self._due())[0]
        self.clock.now = max(self.clock.now, due_ms / 1000)
        raw, _, tries = await asyncio.gather(
            self.redis.get(job_key_prefix + job_id),
            self.redis.set(in_progress_key_prefix + job_id, "me"),
            self.redis.incr(retry_key_prefix + job_id),
        )
        assert raw is not None, "a job without its body"
        job = from_json(raw)

        async def ensure_lease(_: str) -> None:
            return

        queued_at = datetime.fromtimestamp(job["et"] / 1000, UTC)
        ctx = {"job_id": job_id, "job_try": tries, "ensure_lease": ensure_lease, "enqueue_time": queued_at}
        functions: dict[str, Any] = {
            "window": self.jobs.window,
            "recover": self.jobs.recover,
            "check": self._verifier.verify,
            "second_look": self._verifier.reverify,
            "probe": self.jobs.probe,
            "follow": Follower(self.resources, clock=self.clock).follow,
            "poll_values": LateValuePoller(self.resources).poll,
            "wake_waiting": WaitingOrdersWaker(self.resources).wake,
            "check_skipped": SkippedBuyers(self.resources, clock=self.clock).check,
            "retry_skipped": SkippedBuyers(self.resources, clock=self.clock).retry,
        }
        is_done, delay_ms = True, None
        try:
            if await functions[job["f"]](ctx, *job["a"]) is True:
                # It says that it has closed itself: then it is gone, or there is a new one, which nobody has claimed.
                assert not await self.redis.exists(in_progress_key_prefix + job_id)
                return job_id
        except Retry as retry:
            is_done, delay_ms = False, retry.defer_score or None
        await lua.finish_job(
            self.redis,
            lease=in_progress_key_prefix + job_id,
            job=job_key_prefix + job_id,
            tries=retry_key_prefix + job_id,
            queue=queue,
            work_list=_worklist_key(job_id),
            now_ms=int(self.clock() * 1000),
            owner="me",
            job_id=job_id,
            due_ms=due_ms,
            is_done=is_done,
            delay_ms=delay_ms,
        )
        return job_id

    async def run_until_finished(self, *, max_jobs: int = 100) -> Entry:
        """Run jobs until the order is finished."""
        for _ in range(max_jobs):
            entry = await self.entry()
            if entry.status.is_final:
                return entry
            await self.run_next()
        raise AssertionError(f"the order does not finish: {await self.entry()}")

    async def _due(self) -> list[tuple[str, str, int]]:
        queues = await asyncio.gather(*(self.redis.zrange(queue, 0, -1, withscores=True) for queue in QUEUES))
        found = [
            (job_id.decode(), queue, int(due))
            for queue, jobs in zip(QUEUES, queues, strict=True)
            for job_id, due in jobs
        ]
        return sorted(found, key=lambda job: job[2])


@pytest.fixture
async def job_stack(redis: ArqRedis, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[JobStack]:
    """A stack with an order whose webhook has not arrived yet. A sleep moves the clock and returns at once."""
    clock, sleep = StillClock(), asyncio.sleep

    async def skip_ahead(seconds: float, *_: object) -> None:
        clock.tick(seconds)
        await sleep(0)

    monkeypatch.setattr(asyncio, "sleep", skip_ahead)
    async with AsyncExitStack() as exits:
        job_stack = JobStack(tmp_path, redis, clock, FakeUpstream())
        await job_stack.open(exits)
        yield job_stack
