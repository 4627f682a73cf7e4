"""A retry of a group of orders: how far it is, what became of each order; and stopping it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from starlette.responses import Response

from service.audit import ActionName
from service.console.routes import Action, NotFoundError, Page, Visit
from service.orders.entry_report import to_iso
from service.orders.failures.retry_jobs import REFUSALS, OrderResult, RetryJob, RetryJobs
from service.orders.state.ledger import Ledger
from service.orders.state.order_entry import Status
from service.orders.state.queue import Queue

PATH = "/failures/{store:store}/retries/{job:id}"

SHOWN_MAX = 500
"""The page lists so many orders; its JSON has all."""


@dataclass(frozen=True, slots=True)
class RetryPage:
    """A job. ``results`` are those of the job, with the statuses of now where an order has not finished."""

    job: RetryJob
    store_name: str
    results: Mapping[int, str]
    has_workers: bool
    done: str

    @property
    def path(self) -> str:
        return f"/failures/{self.job.store}/retries/{self.job.id}"

    @property
    def counts(self) -> Sequence[tuple[str, int]]:
        """How many orders have which status, of those that were queued."""
        statuses = list(self.results.values())
        return [(status.value, statuses.count(status)) for status in Status if status in statuses]

    @property
    def rows(self) -> Sequence[tuple[int, str, str]]:
        """The orders in the order of the job: id, status (empty: none yet), and why it was refused or is left."""
        return [self._row(order) for order in self.job.order_ids]

    @property
    def shown(self) -> Sequence[tuple[int, str, str]]:
        """The rows that the page lists."""
        return self.rows[:SHOWN_MAX]

    @property
    def sentence(self) -> str:
        """Where the job is."""
        job = self.job
        total, retried = len(job.order_ids), len(job.retried)
        done = f"{retried} of {total} {'order' if total == 1 else 'orders'} queued again"
        refused = f", {len(job.refused)} refused" if job.refused else ""
        if job.is_running:
            return f"{'Stopping' if job.stop_by else 'Running'}: {done}{refused}."
        rest = " The rest is as it was." if job.left else ""
        if job.why:
            return f"Stopped, because no console ran for 15 minutes: {done}{refused}.{rest}"
        if job.stop_by:
            return f"Stopped by {job.stop_by}: {done}{refused}.{rest}"
        return f"Done: {done}{refused}."

    def _row(self, order: int) -> tuple[int, str, str]:
        result = self.results.get(order)
        if result is None or result == OrderResult.BEGUN:
            return order, "", "not yet" if self.job.is_running else "not retried"
        return order, "" if result in REFUSALS else result, REFUSALS.get(result, "")


async def load(visit: Visit) -> RetryPage:
    """Read a job, and what its last orders do now. Raises NotFoundError, and Redis's errors."""
    job = await _job(visit)
    now = await Ledger(visit.redis).statuses(job.store, job.unfinished)
    workers = (await Queue(visit.redis).counts()).workers
    return RetryPage(
        job,
        visit.store_name(job.store),
        {**job.results, **now},
        workers > 0,
        visit.request.query_params.get("done", ""),
    )


async def _job(visit: Visit) -> RetryJob:
    store, job_id = visit.request.path_params["store"], visit.request.path_params["job"]
    job = await RetryJobs(visit.redis).find(store, job_id)
    if job is None:
        raise NotFoundError("This retry is not known here. Retries can be looked at for 30 days after they end.")
    return job


async def stop(visit: Visit) -> Response:
    """Stop a job before its next orders. Raises NotFoundError, and Redis's errors."""
    job = await _job(visit)
    if job.is_running and await RetryJobs(visit.redis).request_stop(job, visit.person.who):
        visit.log_action(ActionName.STOP_RETRY, job.store, job.left)
    return visit.back(f"/failures/{job.store}/retries/{job.id}")


def as_dict(page: RetryPage) -> dict[str, Any]:
    """The job for scripts."""
    job = page.job
    return {
        "store": job.store,
        "job": job.id,
        "group": job.group,
        "reason": job.reason,
        "who": job.who,
        "state": job.state.value,
        "stopped_by": job.stop_by or None,
        "stopped_because": job.why or None,
        "began_at": to_iso(job.began_ms / 1000),
        "ended_at": None if job.ended_ms is None else to_iso(job.ended_ms / 1000),
        "retried": len(job.retried),
        "refused": len(job.refused),
        "left": len(job.left),
        "orders": [
            {"order_id": order, "status": status or None, "why": why or None} for order, status, why in page.rows
        ],
    }


PAGE = Page(PATH, "failures/retry_job.html", load, as_dict)
ACTIONS = (Action(f"{PATH}/stop", stop),)
