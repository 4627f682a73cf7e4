"""Failures: the orders that need a person, in groups by store and reason; retrying a group, muting it for a while."""

import asyncio
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from starlette.responses import Response

from service.audit import ActionName
from service.console.routes import Action, InvalidRequest, NotFoundError, Page, Table, Visit
from service.orders.entry_report import to_iso
from service.orders.failures.failure_groups import READ_MAX, Failure, FailureGroup, StoreFailures, find_failures
from service.orders.failures.muted_groups import Mute, MutedGroups
from service.orders.failures.retry_jobs import ORDERS_MAX, RetryJob, RetryJobs
from service.orders.state.clocks import redis_time

PATH = "/failures"
GROUP_PATH = "/failures/{store:store}/{group:id}"

SHOWN_MAX = 500
"""The page of a group lists so many orders; its JSON has all."""

_JOBS_SHOWN = 3
_JOBS_SEARCHED = 20

MUTE_CHOICES: Mapping[str, tuple[str, int]] = {
    "1h": ("1 hour", 3600),
    "8h": ("8 hours", 8 * 3600),
    "1d": ("1 day", 86_400),
    "7d": ("7 days", 7 * 86_400),
}
"""For how long a group can be muted: label, and seconds."""


@dataclass(frozen=True, slots=True)
class GroupRow:
    """A group in the list of all groups. ``mute`` is there while it is muted."""

    group: FailureGroup
    store_name: str
    mute: Mute | None

    @property
    def path(self) -> str:
        return f"/failures/{self.group.store}/{self.group.id}"


@dataclass(frozen=True, slots=True)
class FailuresPage:
    """The groups of all stores that the person may see, or of one, the largest first; muted ones apart.

    ``incomplete`` are the names of stores that have more failed orders than were read.
    """

    rows: Sequence[GroupRow]
    muted: Sequence[GroupRow]
    jobs: Sequence[RetryJob]
    store: str | None
    stores: Sequence[tuple[str, str]]
    incomplete: Sequence[str]
    done: str

    @property
    def read_max(self) -> int:
        """How many orders of a store are read."""
        return READ_MAX

    @property
    def count(self) -> int:
        """How many orders need a person, without the muted ones."""
        return sum(len(row.group.failures) for row in self.rows)


@dataclass(frozen=True, slots=True)
class GroupPage:
    """One group with its orders, the last changed first. ``seen_ms`` is when they were listed, on Redis's clock."""

    row: GroupRow
    seen_ms: int
    jobs: Sequence[RetryJob]
    done: str

    @property
    def group(self) -> FailureGroup:
        return self.row.group

    @property
    def shown(self) -> Sequence[Failure]:
        """The orders that the page lists."""
        return self.group.failures[:SHOWN_MAX]

    @property
    def to_retry(self) -> int:
        """How many orders one retry takes."""
        return min(len(self.group.failures), ORDERS_MAX)


async def load(visit: Visit) -> FailuresPage:
    """Group the orders that need a person. Raises AccessDenied, and Redis's errors."""
    store = visit.request.query_params.get("store", "").strip() or None
    if store:
        visit.store(store)
    stores = [store] if store else visit.stores
    read = await asyncio.gather(*(_read(visit, each) for each in stores))
    rows, jobs, incomplete = list[GroupRow](), list[RetryJob](), list[str]()
    for each, (found, mutes, of_store) in zip(stores, read, strict=True):
        rows += [GroupRow(group, visit.store_name(each), mutes.get(group.id)) for group in found.groups]
        jobs += of_store
        if not found.is_complete:
            incomplete.append(visit.store_name(each))
    rows.sort(key=lambda row: (-len(row.group.failures), -row.group.last_ms))
    jobs.sort(key=lambda job: (not job.is_running, -job.began_ms))
    return FailuresPage(
        [row for row in rows if not row.mute],
        [row for row in rows if row.mute],
        [job for job in jobs if job.is_running] or jobs[:_JOBS_SHOWN],
        store,
        [(each, visit.store_name(each)) for each in visit.stores],
        incomplete,
        visit.request.query_params.get("done", ""),
    )


async def load_group(visit: Visit) -> GroupPage:
    """Find a group by its id. Raises NotFoundError, and Redis's errors."""
    store: str = visit.request.path_params["store"]
    # Redis answers in this order: the orders are listed after ``now``.
    now, (found, mutes, recent) = await asyncio.gather(redis_time(visit.redis), _read(visit, store, _JOBS_SEARCHED))
    group = _named(found, visit)
    jobs = [job for job in recent if job.group == group.id]
    row = GroupRow(group, visit.store_name(store), mutes.get(group.id))
    return GroupPage(row, round(now * 1000), jobs[:_JOBS_SHOWN], visit.request.query_params.get("done", ""))


async def _read(
    visit: Visit, store: str, most_jobs: int = _JOBS_SHOWN
) -> tuple[StoreFailures, Mapping[str, Mute], list[RetryJob]]:
    """The groups of a store, which of them are muted, and its last retries."""
    return await asyncio.gather(
        _failures(visit, store), MutedGroups(visit.redis).of(store), RetryJobs(visit.redis).recent(store, most_jobs)
    )


