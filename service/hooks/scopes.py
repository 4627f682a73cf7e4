"""Which webhooks a store needs, by its rules and settings: those that orders cannot do without, and those that help.

An optional webhook tells of something sooner. Without it, lists and periodic tasks find the same, later.
"""

from dataclasses import dataclass

from service.bigcommerce.clients.hooks import (
    COMPANY_CHANGED,
    METAFIELD_WRITTEN,
    ORDER_CREATED,
    ORDER_UPDATED,
    STATUS_UPDATED,
    Hook,
)
from service.configuration import ConfiguredStore
from service.rules import RuleSet

OUR_SCOPES = (ORDER_CREATED, STATUS_UPDATED, ORDER_UPDATED, *METAFIELD_WRITTEN, *COMPANY_CHANGED)
"""All scopes that some store may need."""

_METAFIELDS = ("metafields",)
_OF_THE_ORDER = (("order",), ("products",), ("shipping_addresses",))
"""The roots that a change of the order itself may change."""


@dataclass(frozen=True, slots=True)
class Scopes:
    """The scopes of the webhooks that a store needs."""

    essential: tuple[str, ...]
    """Without these, orders are missed or wait in vain."""
    optional: tuple[str, ...] = ()

    @property
    def needed(self) -> tuple[str, ...]:
        """All of them, the essential ones first."""
        return self.essential + self.optional

    def are_needed_of(self, hook: Hook) -> bool:
        """Whether the webhook is sent for an event that the store needs."""
        return any(map(hook.covers, self.needed))

    def is_essential(self, hook: Hook) -> bool:
        """Whether the webhook is sent for an event that orders cannot do without."""
        return any(map(hook.covers, self.essential))

    def is_optional(self, hook: Hook) -> bool:
        """Whether the webhook is sent only for events that help."""
        return self.are_needed_of(hook) and not self.is_essential(hook)


def scopes_of(configured: ConfiguredStore) -> Scopes:
    """The scopes that this store needs, and no more."""
    store, rules = configured.store, configured.rules
    waits_for_status = store.incomplete_orders == "wait"
    follows = store.follow_s > 0
    waits_for_metafields = store.late_values_s > 0 and any(
        rule.may_wait and any(_METAFIELDS in reads for reads in rule.reads) for rule in rules.rules
    )
    optional = {
        METAFIELD_WRITTEN: waits_for_metafields or (follows and rules.needs.metafields),
        (ORDER_UPDATED,): follows and _reads_order(rules),
        # Buyers are approved while they shop: their skipped orders are taken up again.
        COMPANY_CHANGED: follows,
    }
    return Scopes(
        (ORDER_CREATED, STATUS_UPDATED) if waits_for_status else (ORDER_CREATED,),
        tuple(scope for scopes, is_so in optional.items() if is_so for scope in scopes),
    )


def is_of_our_kind(hook: Hook) -> bool:
    """Whether the webhook is sent for an event that some store may need."""
    return any(map(hook.covers, OUR_SCOPES))


def _reads_order(rules: RuleSet) -> bool:
    return any(root in reads for rule in rules.rules for reads in rule.reads for root in _OF_THE_ORDER)
