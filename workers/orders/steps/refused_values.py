"""What follows when B2B Edition refuses the values of a write: other configs, another name, a default, one field less.

Which field a refusal is about is told by its message alone. As little as possible is given up: a field of another app
goes before a field of ours, and one field before the whole order.
"""

from collections.abc import Awaitable, Callable, Collection
from dataclasses import replace
from enum import Enum, auto

from service.bigcommerce.models import ExtraFieldConfig
from service.orders.state.order_entry import Entry, Status
from service.orders.values.values_to_send import (
    ResolvedValues,
    droppable_fields,
    duplicate_fields,
    fields_to_blame,
    missing_required_field,
    named_fields,
    required_defaults,
)
from service.rules import RuleSet
from workers.orders.entry_notes import note_dropped
from workers.orders.result_types import Finished
from workers.orders.steps.draft import Draft

DUPLICATE = "another order has this value already, and BigCommerce takes each value of this field only once."
"""Why the value of a unique field is left out."""


class Next(Enum):
    """What to do with the draft after a refusal."""

    WRITE = auto()
    COMPARE = auto()
    READ_ORDER = auto()


async def after_refused_values(
    message: str,
    carried: Collection[str],
    draft: Draft,
    entry: Entry,
    rules: RuleSet,
    *,
    read_configs_again: Callable[[], Awaitable[list[ExtraFieldConfig]]],
    resolve_again: Callable[[], ResolvedValues | None],
) -> Next | ResolvedValues | Finished:
    """Change the draft, and the entry, as the refusal's ``message`` asks.

    ``carried`` are the fields of others that the refused Update held. ``resolve_again`` gives None where that needs
    the order, which this attempt has not read. Resolved values are returned where they differ from the draft's.
    """
    message, fields = draft.naming.message_to_act_on(message), draft.values.extra_fields
    named = named_fields({*fields, *carried}, draft.configs, message)
    is_duplicate = bool(duplicate_fields(draft.configs, draft.values, message))
    is_ours = is_duplicate or missing_required_field(message) or (named & fields.keys() and not named & {*carried})
    if not is_ours and (bad_carried := fields_to_blame(carried, draft.configs, message)):
        # Leave out a field of another app, so that the order gets its own values.
        draft.not_carried |= bad_carried
        return Next.COMPARE
    if not draft.configs_refreshed and not is_duplicate and (fields or missing_required_field(message)):
        draft.configs_refreshed = True
        draft.configs = await read_configs_again()
        resolved = resolve_again()
        if resolved is None:
            return Next.READ_ORDER
        if resolved.missing or resolved.failure or resolved.values != draft.values:
            return resolved
    if not is_duplicate and draft.naming.try_other(draft.configs, fields, message):
        return Next.WRITE
    if field := missing_required_field(message):
        has_default = draft.names.field_name(field) in required_defaults(draft.configs, draft.values)
        if draft.sends_defaults or not has_default:
            return Finished(Status.FAILED, field)
        draft.sends_defaults = True
        return Next.WRITE
    return _leave_out(message, draft, entry, rules)


def _leave_out(message: str, draft: Draft, entry: Entry, rules: RuleSet) -> Next | Finished:
    """Leave out the fields that the refusal is about; the order fails where none may be."""
    duplicates = duplicate_fields(draft.configs, draft.values, message)
    bad = droppable_fields(rules, draft.configs, draft.values, message)
    if not bad:
        return Finished(Status.FAILED, f"{duplicates[0]}: {DUPLICATE}" if duplicates else message)
    note_dropped(entry, dict.fromkeys(bad, DUPLICATE if duplicates else f"BigCommerce refused it: {message}"))
    remaining = {name: value for name, value in draft.values.extra_fields.items() if name not in bad}
    draft.values = replace(draft.values, extra_fields=remaining)
    entry.fields = remaining
    return Next.WRITE
