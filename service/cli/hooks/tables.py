"""Output of webhooks and of the changes made to them: tables and notes for people, dicts for scripts."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any

from rich.table import Table
from rich.text import Text

from service.cli.common.output import with_cure
from service.csv_tables import Cell
from service.errors import EnrichError
from service.hooks import ChangeKind, HookChange, ListedHook, ProblemKind, StoreChanges, is_receiver

STATES = {
    ProblemKind.MISSING: "missing",
    ProblemKind.INACTIVE: "inactive",
    ProblemKind.HEADERS: "headers differ",
    ProblemKind.BLOCKED: "blocked",
    ProblemKind.FOREIGN: "foreign",
}
DONE = {
    ChangeKind.KEPT: "no change needed",
    ChangeKind.CREATED: "created; the first webhook may take a minute",
    ChangeKind.ACTIVATED: "activated",
    ChangeKind.HEADERS_SET: "headers set",
    ChangeKind.MOVED: "moved here",
    ChangeKind.DELETED: "deleted",
    ChangeKind.FAILED: "failed",
}


def notes(outcomes: Mapping[str, StoreChanges]) -> Iterable[str]:
    """Notes about each store: blocked domains, optional webhooks that failed, webhooks to other destinations."""
    for name, outcome in outcomes.items():
        for domain, seconds in outcome.blocked.items():
            span = "" if seconds is None else f" for {_duration(seconds)} more"
            yield f"{name}: BigCommerce sends nothing to {domain}{span}. Wait until the block ends."
        refused = [step.scope for step in outcome.steps if step.is_optional and not step.is_done]
        if refused:
            cost = "Orders are enriched all the same; what comes or changes after them is noticed later."
            yield f"{name}: warning: {', '.join(refused)}: not in place. {cost}"
        for destination in outcome.elsewhere:
            note = f"{name}: {destination} gets these events too. Its webhooks were not changed."
            cure = f" If it is no longer in use: enrich hooks remove --store {name} --url {destination}"
            yield note + (cure if is_receiver(destination) else "")


def listed_table(results: Mapping[str, Sequence[ListedHook] | EnrichError]) -> Table:
    """A table of all stores' webhooks; a store that failed shows its error."""
    table = _table("STORE", "ID", "SCOPE", "DESTINATION", "UPDATED (UTC)", "STATE")
    for name, result in results.items():
        if isinstance(result, EnrichError):
            table.add_row(name, "", "", "", "", Text(with_cure(result), "red"))
            continue
        for line in result:
            updated = _moment(line.updated_at)
            table.add_row(
                name,
                str(line.hook_id or ""),
                Text(line.scope),
                Text(line.destination),
                f"{updated:%Y-%m-%d %H:%M:%S}" if updated else "",
                _state(line),
            )
    return table


def _state(line: ListedHook) -> Text:
    left = "" if line.blocked_s is None else f" {_duration(line.blocked_s)} left"
    words = [STATES[kind] + (left if kind is ProblemKind.BLOCKED else "") for kind in line.problems]
    is_minor = line.is_optional or line.problems == (ProblemKind.FOREIGN,)
    colour = "green" if not words else "yellow" if is_minor else "red"
    return Text(", ".join([*(words or ["active"]), *(["optional"] if line.is_optional else [])]), colour)


def steps_table(steps: Mapping[str, Sequence[HookChange]]) -> Table:
    """A table of the changes for each store."""
    table = _table("STORE", "ID", "SCOPE", "DESTINATION", "CHANGE")
    for name, of_store in steps.items():
        for step in of_store:
            words = DONE[step.did] if step.is_done or not step.is_optional else "failed (optional)"
            done = f"{words}: {step.reason}" if step.reason else words
            colour = "green" if step.is_done else "yellow" if step.is_optional else "red"
            table.add_row(name, str(step.hook_id or ""), Text(step.scope), Text(step.destination), Text(done, colour))
    return table


def _table(*columns: str) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in columns:
        # On a narrow terminal the wide columns are folded; nothing is cut.
        table.add_column(column, no_wrap=column in ("STORE", "ID", "SCOPE"), overflow="fold")
    return table


def _duration(seconds: int) -> str:
    """A duration such as ``2 min 10 s``."""
    minutes, seconds = divmod(max(0, seconds), 60)
    return f"{minutes} min {seconds} s" if minutes else f"{seconds} s"


def listed_as_dicts(store: str, result: Sequence[ListedHook] | EnrichError) -> list[dict[str, Any]]:
    """One dict for each webhook, or one with the store's error."""
    if isinstance(result, EnrichError):
        return [result_as_dict(store, result)]
    return [
        {
            "store": store,
            "id": line.hook_id,
            "scope": line.scope,
            "destination": line.destination or None,
            "is_active": line.is_active,
            "troubles": line.problems,
            "blocked_s": line.blocked_s,
            "optional": line.is_optional,
            "updated_at": f"{updated:%Y-%m-%dT%H:%M:%SZ}" if (updated := _moment(line.updated_at)) else None,
        }
        for line in result
    ]


def listed_as_csv(
    results: Mapping[str, Sequence[ListedHook] | EnrichError],
) -> tuple[list[str], list[list[Cell]]]:
    """A row for each webhook, or one with the store's error."""
    columns = ["store", "id", "scope", "destination", "is_active", "optional", "updated_at", "state", "error"]
    rows: list[list[Cell]] = []
    for name, result in results.items():
        if isinstance(result, EnrichError):
            rows.append([name, *[None] * 7, str(result)])
            continue
        for line, known in zip(result, listed_as_dicts(name, result), strict=True):
            cells = [known[key] for key in ("id", "scope", "destination", "is_active", "optional", "updated_at")]
            rows.append([name, *cells, _state(line).plain, None])
    return columns, rows


def result_as_dict(store: str, result: StoreChanges | EnrichError) -> dict[str, Any]:
    """The changes for a store, or its error."""
    if isinstance(result, EnrichError):
        return {"store": store, "error": str(result)}
    steps = [step_as_dict(step) | {"optional": step.is_optional} for step in result.steps]
    return {"store": store, **asdict(result), "steps": steps}


def step_as_dict(step: HookChange) -> dict[str, Any]:
    """One change."""
    return {
        "did": step.did,
        "scope": step.scope,
        "id": step.hook_id,
        "destination": step.destination,
        "reason": step.reason,
    }


def _moment(seconds: float | None) -> datetime | None:
    try:
        return datetime.fromtimestamp(seconds, UTC) if seconds else None
    except (OverflowError, OSError, ValueError):  # what BigCommerce sent is no valid time
        return None
