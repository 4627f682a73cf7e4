"""By which of its two names an extra field is sent, where the record does not tell.

The store's facts say it. They may be wrong: a refusal that may be about the name is answered once by the other name,
so that no field is left out, and no order fails, for what a fact says.
"""

from collections.abc import Collection, Sequence

from service.bigcommerce.models import ExtraFieldConfig
from service.orders.facts.fact import Fact, StoreFacts
from service.orders.values.field_names import FieldNames
from service.orders.values.values_to_send import missing_required_field, named_fields


class FieldNaming:
    """The choice of names in one attempt at an order."""

    def __init__(self) -> None:
        self._writes_labels = False
        self._may_turn = True

    def begin(self, facts: StoreFacts) -> None:
        """Choose as the store's facts say."""
        self._writes_labels = facts.writes_labels
        # Where fieldNames are known to be right, a refusal has another cause, and a second call would be wasted.
        self._may_turn = facts.value(Fact.FIELD_NAME) != "fieldName"

    def names(self, configs: Sequence[ExtraFieldConfig]) -> FieldNames:
        """The store's field names, with this choice."""
        return FieldNames.of(configs, writes_labels=self._writes_labels)

    def try_other(self, configs: Sequence[ExtraFieldConfig], sent: Collection[str], message: str) -> bool:
        """Choose the other name after a refusal, once; False where that could not change anything.

        It could not where all fields have one name, or the message names only fields that have. A missing required
        field may have been sent by the wrong name.
        """
        names, missing = self.names(configs), missing_required_field(message)
        about = {names.field_name(missing)} & set(sent) if missing else named_fields(sent, list(configs), message)
        if not self._may_turn or not names.labels.keys() & (about if missing else about or set(sent)):
            return False
        self._may_turn, self._writes_labels = False, not self._writes_labels
        return True
