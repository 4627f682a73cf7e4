"""What is wrong with a store, in words, the worst first. Pure: from the gauges and what its orders did lately."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum

from service.gauges import State, StoreState
from service.hooks import ProblemKind


class Severity(IntEnum):
    """How bad it is: the overview sorts by it."""

    FINE = 0
    NOTICE = 1
    """Somebody should look at it today."""
    PERSON = 2
    """Orders wait for a person."""
    DOWN = 3
    """Orders are not enriched, or miss their window."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is wrong, in a sentence; ``path`` is the page that shows it.

    ``admin_path`` is where admins mend it, if that is another page.
    """

    severity: Severity
    sentence: str
    path: str
    admin_path: str = ""


_HOOK_SENTENCES: dict[ProblemKind, str] = {
    ProblemKind.MISSING: "a webhook is missing",
    ProblemKind.INACTIVE: "BigCommerce has switched a webhook off",
    ProblemKind.HEADERS: "a webhook lacks the header that the receiver asks for",
    ProblemKind.BLOCKED: "BigCommerce blocks the domain that its webhooks go to",
    ProblemKind.FOREIGN: "a webhook for its orders goes to another destination, too",
}


def findings(store: str, state: StoreState) -> list[Finding]:
    """What is wrong with the store, the worst first."""
    page = f"/stores/{store}"
    orders = f"/orders?store={store}"
    hooks = f"{page}#webhooks"
    found = [
        Finding(Severity.DOWN, f"BigCommerce refuses its access token; {_waiting(state.parked)}", page)
        if state.parked
        else None,
        _polling(state, hooks),
        *(
            Finding(Severity.DOWN if not state.is_polled else Severity.NOTICE, _HOOK_SENTENCES[kind], hooks)
            for kind in sorted(state.hook_problems)
        ),
        Finding(Severity.PERSON, f"{_orders(state.unmuted_failed)} failed", f"{orders}&outcome=failed")
        if state.unmuted_failed
        else None,
        Finding(Severity.PERSON, f"{_waiting(state.unmuted_waiting)} for a value", f"{orders}&outcome=waiting")
        if state.unmuted_waiting
        else None,
        Finding(Severity.PERSON, f"nothing may be written; {_waiting(state.held)}", f"{orders}&outcome=waiting")
        if state.held
        else None,
        *(
            Finding(
                Severity.NOTICE,
                f"the rule for {rule} found nothing in the last {misses} orders",
                page,
                f"/rules/{store}",
            )
            for rule, misses in sorted(state.rules.items())
            if misses
        ),
    ]
    return sorted((each for each in found if each), key=lambda each: -each.severity)


def service_findings(state: State) -> list[str]:
    """What is wrong with the service as a whole: sentences."""
    sentences = []
    if not state.workers:
        sentences.append("No worker is running: orders wait until one starts.")
    overdue = state.queues["window"].overdue_s
    if state.workers and overdue >= _OVERDUE_S:
        sentences.append(
            f"The oldest fresh order has waited for a worker for {overdue:.0f} s: there are too few workers."
        )
    return sentences


def _polling(state: StoreState, path: str) -> Finding | None:
    if not state.is_polled:
        return None
    if state.awaits_webhook and not state.hook_problems:
        sentence = "its webhooks were set up again; its orders are polled until the next one brings a webhook"
        return Finding(Severity.NOTICE, sentence, path)
    return Finding(Severity.DOWN, "its webhooks fail, and its orders are polled", path)


# A fresh order that no worker has taken for so long misses its window soon.
_OVERDUE_S = 3.0


def summary(names: Sequence[str], worst: Sequence[tuple[str, Finding]]) -> str:
    """One sentence on all stores: that they are fine, or what is not. ``worst`` are names of stores with a finding."""
    if not names:
        return "You may see no store that is configured."
    if not worst:
        return "The store is fine." if len(names) == 1 else f"All {len(names)} stores are fine."
    bad = len({name for name, _ in worst})
    name, finding = worst[0]
    more = "1 more store needs" if bad == 2 else f"{bad - 1} more stores need"
    rest = f" {more} a look." if bad > 1 else ""
    return f"{name}: {finding.sentence}.{rest}"


def _orders(count: int) -> str:
    return "1 order" if count == 1 else f"{count:,} orders"


def _waiting(count: int) -> str:
    return f"{_orders(count)} {'waits' if count == 1 else 'wait'}"
