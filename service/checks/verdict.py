"""Says in one sentence whether orders would be enriched as things stand."""

from collections.abc import Collection, Iterable
from dataclasses import dataclass

from service.checks.environment.processes import WORKERS
from service.checks.findings import Finding, Level


@dataclass(frozen=True, slots=True)
class Verdict:
    """``is_working``: whether orders would be enriched now; None where that was not checked."""

    is_working: bool | None
    sentence: str


def verdict(findings: Iterable[Finding], stores: Collection[str], *, offline: bool, has_redis: bool) -> Verdict:
    """Judge all findings. ``stores`` were checked; an empty list means that the stores file is not valid."""
    listed = list(findings)
    errors = [finding for finding in listed if finding.level is Level.ERROR]
    common = next((error for error in errors if error.store is None), None)
    broken = {error.store: error for error in reversed(errors) if error.store is not None}
    if not stores or common is not None:
        cause = f": {_cause(common)}" if common else "."
        return Verdict(False, f"As things stand, no order would be enriched{cause}")
    if broken:
        return Verdict(False, _of_stores(broken, stores))
    if offline:
        return Verdict(None, "The stores file is right. Whether orders would be enriched was not checked (--offline).")
    idle = next((each for each in listed if each.subject == WORKERS and "none is running" in each.message), None)
    if idle or not has_redis:
        return Verdict(False, "As things stand, no order would be enriched: no worker is running. The rest is right.")
    warnings = sum(finding.level is Level.WARNING for finding in listed)
    but = f" {warnings} warning{'s' * (warnings > 1)} below." if warnings else ""
    return Verdict(True, f"As things stand, orders would be enriched.{but}")


def _of_stores(broken: dict[str, Finding], stores: Collection[str]) -> str:
    first = next(iter(name for name in stores if name in broken), next(iter(broken)))
    others = len(broken) - 1
    also = f" The same is true of {others} other{' store' if others == 1 else ' stores'}." if others else ""
    well = len([name for name in stores if name not in broken])
    rest = f" Orders of the other {well if well > 1 else 'store'} would." if well else ""
    return f"As things stand, orders of {first} would not be enriched: {_cause(broken[first])}{also}{rest}"


def _cause(finding: Finding) -> str:
    return f"{finding.subject}: {finding.message}"
