"""One store: what its orders did, its webhooks, its quota, what is known of its BigCommerce."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from service.bigcommerce import BudgetState
from service.bigcommerce.apis import Api
from service.console.pages.overview import StoreRow, read_recent
from service.console.routes import Page, Visit
from service.console.store_health import findings
from service.gauges import Gauges
from service.hooks.state import HookState
from service.orders.facts.fact import Fact, Known
from service.orders.facts.store_facts import Facts
from service.orders.facts.wording import sentence
from service.orders.state.order_entry import Status

_ENTRIES_MAX = 2000


@dataclass(frozen=True, slots=True)
class StorePage:
    """What is known of a store. ``settings`` are those of the stores file that decide what happens to orders."""

    row: StoreRow
    hooks: HookState
    facts: Mapping[Fact, Known]
    settings: Sequence[tuple[str, str]]

    @property
    def quota(self) -> Mapping[Api, BudgetState]:
        return self.row.state.quota

    @property
    def fact_sentences(self) -> list[str]:
        """The facts in words."""
        return [sentence(fact, known.value) for fact, known in self.facts.items()]


async def load(visit: Visit) -> StorePage:
    """Read the store's state. Errors are Redis's own."""
    store: str = visit.request.path_params["store"]
    state = (await Gauges(visit.redis).read([store])).stores[store]
    configured = visit.store(store).store
    settings = [
        ("strategy", configured.strategy),
        ("existing_values", configured.existing_values),
        ("incomplete_orders", configured.incomplete_orders),
        ("late_values", f"{configured.late_values_s:g} s"),
        ("follow", f"{configured.follow_s / 3600:g} h"),
        ("channels", "all" if configured.channels is None else ", ".join(map(str, sorted(configured.channels)))),
    ]
    row = StoreRow(
        store,
        visit.store_name(store),
        state,
        await read_recent(visit, store, limit=_ENTRIES_MAX),
        findings(store, state),
    )
    facts = (await Facts(visit.redis).of(store)).known
    return StorePage(row, await HookState.read(visit.redis, store), facts, settings)


def as_dict(page: StorePage) -> dict[str, Any]:
    """The store for scripts."""
    return {
        "store": page.row.store,
        "name": page.row.name,
        "findings": [finding.sentence for finding in page.row.findings],
        "share_in_window": page.row.recent.share_in_window,
        "orders": {status.value: page.row.recent.outcomes[status] for status in Status},
        "failed": page.row.state.failed,
        "waiting": page.row.state.waiting,
        "parked": page.row.state.parked,
        "webhooks": {
            "destination": page.hooks.destination,
            "problems": [
                {"kind": problem.kind.value, "what": problem.what, "optional": problem.is_optional}
                for problem in sorted(page.hooks.problems, key=lambda each: (each.kind, each.what))
            ],
        },
        "quota": {api.value: {"left": state.left, "limit": state.limit} for api, state in page.quota.items()},
        "facts": {fact.value: known.value for fact, known in page.facts.items()},
        "settings": dict(page.settings),
    }


PAGE = Page("/stores/{store:store}", "store.html", load, as_dict)
