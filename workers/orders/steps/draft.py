"""What an attempt is about to write, and what B2B Edition's refusals have taught it so far."""

from dataclasses import dataclass, field, replace

from service.bigcommerce.models import ExtraFieldConfig, Values
from service.orders.values.field_names import FieldNames
from service.orders.values.values_to_send import required_defaults
from workers.orders.steps.field_naming import FieldNaming


@dataclass(slots=True)
class Draft:
    """The values to write, with the store's field configs.

    ``update`` is what Update an Order sends: the values merged with the record. ``not_carried`` are fields of others
    that B2B Edition has refused; ``sends_defaults`` says whether Create sends the configs' own defaults, too.
    """

    values: Values = field(default_factory=lambda: Values(None, {}))
    update: Values = field(default_factory=lambda: Values(None, {}))
    configs: list[ExtraFieldConfig] = field(default_factory=list)
    naming: FieldNaming = field(default_factory=FieldNaming)
    not_carried: set[str] = field(default_factory=set)
    sends_defaults: bool = False
    configs_refreshed: bool = False

    @property
    def names(self) -> FieldNames:
        """The store's field names, each with the one that is sent."""
        return self.naming.names(self.configs)

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing to write."""
        return self.values.po_number is None and not self.values.extra_fields

    def for_create(self) -> Values:
        """What Create an Order sends."""
        values = self.values
        if self.sends_defaults:
            values = replace(values, extra_fields={**required_defaults(self.configs, values), **values.extra_fields})
        return replace(values, names=self.names.renamed(values.extra_fields))
