"""Previews an order: what would be sent for it, and why. Pure; nothing is sent."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType
from typing import Any

from service.bigcommerce.models import ExtraFieldConfig, Record, Values
from service.configuration import ConfiguredStore
from service.orders.create_window import Window
from service.orders.document.loading import Document
from service.orders.document.partial_loader import LoadedOrder
from service.orders.state.transitions import INCOMPLETE, NO_VALUE
from service.orders.values.before_rules import by_rule_name
from service.orders.values.field_names import FieldNames
from service.orders.values.field_validation import validate_fields
from service.orders.values.merge import Merged, merge
from service.orders.values.record_root import without_own_values
from service.orders.values.required import fails_at
from service.orders.values.skip import skip_reason
from service.orders.values.values_to_send import ResolvedValues, validate_evaluation
from service.rules import Evaluation, Trace
from service.rules.expression import Expression, ExpressionError
from service.rules.pattern import Pattern
from service.rules.rule_evaluation import CompiledRule
from service.rules.value_search import Search
from service.stores import Store

_NONE: Mapping[str, str] = MappingProxyType({})

BY_HAND = "another value was set by hand for this order; that one is sent."
"""Why the value of a rule is not sent."""


class Outcome(StrEnum):
    """How the order would end."""

    SENT = "sent"
    WAITING = "waiting"
    SKIPPED = "skipped"
    FAILED = "failed"
    UNREAD = "unread"
    """Something that the rules need could not be read, so the outcome is unknown."""


@dataclass(frozen=True, slots=True)
class RuleResult:
    """The result of one rule.

    ``trace`` shows how its value was found. ``field`` is the name that it is sent under, and ``sent`` the text; None
    when nothing is sent. ``dropped`` says why a value is not sent, ``error`` why expressions of the rule failed.
    """

    trace: Trace
    is_po_number: bool
    required: bool
    field: str | None
    sent: str | None
    dropped: str | None
    error: str | None


@dataclass(frozen=True, slots=True)
class Preview:
    """The preview of one order.

    ``values`` are what would be sent; ``reason`` is why nothing would be sent, and ``rule`` the required rule whose
    value the order would wait for. ``unfilled`` are the fields that BigCommerce requires and that neither a rule nor a
    default fills. ``record`` is the existing B2B Edition record, if any, and ``merged`` the Update that it needs.
    """

    loaded: LoadedOrder
    is_company_user: bool
    outcome: Outcome
    reason: str | None
    rule: str | None
    values: Values
    results: tuple[RuleResult, ...]
    unfilled: tuple[str, ...]
    record: Record | None
    merged: Merged | None

    @property
    def payload(self) -> dict[str, Any] | None:
        """The body of Create an Order; None when nothing would be sent."""
        body = self.values.body()
        if not body or self.outcome not in (Outcome.SENT, Outcome.WAITING):
            return None
        return {"bcOrderId": self.loaded.order_id, "customerId": self.loaded.customer_id, **body}


def preview(
    configured: ConfiguredStore,
    loaded: LoadedOrder,
    configs: list[ExtraFieldConfig],
    record: Record | None = None,
    written: Mapping[str, Sequence[str]] | None = None,
    *,
    now: float,
    by_hand: Mapping[str, str] = _NONE,
    evaluation: Evaluation | None = None,
) -> Preview:
    """Apply the store's rules to a loaded order. The document must have been loaded with at least the ``user``.

    ``record`` is the existing B2B Edition record; ``written`` holds every value that we have sent, by name, and
    ``by_hand`` those that a person has set for the order. ``now`` is in seconds since the epoch. ``evaluation`` is what
    the rules give, where they were evaluated elsewhere.
    """
    rules, store = configured.rules, configured.store
    if evaluation is None:
        evaluation = rules.evaluate(without_own_values(loaded.document, written or {}))
    resolved = validate_evaluation(rules, evaluation, configs, by_hand)
    set_by_hand = by_rule_name(rules, by_hand, configs)
    results = tuple(
        _result(rule, trace, evaluation, resolved, configs, is_by_hand=rule.name in set_by_hand)
        for rule, trace in zip(rules.rules, evaluation.traces, strict=True)
    )
    outcome, reason = _outcome(configured, loaded, resolved, record, now)
    values = Values(None, {}) if resolved.failure else resolved.values
    fields = {result.field for result in results if result.sent is not None} | resolved.values.extra_fields.keys()
    names, merged = FieldNames.of(configs), None
    if record and outcome is Outcome.SENT:
        merged = merge(record, values, written or {}, store.existing_values, names=names)
    return Preview(
        loaded=loaded,
        is_company_user="user" not in loaded.gaps,
        outcome=outcome,
        reason=reason,
        rule=resolved.missing if reason == NO_VALUE else None,
        values=values,
        results=results,
        unfilled=tuple(
            config.field_name
            for config in configs
            if config.required and not config.default and config.field_name not in fields
        ),
        record=record,
        merged=merged,
    )


def _outcome(
    configured: ConfiguredStore, loaded: LoadedOrder, resolved: ResolvedValues, record: Record | None, now: float
) -> tuple[Outcome, str | None]:
    """Decide the outcome and its reason, in the same order of checks as the worker's lifecycle."""
    store, needs = configured.store, configured.rules.needs
    no_user = "user" in loaded.gaps
    if loaded.trouble:
        return Outcome.UNREAD, str(loaded.trouble)
    if reason := skip_reason(loaded.order, store):
        waits = reason == INCOMPLETE and store.incomplete_orders == "wait"
        return Outcome.WAITING if waits else Outcome.SKIPPED, reason
    if no_user and (needs.user or needs.company):
        return Outcome.SKIPPED, "not_a_company_user"
    if resolved.missing:
        waits = _may_wait(loaded.order, store, now)
        return (Outcome.WAITING, NO_VALUE) if waits else (Outcome.FAILED, resolved.missing)
    if resolved.failure:
        return Outcome.FAILED, resolved.failure
    if not resolved.values.body():
        return Outcome.SKIPPED, "no_values"
    if no_user:
        return Outcome.SKIPPED, "not_a_company_user"
    if record and record.is_invoice_order:
        return Outcome.SKIPPED, "invoice_payment"
    return Outcome.SENT, None


