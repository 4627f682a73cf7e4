"""Values that depend on the Company that an order is for, which may become known only by its record."""

from service.bigcommerce.models import Values
from service.orders.state.order_entry import Entry
from service.orders.values.field_names import FieldNames
from service.orders.values.merge import PO_NUMBER
from service.orders.values.values_to_send import ResolvedValues
from service.rules import RuleSet
from workers.orders.buyers.buyer import Buyer

COMPANY, USER = ("company",), ("user",)


def note_company(
    entry: Entry, company_id: int | None, resolved: ResolvedValues, rules: RuleSet, names: FieldNames
) -> None:
    """Note from which Company these values came, and what of another Company's values has to be taken off the record.

    That is every value that a rule gave by reading the other Company, was sent, and that this Company does not have.
    """
    values = resolved.values
    given = {*values.extra_fields, *([PO_NUMBER] if values.po_number is not None else [])}
    cleared = set(entry.cleared)
    if entry.company_id not in (None, company_id):
        cleared |= {_key(name, names) for name in company_rules(rules)} & entry.written.keys()
    entry.cleared = sorted(cleared - given)
    entry.company_id = company_id


def values_of(entry: Entry) -> Values:
    """What the order's entry says is to be on the record; empty text where something is to be taken off it."""
    po_number = "" if entry.po_number is None and PO_NUMBER in entry.cleared else entry.po_number
    empty = dict.fromkeys((name for name in entry.cleared if name != PO_NUMBER and name not in entry.fields), "")
    return Values(po_number, entry.fields | empty)


def awaits_company(buyer: Buyer, resolved: ResolvedValues, rules: RuleSet) -> bool:
    """Whether nothing can be sent because the Company is not known yet: the record must show it first.

    Nor does a rule that reads the user fail an order whose buyer may be a shopper of no Company.
    """
    if not buyer.is_company_open:
        return False
    named = company_rules(rules) | (_rules_of(rules, USER) if buyer.is_unknown else set())
    if not named:
        return False
    nothing = resolved.values.po_number is None and not resolved.values.extra_fields
    reason = resolved.missing or resolved.failure
    return reason in named if reason else nothing


def company_rules(rules: RuleSet) -> set[str]:
    """The names of the rules that read the Company."""
    return _rules_of(rules, COMPANY)


def _rules_of(rules: RuleSet, root: tuple[str]) -> set[str]:
    return {rule.name for rule in rules.rules if any(root in reads for reads in rule.reads)}


def _key(name: str, names: FieldNames) -> str:
    return PO_NUMBER if name == PO_NUMBER else names.field_name(name)
