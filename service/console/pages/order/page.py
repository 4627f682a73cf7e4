"""One order: its outcome, its ten seconds, its values and where they came from, and what people did with it."""

import asyncio
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from redis.asyncio import Redis

from service.audit import Action, actions_of
from service.console.charts.window_chart import WindowChart
from service.console.order_values import ValueRow, values_of
from service.console.routes import NotFoundError, Page, Visit
from service.console.values_form import ValuesForm
from service.orders.document.cache import Cache
from service.orders.entry_report import action_as_dict, created_how, to_ms, why
from service.orders.entry_report import as_dict as entry_as_dict
from service.orders.facts.fact import Fact, Known
from service.orders.facts.store_facts import Facts
from service.orders.facts.wording import sentence
from service.orders.failures.failure_kinds import PO_NUMBER, FailureKind, kind_of
from service.orders.stage_steps import Step, longest_of, stage_name, steps_of
from service.orders.state.ledger import Ledger
from service.orders.state.order_entry import Entry, Status
from service.orders.state.per_store.pauses import Pause, Pauses
from service.orders.state.per_store.rules_archive import RulesArchive
from service.orders.state.transitions import WRITES_OFF
from service.orders.values.values_to_send import remembered_configs
from service.rules import RuleSet

PATH = "/orders/{store:store}/{order:int}"


@dataclass(frozen=True, slots=True)
class OrderPage:
    """All that is known of an order. ``rules_are_current``: the rules that it was written with are those of today.

    ``form`` sets values by hand. ``control_panel_url`` is None where the store is a sandbox's.
    """

    entry: Entry
    store_name: str
    values: Sequence[ValueRow]
    rules_are_current: bool | None
    facts: Mapping[Fact, Known]
    actions: Sequence[Action]
    form: ValuesForm
    control_panel_url: str | None
    pause: Pause | None
    done: str

    @property
    def path(self) -> str:
        return f"/orders/{self.entry.store}/{self.entry.order_id}"

    @property
    def why(self) -> str:
        return why(self.entry)

    @property
    def created_how(self) -> str:
        """What is special about the Create that made the record; empty: nothing."""
        return created_how(self.entry)

    @property
    def advice(self) -> str:
        """What a person should do about the order; empty where nothing is to be done."""
        return advice(self.entry, [row.name for row in self.values])

    @property
    def steps(self) -> Sequence[Step]:
        return steps_of(self.entry)

    @property
    def needs_person(self) -> bool:
        """Whether the order does not get there by itself."""
        return self.entry.status in (Status.FAILED, Status.WAITING) or self.entry.verified is False

    @property
    def is_moving(self) -> bool:
        """Whether the service itself will soon know more of it: then the page looks again by itself."""
        entry = self.entry
        is_verifying = entry.status in (Status.CREATED, Status.UPDATED) and entry.verified is None
        return entry.status is Status.QUEUED or is_verifying

    @property
    def chart(self) -> WindowChart | None:
        """The picture of the window; None before the order was read."""
        return WindowChart.of(self.steps) if self.steps else None

    @property
    def longest(self) -> str:
        """A sentence about the step that took longest."""
        steps = self.steps
        longest = longest_of(steps)
        if longest is None:
            return ""
        before = steps[list(steps).index(longest) - 1].stage
        return f"Longest: from {stage_name(before)} to {stage_name(longest.stage)}, {to_ms(longest.seconds)} ms."

    @property
    def fact_sentences(self) -> list[str]:
        return [sentence(fact, known.value) for fact, known in self.facts.items()]


def advice(entry: Entry, rules: Collection[str]) -> str:
    """The sentence that says what to do, for an order that needs a person. ``rules`` are the names of its rules."""
    match entry.status:
        case Status.FAILED:
            kind = kind_of(entry, rules)
            if kind is FailureKind.REQUIRED_VALUE:
                name = "the PO number" if entry.reason == PO_NUMBER else entry.reason or "a field"
                return f"The value of {name} is required, and there was none. {kind.cure}"
            return kind.cure
        case Status.WAITING if entry.reason == WRITES_OFF:
            return "Nothing may be written for its store now. It goes on when the store is resumed, or writes are on."
        case Status.WAITING if entry.rule:
            return f"It waits for the value of {entry.rule}. It goes on by itself when the order gets one."
        case Status.WAITING:
            return "It waits for the order's status to change, and goes on by itself."
        case Status.QUEUED if entry.trouble:
            return "It is retried by itself; the reason above says what delays it."
        case _ if entry.verified is False:
            return (
                "The record does not show the values that were sent. Retry; if it stays, contact BigCommerce's support."
            )
    return ""


async def load(visit: Visit) -> OrderPage:
    """Read the order's entry. Raises NotFoundError, and Redis's errors."""
    return await load_with_form(visit, None)


async def load_with_form(visit: Visit, form: ValuesForm | None) -> OrderPage:
    """As ``load``; the form is one that somebody has filled in, with what is wrong with it."""
    store, order_id = visit.request.path_params["store"], visit.request.path_params["order"]
    entry = await find_entry(visit, store, order_id)
    configured = visit.store(store)
    today = configured.rules
    version = entry.rules_version
    rules, facts, actions, configs, pause = await asyncio.gather(
        _rules_of(visit.redis, store, version, today),
        Facts(visit.redis).of(store),
        actions_of(visit.redis, store, order_id),
        remembered_configs(Cache(visit.redis, store)),
        Pauses(visit.redis).read(store),
    )
    return OrderPage(
        entry,
        visit.store_name(store),
        values_of(entry, rules or today),
        None if version is None else version == today.version,
        facts.known,
        actions,
        form or ValuesForm.of(entry, configured, configs),
        None if visit.console.configuration.endpoints.is_local else order_url(store, order_id),
        pause,
        visit.request.query_params.get("done", ""),
    )


async def _rules_of(redis: Redis, store: str, version: str | None, today: RuleSet) -> RuleSet | None:
    """The rules that an order was written with; None when they are not kept any more."""
    return today if version in (None, today.version) else await RulesArchive(redis).find(store, version or "")


async def find_entry(visit: Visit, store: str, order_id: int) -> Entry:
    """The order's entry. Raises NotFoundError, and Redis's errors."""
    entry = await Ledger(visit.redis).get(store, order_id)
    if entry is None:
        raise NotFoundError(
            f"Order {order_id} of {store} is not known here. Orders are kept for 30 days after they end, failed ones "
            "for 90. For an older one: enrich backfill."
        )
    return entry


def as_dict(page: OrderPage) -> dict[str, Any]:
    """The order for scripts: as `enrich orders show --json`, with each value's rule and source."""
    return entry_as_dict(page.entry) | {
        "advice": page.advice or None,
        "values": [row.as_dict() for row in page.values],
        "actions": [action_as_dict(action) for action in page.actions],
        "control_panel_url": page.control_panel_url,
        "store_facts": {fact.value: known.value for fact, known in page.facts.items()},
    }


def order_url(store: str, order_id: int) -> str:
    """The order in BigCommerce's control panel."""
    return f"https://store-{store}.mybigcommerce.com/manage/orders/{order_id}"


PAGE = Page(PATH, "order/order.html", load, as_dict)
