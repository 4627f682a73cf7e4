"""By which of its two names an extra field is sent, where the record does not tell.

The store's facts say it. They may be wrong, or say nothing yet: a refusal that may be about the name is answered once
by the other name, so that no field is left out, and no order fails, for a name. Where the other name is refused too, it
is as if it had not been tried.
"""

import re
from collections.abc import Collection, Sequence

from service.bigcommerce.models import ExtraFieldConfig
from service.orders.facts.fact import StoreFacts
from service.orders.values.field_names import FieldNames
from service.orders.values.values_to_send import missing_required_field, named_fields

# How a refusal says that a store has no such field. Not documented: a generous guess, which costs one call.
_UNKNOWN_FIELD = re.compile(
    r"not exist|not found|no such|unknown|undefined|unrecogni|not defined|invalid field", re.IGNORECASE
)


class FieldNaming:
    """The choice of names in one attempt at an order."""

    def __init__(self) -> None:
        self._writes_labels = False
        self._is_fact = False
        self._may_turn = True
        self._first_refusal: str | None = None

    def begin(self, facts: StoreFacts) -> None:
        """Choose as the store's facts say."""
        self._writes_labels = self._is_fact = facts.writes_labels

    def names(self, configs: Sequence[ExtraFieldConfig]) -> FieldNames:
        """The store's field names, with this choice."""
        return FieldNames.of(configs, writes_labels=self._writes_labels)

    def message_to_act_on(self, message: str) -> str:
        """The refusal that counts: where the other name was tried and is unknown too, the first one, by the first name.

        The choice is then as before.
        """
        first, self._first_refusal = self._first_refusal, None
        if first is None or not _UNKNOWN_FIELD.search(message):
            return message
        if not self._is_fact or not _UNKNOWN_FIELD.search(first):
            self._writes_labels = not self._writes_labels
            return first
        return message  # both are unknown, and a fact must not decide: as without it

    def try_other(self, configs: Sequence[ExtraFieldConfig], sent: Collection[str], message: str) -> bool:
        """Choose the other name after a refusal, once; False where that could not change anything.

        It could not where the fields in question have one name only. A choice that is a fact is left at any refusal,
        the default only where the refusal may be about a name, as that of a required field which was sent.
        """
        names, missing = self.names(configs), missing_required_field(message)
        about = {names.field_name(missing)} & set(sent) if missing else named_fields(sent, list(configs), message)
        may_be_name = self._is_fact or missing or _UNKNOWN_FIELD.search(message)
        have_two = names.labels.keys() & (about if missing else about or set(sent))
        if not (self._may_turn and may_be_name and have_two):
            return False
        self._may_turn, self._first_refusal = False, message
        self._writes_labels = not self._writes_labels
        return True