async def _failures(visit: Visit, store: str) -> StoreFailures:
    rules = [rule.name for rule in visit.store(store).rules.rules]
    return await find_failures(visit.redis, store, rules)


async def _group(visit: Visit) -> FailureGroup:
    return _named(await _failures(visit, visit.request.path_params["store"]), visit)


def _named(found: StoreFailures, visit: Visit) -> FailureGroup:
    """The group that the path names. Raises NotFoundError."""
    group = found.find(visit.request.path_params["group"])
    if group is None:
        raise NotFoundError(
            "No order of this group needs anybody any more: they were retried, or their values came. "
            "The list of failures shows what is left."
        )
    return group


async def retry(visit: Visit) -> Response:
    """Start a job that retries the orders of the group that the person has seen; once, whoever asks for it again.

    Raises NotFoundError, InvalidRequest, and Redis's errors.
    """
    until_ms = _until_ms((await visit.form()).get("seen"))
    store, name = visit.request.path_params["store"], visit.request.path_params["group"]
    group = (await _failures(visit, store)).find(name)
    seen = [failure for failure in group.failures if failure.changed_ms <= until_ms] if group else []
    jobs = RetryJobs(visit.redis)
    if group is None or not seen:
        # Somebody else was quicker: show what became of it.
        for job in await jobs.recent(store, _JOBS_SEARCHED):
            if job.group == name and job.until_ms >= until_ms - _SAME_LIST_MS:
                return visit.back(f"/failures/{store}/retries/{job.id}", "already")
        return visit.back(PATH, "nothing_left")
    orders = [failure.entry.order_id for failure in reversed(seen)][:ORDERS_MAX]
    job_id, is_new = await jobs.start(
        store, group.id, orders, reason=group.reason, who=visit.person.who, until_ms=until_ms
    )
    if is_new:
        await visit.record_action(ActionName.RETRY_GROUP, store, orders)
    return visit.back(f"/failures/{store}/retries/{job_id}", "" if is_new else "already")


# Two people who look at the same list have opened it within such a time.
_SAME_LIST_MS = 3_600_000


def _until_ms(written: object) -> int:
    if isinstance(written, str) and re.fullmatch(r"[0-9]{12,14}", written):
        return int(written)
    raise InvalidRequest("seen: it says when the orders were listed, and is missing. Open the group again, then retry.")


async def mute(visit: Visit) -> Response:
    """Mute the group for a while. Raises NotFoundError, InvalidRequest, and Redis's errors."""
    length = (await visit.form()).get("for")
    if not isinstance(length, str) or length not in MUTE_CHOICES:
        raise InvalidRequest(f"for: choose one of {', '.join(MUTE_CHOICES)}.")
    group = await _group(visit)
    await MutedGroups(visit.redis).mute(group.store, group.id, visit.person.who, MUTE_CHOICES[length][1])
    visit.log_action(ActionName.MUTE_FAILURES, group.store, group.order_ids)
    return visit.back(PATH, "muted")


async def unmute(visit: Visit) -> Response:
    """Show the group again. Errors are Redis's own."""
    store, name = visit.request.path_params["store"], visit.request.path_params["group"]
    await MutedGroups(visit.redis).unmute(store, name)
    visit.log_action(ActionName.UNMUTE_FAILURES, store)
    return visit.back(PATH, "unmuted")


def as_list(page: FailuresPage) -> list[dict[str, Any]]:
    """The groups for scripts; muted ones, too."""
    return [_row_as_dict(row) for row in (*page.rows, *page.muted)]


def group_as_dict(page: GroupPage) -> dict[str, Any]:
    """A group for scripts, with the ids of all its orders."""
    return _row_as_dict(page.row) | {"order_ids": page.group.order_ids}


def _row_as_dict(row: GroupRow) -> dict[str, Any]:
    group = row.group
    return {
        "store": group.store,
        "group": group.id,
        "kind": group.kind.name.lower(),
        "reason": group.reason,
        "cure": group.kind.cure,
        "orders": len(group.failures),
        "first_at": to_iso(group.first_ms / 1000),
        "last_at": to_iso(group.last_ms / 1000),
        "muted": {"by": row.mute.who, "until": to_iso(row.mute.until)} if row.mute else None,
    }


def as_table(page: FailuresPage) -> Table:
    """The groups as a table."""
    columns = ("store", "kind", "reason", "orders", "first_at", "last_at", "cure", "muted_until")

    def rows() -> Iterator[Sequence[Any]]:
        for found in as_list(page):
            yield (*(found[name] for name in columns[:-1]), found["muted"] and found["muted"]["until"])

    return columns, rows()


PAGES = (
    Page(PATH, "failures/failures.html", load, as_list, as_table),
    Page(GROUP_PATH, "failures/group.html", load_group, group_as_dict),
)
ACTIONS = (
    Action(f"{GROUP_PATH}/retry", retry),
    Action(f"{GROUP_PATH}/mute", mute),
    Action(f"{GROUP_PATH}/unmute", unmute),
)
