"""The check of one store: as `enrich check --store`, without what concerns the machine that the command runs on."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from service.checks import Finding, Level, Verdict, check_processes, check_stores, findings_of_store, verdict
from service.console.routes import Visit
from service.console.runs.run_page import RunPage
from service.console.runs.runs import Run, Work

PATH = "/stores/{store:store}/check"


@dataclass(frozen=True, slots=True)
class StoreCheck:
    """All findings, errors first, and what follows from them."""

    verdict: Verdict
    findings: Sequence[Finding]


async def begin(visit: Visit) -> Work:
    """Check the store, its webhooks, its rules and who works. It changes nothing."""
    store = visit.request.path_params["store"]
    configured, console = visit.store(store), visit.console
    configuration = console.configuration
    is_of_all = visit.person.stores is None

    async def work(run: Run) -> StoreCheck:
        calls, step = 0, "access token and scopes"

        def note() -> None:
            run.does(f"Checks {step}; {calls} {'call' if calls == 1 else 'calls'} so far")

        def count(_api: str, _operation: str, _verdict: str, _seconds: float) -> None:
            nonlocal calls
            calls += 1
            note()

        def begin_step(_: str, what: str) -> None:
            nonlocal step
            step = what
            note()

        transport = console.upstream.transport(configuration.endpoints, count)
        known = list(configuration.stores.values()) if is_of_all else [configured]
        (live,) = await check_stores(
            transport, [configured], configuration.endpoints, console.redis, known=known, on_step=begin_step
        )
        found = [*findings_of_store(configured), *live, *await check_processes(console.redis)]
        order = [Level.ERROR, Level.WARNING, Level.OK]
        judged = verdict(found, [store], offline=False, has_redis=True)
        return StoreCheck(judged, sorted(found, key=lambda each: order.index(each.level)))

    return work


async def _context(visit: Visit) -> Mapping[str, Any]:
    store = visit.request.path_params["store"]
    return {"store": store, "store_name": visit.store_name(store)}


def as_dict(check: StoreCheck) -> dict[str, Any]:
    """As `enrich check --json`."""
    return {
        "would_be_enriched": check.verdict.is_working,
        "verdict": check.verdict.sentence,
        "findings": [finding.as_dict() for finding in check.findings],
    }


PAGE = RunPage(PATH, "store/check.html", begin, as_dict, context=_context)