def _may_wait(order: Mapping[str, Any], store: Store, now: float) -> bool:
    try:
        window = Window.of_order(str(order.get("date_created")))
    except ValueError:
        return False
    return now < fails_at(window, store.follow_s)


def _result(
    rule: CompiledRule,
    trace: Trace,
    evaluation: Evaluation,
    resolved: ResolvedValues,
    configs: list[ExtraFieldConfig],
    *,
    is_by_hand: bool,
) -> RuleResult:
    field = sent = dropped = None
    if rule.is_po_number:
        field, sent = "poNumber", trace.text
    elif trace.text is not None:
        alone = validate_fields({rule.name: trace.text}, (), configs)
        field, sent = next(iter(alone.fields.items()), (None, None))
        reasons = [invalid.reason for invalid in (*alone.dropped, alone.refused) if invalid]
        # A valid value is dropped, too, when another rule fills the same field.
        dropped = next(iter(reasons), resolved.dropped.get(rule.name))
    if is_by_hand:
        dropped = BY_HAND
    return RuleResult(
        trace=trace,
        is_po_number=rule.is_po_number,
        required=rule.rule.required,
        field=field,
        sent=None if dropped else sent,
        dropped=dropped,
        error=evaluation.errors.get(rule.name),
    )


@dataclass(frozen=True, slots=True)
class TriedExpression:
    """What an expression gives for an order: ``raw`` as found, ``text`` as plain text, ``value`` after ``match``."""

    raw: Any
    text: str | None
    value: str | None
    error: str | None


def try_expression(expression: Expression, pattern: Pattern | None, document: Document) -> TriedExpression:
    """Evaluate one expression as a rule does, with ``pattern`` as the rule's ``match``."""
    try:
        raw = expression.search(document)
    except ExpressionError:
        raw = None
    plain, error = Search((expression,), None).run(document)
    value, _ = Search((expression,), pattern).run(document)
    return TriedExpression(raw, plain.text if plain else None, value.text if value else None, error)
